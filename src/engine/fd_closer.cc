// SPDX-License-Identifier: Apache-2.0
#include "engine/fd_closer.h"

#include <pthread.h>

#include <utility>

#include "base/thread.h"

namespace tideline::engine {
namespace {

constexpr std::size_t kStack = std::size_t{64} << 10;

}  // namespace

Result<std::unique_ptr<FdCloser>> FdCloser::start() {
  auto state = std::make_shared<State>();
  auto threads = std::make_unique<std::shared_ptr<State>>(state);
  const auto thread =
      start_quiet_thread(&FdCloser::main, threads.get(), kStack, "the thread that closes");
  if (!thread) return fail(thread.error());
  [[maybe_unused]] const auto* const passed = threads.release();
  ::pthread_detach(*thread);
  return std::unique_ptr<FdCloser>(new FdCloser(std::move(state)));
}

FdCloser::~FdCloser() {
  const std::scoped_lock lock(state_->mutex);
  state_->stop = true;
  state_->come.notify_one();
}

void FdCloser::discard(UniqueFd fd) {
  if (!fd) return;
  state_->waiting.fetch_add(1, std::memory_order_relaxed);
  const std::scoped_lock lock(state_->mutex);
  state_->queue.push_back(std::move(fd));
  state_->come.notify_one();
}

void* FdCloser::main(void* object) {
  const std::unique_ptr<std::shared_ptr<State>> own(static_cast<std::shared_ptr<State>*>(object));
  State& state = **own;
  for (;;) {
    std::vector<UniqueFd> taken;
    {
      std::unique_lock lock(state.mutex);
      state.come.wait(lock, [&] { return state.stop || !state.queue.empty(); });
      if (state.queue.empty()) return nullptr;
      taken.swap(state.queue);
    }
    for (UniqueFd& fd : taken) {
      fd.reset();
      state.waiting.fetch_sub(1, std::memory_order_relaxed);
    }
  }
}

}  // namespace tideline::engine
