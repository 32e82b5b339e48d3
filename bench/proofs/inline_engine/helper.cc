// SPDX-License-Identifier: Apache-2.0
#include "proofs/inline_engine/helper.h"

#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/memfd.h"
#include "proofs/inline_engine/private_table.h"

namespace proofs::inline_engine {
namespace {

// struct sched_attr of sched_setattr(2), version 0: the kernel's header and the C library's clash.
struct SchedAttributes {
  std::uint32_t size = sizeof(SchedAttributes);
  std::uint32_t policy = SCHED_OTHER;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime = 0;
  std::uint64_t deadline = 0;
  std::uint64_t period = 0;
};
static_assert(sizeof(SchedAttributes) == 48);

tideline::Result<tideline::UniqueFd> connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return tideline::fail({.kind = tideline::ErrorKind::kUsage, .what = "path too long: " + path});
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  tideline::UniqueFd peer(
      static_cast<int>(::syscall(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)));
  if (!peer) return tideline::fail_errno("cannot make a socket");
  if (::connect(peer.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return tideline::fail_errno("cannot connect to " + path, "start the peer first");
  }
  return peer;
}

}  // namespace

// Runs the engine for the helper.
struct Helper::Holder {
  Runtime& runtime;
  bool worked = false;
  bool ring_peer = false;

