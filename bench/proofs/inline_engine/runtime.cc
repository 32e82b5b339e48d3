// SPDX-License-Identifier: Apache-2.0
#include "proofs/inline_engine/runtime.h"

#include <sys/mman.h>

#include <cerrno>
#include <new>

#include "base/thread.h"
#include "proofs/inline_engine/helper.h"
#include "proofs/inline_engine/private_table.h"

namespace proofs::inline_engine {
namespace {

constexpr std::size_t kHelperStack = std::size_t{256} << 10;

}  // namespace

void Runtime::ControlDeleter::operator()(Control* control) const {
  control->~Control();
  ::munmap(control, sizeof(Control));
}

tideline::Result<Runtime::ControlPtr> Runtime::make_control() {
  void* memory =
      ::mmap(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return tideline::fail_errno("cannot map the engine's control page");
  ControlPtr control(new (memory) Control);
  if (::madvise(memory, sizeof(Control), MADV_WIPEONFORK) != 0) {
    return tideline::fail_errno("cannot protect the engine from forked children");
  }
  return control;
}

tideline::Result<std::unique_ptr<Runtime>> Runtime::start(const RuntimeOptions& options) {
  tideline::Result<ControlPtr> control = make_control();
  if (!control) return std::unexpected(control.error());
  std::unique_ptr<Runtime> runtime(new Runtime(options, std::move(*control)));
  tideline::Status status = runtime->start_helper();
  if (status) status = runtime->fetch(EngineFile::kPeerBell);
  if (status) status = runtime->fetch(EngineFile::kKick);
  if (!status) return std::unexpected(status.error());
  runtime->control_->last_poll.store(tideline::tsc_now(), std::memory_order_relaxed);
  runtime->control_->gate.open();
  return runtime;
}

tideline::Status Runtime::start_helper() {
  tideline::tsc_hz();  // measured here, not at the helper's first deadline
  const auto helper =
      tideline::start_quiet_thread(&Helper::main, this, kHelperStack, "the helper thread");
  if (!helper) return std::unexpected(helper.error());
  helper_thread_ = *helper;
  helper_started_ = true;
  helper_reported_.wait(false, std::memory_order_acquire);
  return helper_status_;
}

Runtime::~Runtime() {
  if (!helper_started_ || state() == GateState::kForked) return;
  control_->stop.store(true, std::memory_order_release);
  control_->gate.close(GateState::kStopped);
  ring(EngineFile::kKick);
  ::pthread_join(helper_thread_, nullptr);
  control_->fds.close_all();
}

tideline::Status Runtime::fetch(EngineFile file) {
  tideline::Result<tideline::UniqueFd> fetched =
      fetch_from_thread(helper_tid_, helper_numbers_[static_cast<std::uint32_t>(file)]);
  if (!fetched) return std::unexpected(fetched.error());
  return control_->fds.put(file, fetched->release());
}

Entry Runtime::submit(const Work& work) {
  ProgramHolder holder{*this};
  const Entry entry = control_->gate.submit(work, holder);
  if (holder.ring_peer) ring(EngineFile::kPeerBell);
  return entry;
}

void Runtime::ring(EngineFile file) {
  if (control_->fds.ring(file)) return;
  // The program has closed or replaced the engine's numbers behind the preload library's back.
  if (fetch(file) && control_->fds.ring(file)) return;
  control_->gate.close(GateState::kDescriptorsLost);
}

}  // namespace proofs::inline_engine
