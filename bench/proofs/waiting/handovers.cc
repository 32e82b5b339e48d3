// SPDX-License-Identifier: Apache-2.0
#include "proofs/waiting/handovers.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <new>
#include <optional>

#include "base/clock.h"
#include "base/mapping.h"
#include "base/random.h"
#include "common/process.h"
#include "ring/bell.h"
#include "ring/spsc_ring.h"
#include "ring/waiter.h"

namespace proofs::waiting {
namespace {

using bench::Child;
using tideline::Duration;
using tideline::Mapping;
using tideline::Result;
using tideline::Rng;
using tideline::ring::BasicNotifier;
using tideline::ring::BasicWakeFlag;
using tideline::ring::EventBell;
using tideline::ring::SpscConsumer;
using tideline::ring::SpscProducer;
using tideline::ring::SpscRing;
using tideline::ring::StdMemory;
using tideline::ring::Waiter;

constexpr std::size_t kBurst = 64;
constexpr std::size_t kCapacity = 256;
// A sleep that lasts so long is ended, and looked into.
constexpr Duration kWatchdog = std::chrono::milliseconds(100);
// A bell that does not come within this time either, although there is work, was never rung: its
// notifier may have lost its core between publishing and ringing, but not for so long.
constexpr Duration kGrace = std::chrono::seconds(1);

// The fences of the protocol taken away from the processor; the compiler still keeps the order.
struct Unfenced : StdMemory {
  static void full_fence() { std::atomic_signal_fence(std::memory_order_seq_cst); }
};

struct NeverSpin {
  static std::uint64_t limit(std::uint64_t) { return 0; }
  static void relax() {}
  static bool interrupted(std::uint64_t, std::uint64_t) { return false; }
  void spun() {}
  void slept() {}
};

template <typename Memory>
struct Shared {
  using Ring = SpscRing<std::uint64_t, Memory>;

  BasicWakeFlag<Memory> not_empty;
  BasicWakeFlag<Memory> not_full;
  alignas(tideline::kCacheLine) std::atomic<std::uint64_t> consumed{0};
  std::atomic<std::uint64_t> slept{0};
  std::atomic<std::uint64_t> lost{0};
  std::atomic<bool> in_order{true};
  alignas(tideline::kCacheLine) std::array<std::byte, Ring::bytes(kCapacity)> ring;
};

// One side: waits on its flag and bell, notifies the other's.
template <typename Memory>
class Side {
 public:
  Side(BasicWakeFlag<Memory>& own, const EventBell& own_bell, const BasicWakeFlag<Memory>& other,
       const EventBell& other_bell)
      : waiter_(own, NeverSpin()), bell_(&own_bell), notifier_(other), other_bell_(&other_bell) {}

  template <std::predicate Ready>
  void wait(Ready&& ready) {
    bool rung = true;
    const bool found = waiter_.wait(ready, [&] { rung = bell_->sleep(kWatchdog); });
    if (found && !rung && !bell_->sleep(kGrace)) ++lost_;
  }
  void notify() {
    if (notifier_.should_ring()) other_bell_->ring();
  }
  std::uint64_t slept() const { return waiter_.sleeps(); }
  std::uint64_t lost() const { return lost_; }

