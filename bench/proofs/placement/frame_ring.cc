// SPDX-License-Identifier: Apache-2.0
#include "proofs/placement/frame_ring.h"

#include <poll.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>

#include "base/check.h"
#include "base/clock.h"
#include "base/fault_handler.h"
#include "base/guarded_copy.h"
#include "common/process.h"

namespace proofs::placement {

using tideline::CopyResult;
using tideline::fault_side;
using tideline::FaultSide;
using tideline::guarded_copy;
using tideline::unblock_fault_signals;

namespace {

constexpr int kSpinsBetweenLifeChecks = 1000;
constexpr int kSleepMs = 10;  // at most, before the sender looks whether the target lives

// sched_setattr(2), version 0; the kernel's header clashes with the C library's.
struct SchedulingAttributes {
  std::uint32_t size;
  std::uint32_t policy;
  std::uint64_t flags;
  std::int32_t nice;
  std::uint32_t priority;
  std::uint64_t runtime;
  std::uint64_t deadline;
  std::uint64_t period;
};

void ring(int fd) {  // an eventfd or a pipe
  const std::uint64_t one = 1;
  CHECK(::write(fd, &one, sizeof(one)) == sizeof(one), "errno {}", errno);
}

void apply(const HelperTuning& tuning) {
  if (tuning.core) bench::pin_to_core(*tuning.core);
  if (tuning.nice) {
    CHECK(::setpriority(PRIO_PROCESS, 0, *tuning.nice) == 0, "errno {}", errno);
  }
  if (tuning.slice_ns != 0) {
    SchedulingAttributes attributes{.size = sizeof(attributes),
                                    .policy = SCHED_OTHER,
                                    .nice = tuning.nice.value_or(0),
                                    .runtime = tuning.slice_ns};
    CHECK(::syscall(SYS_sched_setattr, 0, &attributes, 0) == 0, "errno {}", errno);
  }
}

}  // namespace

FrameSender::FrameSender(tideline::Mapping ring, tideline::Mapping helper,
                         tideline::UniqueFd wake_helper, tideline::UniqueFd done,
                         const RegionTableView* target, WaitMode mode)
    : ring_(std::move(ring)),
      helper_(std::move(helper)),
      wake_helper_(std::move(wake_helper)),
      done_(std::move(done)),
      target_(target),
      mode_(mode) {}

Outcome FrameSender::post(const Request& request, const void* source) {
  auto* page = ring_.at<FramePage>(0);
  const auto* helper = helper_.at<const HelperPage>(0);
  std::uint64_t offset = 0;
  do {
    if (!wait_until(kFrameSlots - 1)) return Outcome::kTargetGone;
    const std::size_t length = std::min<std::uint64_t>(kFrameSize, request.length - offset);
    const std::size_t slot = produced_ % kFrameSlots;
    std::byte* payload = ring_.data() + tideline::kPageSize + slot * kFrameSize;
    const auto* from = static_cast<const std::byte*>(source) + offset;
    if (guarded_copy(payload, from, length).copied != length) return Outcome::kLocalFault;
    FrameDescriptor& descriptor = page->descriptors[slot];
    descriptor.address.store(request.address + offset, std::memory_order_relaxed);
    descriptor.length.store(static_cast<std::uint32_t>(length), std::memory_order_relaxed);
    descriptor.rkey.store(request.rkey, std::memory_order_relaxed);
    page->produced.store(++produced_, std::memory_order_release);
    // Pairs with FrameHelper::sleep.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (helper->need_wakeup.load(std::memory_order_relaxed) != 0) ring(wake_helper_.get());
    offset += length;
  } while (offset < request.length);
  return Outcome::kPlaced;
}

Outcome FrameSender::finish() {
  if (!wait_until(0)) return Outcome::kTargetGone;
  return std::exchange(first_refusal_, Outcome::kPlaced);
}

Outcome FrameSender::write(const Request& request, const void* source) {
  const Outcome posted = post(request, source);
  const Outcome placed = finish();
  return posted == Outcome::kPlaced ? placed : posted;
}

void FrameSender::collect() {
  const auto* helper = helper_.at<const HelperPage>(0);
  const std::uint64_t consumed =
      std::min(helper->consumed.load(std::memory_order_acquire), produced_);
  for (; collected_ < consumed; ++collected_) {
    const Outcome outcome =
        helper->outcomes[collected_ % kFrameSlots].load(std::memory_order_relaxed);
    if (first_refusal_ == Outcome::kPlaced) first_refusal_ = outcome;
  }
}

bool FrameSender::wait_until(std::uint64_t outstanding) {
  for (int spins = 1;; ++spins) {
    collect();
    if (produced_ - collected_ <= outstanding) return true;
    if (spins % kSpinsBetweenLifeChecks == 0 && !target_->owner_lives()) return false;
    switch (mode_) {
      case WaitMode::kSpin:
        tideline::cpu_relax();
        break;
      case WaitMode::kYield:
        ::sched_yield();
        break;
      case WaitMode::kSleep:
        sleep_until_done(outstanding);
        if (!target_->owner_lives()) return false;
        break;
    }
  }
}

void FrameSender::sleep_until_done(std::uint64_t outstanding) {
  auto* page = ring_.at<FramePage>(0);
  const auto* helper = helper_.at<const HelperPage>(0);
  page->sender_sleeps.store(1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (produced_ - helper->consumed.load(std::memory_order_acquire) > outstanding) {
    pollfd waiting{.fd = done_.get(), .events = POLLIN, .revents = 0};
    std::uint64_t count = 0;
    if (::poll(&waiting, 1, kSleepMs) == 1) {
      CHECK(::read(done_.get(), &count, sizeof(count)) == sizeof(count), "errno {}", errno);
    }
  }
  page->sender_sleeps.store(0, std::memory_order_relaxed);
}

FrameHelper::FrameHelper(tideline::Mapping ring, HelperPage* page, WakeFds wake, int done,
                         const RegionTableView* table, std::uint32_t domain, HelperTuning tuning)
    : ring_(std::move(ring)),
      page_(page),
      wake_(wake),
      done_(done),
      table_(table),
      domain_(domain),
      tuning_(tuning),
      thread_([this] { run(); }) {
  ready_.wait(false);
}

FrameHelper::~FrameHelper() {
  stop_.store(true);
  ring(wake_.ring);
  thread_.join();
}

void FrameHelper::run() {
  unblock_fault_signals();
  apply(tuning_);
  in_flight_.owner.take();
  ready_.store(true);
  ready_.notify_all();
  while (!stop_.load(std::memory_order_relaxed)) {
    if (!serve()) sleep();
  }
  in_flight_.owner.release();
}

// Places what is in the ring; false if there was nothing.
bool FrameHelper::serve() {
  const auto* frames = ring_.at<const FramePage>(0);
  const std::uint64_t produced = frames->produced.load(std::memory_order_acquire);
  // An index that runs ahead of the ring is the peer's fault; what lies in the slots is checked.
  const std::uint64_t waiting = std::min<std::uint64_t>(produced - consumed_, kFrameSlots);
  if (waiting == 0) return false;
  for (std::uint64_t i = 0; i < waiting; ++i) {
    const std::size_t slot = consumed_ % kFrameSlots;
    page_->outcomes[slot].store(place(slot), std::memory_order_relaxed);
    page_->consumed.store(++consumed_, std::memory_order_release);
  }
  // Pairs with FrameSender::sleep_until_done.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (frames->sender_sleeps.load(std::memory_order_relaxed) != 0) ring(done_);
  return true;
}

Outcome FrameHelper::place(std::size_t slot) {
  const FrameDescriptor& descriptor = ring_.at<const FramePage>(0)->descriptors[slot];
  const Request request{.rkey = descriptor.rkey.load(std::memory_order_relaxed),
                        .address = descriptor.address.load(std::memory_order_relaxed),
                        .length = descriptor.length.load(std::memory_order_relaxed),
                        .access = kRemoteWrite,
                        .domain = domain_};
  if (request.length > kFrameSize) return Outcome::kOutOfBounds;
  in_flight_.begin(request.rkey);
  Region region;
  Outcome outcome = table_->check(request, &region);
  if (outcome == Outcome::kPlaced) {
    const std::byte* payload = ring_.data() + tideline::kPageSize + slot * kFrameSize;
    auto* to = reinterpret_cast<void*>(request.address);  // NOLINT(performance-no-int-to-ptr)
    const CopyResult result = guarded_copy(to, payload, request.length);
    const FaultSide side = fault_side(result, to, payload, request.length);
    if (side == FaultSide::kSource) outcome = Outcome::kLocalFault;
    if (side == FaultSide::kDestination) outcome = Outcome::kRemoteFault;
  }
  in_flight_.end();
  return outcome;
}

void FrameHelper::sleep() {
  page_->need_wakeup.store(1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const auto* frames = ring_.at<const FramePage>(0);
  if (frames->produced.load(std::memory_order_acquire) == consumed_ && !stop_.load()) {
    std::array<std::uint64_t, 64> wakes{};  // an eventfd has one number, a pipe one per write
    CHECK(::read(wake_.sleep_on, wakes.data(), sizeof(wakes)) > 0, "errno {}", errno);
  }
  page_->need_wakeup.store(0, std::memory_order_relaxed);
}

}  // namespace proofs::placement