  void run() {
    worked |= runtime.run_engine(tideline::tsc_now(), Server::kHelper, ring_peer);
    runtime.control_->helper_sleeps_until.store(runtime.engine_->next_deadline(),
                                                std::memory_order_relaxed);
  }
  bool ready() const { return runtime.has_room(); }
  void execute(const Work& work) {
    runtime.engine_->execute(work, tideline::tsc_now(), Server::kHelper);
    ring_peer |= runtime.peer_notifier_->should_ring();
    worked = true;
  }
};

void* Helper::main(void* runtime_pointer) {
  Runtime& runtime = *static_cast<Runtime*>(runtime_pointer);
  Helper helper(runtime);
  runtime.helper_status_ = helper.attach();
  const bool attached = runtime.helper_status_.has_value();
  runtime.helper_reported_.store(true, std::memory_order_release);
  runtime.helper_reported_.notify_one();
  if (attached) helper.loop();
  return nullptr;
}

tideline::Status Helper::set_up_scheduling() const {
  const RuntimeOptions& options = runtime_.options_;
  ::prctl(PR_SET_NAME, "tideline-helper");
  ::prctl(PR_SET_TIMERSLACK, 1UL);
  if (options.helper_on_all_cores) {
    cpu_set_t all;
    std::memset(&all, 0xff, sizeof(all));
    if (::sched_setaffinity(0, sizeof(all), &all) != 0) {
      return tideline::fail_errno("cannot unbind the helper");
    }
  }
  if (options.helper_slice.count() != 0 || options.helper_nice != 0) {
    SchedAttributes attributes;
    attributes.nice = options.helper_nice;
    attributes.runtime = static_cast<std::uint64_t>(options.helper_slice.count());
    if (::syscall(SYS_sched_setattr, 0, &attributes, 0) != 0) {
      return tideline::fail_errno("cannot schedule the helper as asked");
    }
  }
  return {};
}

tideline::Status Helper::attach() {
  if (tideline::Status status = set_up_scheduling(); !status) return status;
  if (tideline::Status status = enter_private_table(); !status) return status;
  tideline::Result<tideline::UniqueFd> peer = connect_to(runtime_.options_.meeting_point);
  if (!peer) return std::unexpected(peer.error());
  peer_ = std::move(*peer);
  for (auto* bell : {&bell_, &kick_}) {
    tideline::Result<tideline::ring::EventBell> created = tideline::ring::EventBell::create();
    if (!created) return std::unexpected(created.error());
    bell->emplace(std::move(*created));
  }

  std::byte payload[1]{};
  const int offered[] = {bell_->fd()};
  if (tideline::Status status = tideline::send_with_fds(peer_.get(), payload, offered); !status) {
    return status;
  }
  tideline::Result<tideline::ReceivedMessage> answer =
      tideline::receive_with_fds(peer_.get(), payload);
  if (!answer) return std::unexpected(answer.error());
  if (answer->fds.size() != 2) {
    return tideline::fail({.kind = tideline::ErrorKind::kPeer, .what = "the peer refused"});
  }
  const int memory = answer->fds[0].get();
  peer_bell_.emplace(tideline::ring::EventBell::attach(std::move(answer->fds[1])));
  if (tideline::Status status =
          tideline::verify_memfd(memory, sizeof(Channel), tideline::Sharing::kReadWrite);
      !status) {
    return status;
  }
  tideline::Result<tideline::Mapping> mapping =
      tideline::Mapping::map(memory, sizeof(Channel), tideline::Access::kReadWrite);
  if (!mapping) return std::unexpected(mapping.error());
  if (tideline::Status status = mapping->populate(); !status) return status;
  // A forked child does not have the rings at all.
  if (::madvise(mapping->data(), mapping->size(), MADV_DONTFORK) != 0) {
    return tideline::fail_errno("cannot keep the rings from forked children");
  }
  runtime_.channel_memory_ = std::move(*mapping);
  runtime_.channel_ = runtime_.channel_memory_.at<Channel>(0);
  runtime_.engine_.emplace(*runtime_.channel_, tideline::tsc_ticks(runtime_.options_.timer_period));
  runtime_.peer_notifier_.emplace(runtime_.channel_->peer_flag);
  runtime_.helper_numbers_ = {peer_bell_->fd(), kick_->fd()};
  runtime_.helper_tid_ = static_cast<pid_t>(::syscall(SYS_gettid));
  return {};
}

void Helper::loop() {
  while (tick_until_idle() && serve_until_polled()) {
  }
}

bool Helper::tick_until_idle() {
  const std::uint64_t take_over = tideline::tsc_ticks(runtime_.options_.take_over);
  control_.helper_sleeps_until.store(0, std::memory_order_relaxed);
  std::uint64_t due = 0;
  do {
    due = control_.last_poll.load(std::memory_order_relaxed) + take_over;
    control_.ticks.fetch_add(1, std::memory_order_relaxed);
    // At least a little: a holder that was preempted must get a chance to run.
    if (!sleep(std::max(due, tideline::tsc_now() + take_over / 8))) return false;
    due = control_.last_poll.load(std::memory_order_relaxed) + take_over;
  } while (tideline::tsc_now() < due || control_.gate.state() == GateState::kStarting);
  return true;
}

bool Helper::serve_until_polled() {
  control_.take_overs.fetch_add(1, std::memory_order_relaxed);
  const std::uint64_t last_poll = control_.last_poll.load(std::memory_order_relaxed);
  tideline::ring::WakeFlag& flag = runtime_.channel_->engine_flag;
  for (;;) {
    flag.arm();
    Holder holder{runtime_};
    const Entry entry = control_.gate.enter(holder);  // the look after arm()
    const bool program_is_back =
        entry == Entry::kBusy || control_.last_poll.load(std::memory_order_relaxed) != last_poll;
    if (holder.ring_peer) peer_bell_->ring();
    const bool go_on = entry != Entry::kClosed &&
                       (program_is_back || holder.worked ||
                        sleep(control_.helper_sleeps_until.load(std::memory_order_relaxed)));
    flag.disarm();
    if (!go_on) return false;
    if (program_is_back) return true;
  }
}

bool Helper::sleep(std::uint64_t until) {
  timespec timeout{};
  if (until != UINT64_MAX) {
    const std::uint64_t now = tideline::tsc_now();
    const std::int64_t left = until > now ? tideline::tsc_duration(until - now).count() : 0;
    timeout = {.tv_sec = left / 1'000'000'000, .tv_nsec = left % 1'000'000'000};
  }
  pollfd fds[] = {{bell_->fd(), POLLIN, 0}, {kick_->fd(), POLLIN, 0}, {peer_.get(), POLLIN, 0}};
  const int ready = ::ppoll(fds, 3, until == UINT64_MAX ? nullptr : &timeout, nullptr);
  if (ready > 0) {
    if (fds[0].revents != 0) bell_->silence();
    if (fds[1].revents != 0) kick_->silence();
    if (fds[2].revents != 0) {
      control_.gate.close(GateState::kPeerLost);
      return false;
    }
  }
  return !stopped();
}

}  // namespace proofs::inline_engine