 private:
  Waiter<NeverSpin, Memory> waiter_;
  const EventBell* bell_;
  BasicNotifier<Memory> notifier_;
  const EventBell* other_bell_;
  std::uint64_t lost_ = 0;
};

struct Bells {
  EventBell producer;
  EventBell consumer;
};

// `alone_every`: items between two that are handed over alone, on average.
template <typename Memory>
int produce(Shared<Memory>& shared, const Bells& bells, std::uint64_t items,
            std::uint64_t alone_every, std::uint64_t seed) {
  bench::pin_to_core(0);
  SpscProducer<std::uint64_t, Memory> end(
      Shared<Memory>::Ring::attach(shared.ring.data(), kCapacity));
  Side<Memory> self(shared.not_full, bells.producer, shared.not_empty, bells.consumer);
  Rng rng(seed);
  std::array<std::uint64_t, kBurst> burst{};
  std::uint64_t next = 0;
  const auto push = [&](std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) burst[i] = next + i;
    const std::size_t pushed = end.push_burst({burst.data(), size});
    next += pushed;
    if (pushed > 0) self.notify();
    return pushed;
  };
  const auto until_taken = [&] {
    // NOLINTNEXTLINE(bugprone-infinite-loop): until the consumer has caught up
    while (shared.consumed.load(std::memory_order_acquire) != next) tideline::cpu_relax();
  };
  std::uint64_t alone_at = 0;
  while (next < items) {
    if (push(std::min<std::uint64_t>(1 + rng.below(kBurst), items - next)) == 0) {
      self.wait([&] { return !end.full(); });
    }
    if (next < alone_at || next == items) continue;
    alone_at = next + rng.below(2 * alone_every);
    until_taken();
    for (std::uint64_t pauses = rng.below(8); pauses > 0; --pauses) tideline::cpu_relax();
    push(1);
    until_taken();
  }
  shared.slept += self.slept();
  shared.lost += self.lost();
  return 0;
}

template <typename Memory>
int consume(Shared<Memory>& shared, const Bells& bells, std::uint64_t items, std::uint64_t seed) {
  bench::pin_to_core(1);
  SpscConsumer<std::uint64_t, Memory> end(
      Shared<Memory>::Ring::attach(shared.ring.data(), kCapacity));
  Side<Memory> self(shared.not_empty, bells.consumer, shared.not_full, bells.producer);
  Rng rng(seed);
  std::array<std::uint64_t, kBurst> burst{};
  std::uint64_t expected = 0;
  while (expected < items) {
    const std::size_t count = end.pop_burst({burst.data(), 1 + rng.below(kBurst)});
    for (std::size_t i = 0; i < count; ++i) {
      if (burst[i] != expected + i) shared.in_order = false;
    }
    expected += count;
    shared.consumed.store(expected, std::memory_order_release);
    if (count > 0) {
      self.notify();
    } else {
      self.wait([&] { return !end.empty(); });
    }
  }
  shared.slept += self.slept();
  shared.lost += self.lost();
  return 0;
}

// A round in two processes of its own; adds to `outcome`.
template <typename Memory>
tideline::Status run_round(const HandoverPlan& plan, std::uint64_t round,
                           HandoverOutcome& outcome) {
  auto memory = Mapping::anonymous_shared(sizeof(Shared<Memory>));
  if (!memory) return tideline::fail(memory.error());
  auto& shared = *new (memory->data()) Shared<Memory>();
  Shared<Memory>::Ring::create(shared.ring.data(), kCapacity);
  auto producer_bell = EventBell::create();
  auto consumer_bell = EventBell::create();
  if (!producer_bell || !consumer_bell) return tideline::fail({.what = "cannot create eventfds"});
  const Bells bells{std::move(*producer_bell), std::move(*consumer_bell)};

  const std::uint64_t items = std::max<std::uint64_t>(plan.items / 10, 1);
  const std::uint64_t alone_every =
      std::max<std::uint64_t>(plan.items / std::max<std::uint64_t>(plan.sleeps, 1), 2) / 2;
  const std::uint64_t seed = plan.seed + 2 * round;
  Child producer =
      Child::run([&] { return produce<Memory>(shared, bells, items, alone_every, seed); });
  Child consumer = Child::run([&] { return consume<Memory>(shared, bells, items, seed + 1); });
  const bool ended = producer.succeeded() && consumer.succeeded();
  outcome.handed_over += shared.consumed;
  outcome.slept += shared.slept;
  outcome.lost += shared.lost;
  outcome.in_order = outcome.in_order && ended && shared.in_order;
  return {};
}

}  // namespace

Result<HandoverOutcome> hand_over(const HandoverPlan& plan) {
  HandoverOutcome outcome{.in_order = true};
  const tideline::Instant begin = tideline::monotonic_now();
  for (std::uint64_t round = 0; outcome.handed_over < plan.items || outcome.slept < plan.sleeps;
       ++round) {
    const tideline::Status status = plan.fences == Fences::kInPlace
                                        ? run_round<StdMemory>(plan, round, outcome)
                                        : run_round<Unfenced>(plan, round, outcome);
    if (!status) return tideline::fail(status.error());
    if (!outcome.in_order || (plan.stop_at_first_loss && outcome.lost > 0)) break;
  }
  outcome.seconds = static_cast<double>((tideline::monotonic_now() - begin).count()) / 1e9;
  return outcome;
}

}  // namespace proofs::waiting
