// SPDX-License-Identifier: Apache-2.0
// No interleaving loses a wake-up or an item: Waiter, BasicWakeFlag, BasicNotifier and the SPSC
// ring, as they are, under the explorer. And the test can fail: a fence that is taken away on
// either side, and a wait without its second look, are found.
#include <gtest/gtest.h>

#include <array>
#include <memory>

#include "ring/model/explorer.h"
#include "ring/spsc_ring.h"
#include "ring/waiter.h"

namespace tideline::ring {
namespace {

using model::Bell;
using model::Explorer;
using model::ModelMemory;

constexpr std::uint64_t kMaxExecutions = 20'000'000;

// The policy with the fences of one thread taken away.
template <std::size_t kThread>
struct NoFenceIn : ModelMemory {
  static void full_fence() {
    if (Explorer::current()->running() != kThread) ModelMemory::full_fence();
  }
};

struct NeverSpin {
  static std::uint64_t limit(std::uint64_t) { return 0; }
  static void relax() {}
  static bool interrupted(std::uint64_t, std::uint64_t) { return false; }
  void spun() {}
  void slept() {}
};

// One direction: a ring, the consumer's flag and bell, and the producer's flag and bell for when it
// is full.
template <typename Memory>
struct Channel {
  static constexpr std::size_t kCapacity = 2;

  alignas(kCacheLine) std::array<std::byte, SpscRing<int, Memory>::bytes(kCapacity)> memory{};
  BasicWakeFlag<Memory> not_empty;
  BasicWakeFlag<Memory> not_full;
  Bell consumer_bell;
  Bell producer_bell;

  SpscRing<int, Memory> ring(bool create) {
    return create ? SpscRing<int, Memory>::create(memory.data(), kCapacity)
                  : SpscRing<int, Memory>::attach(memory.data(), kCapacity);
  }
};

template <typename Memory>
void reset(Channel<Memory>& channel) {
  std::destroy_at(&channel);
  std::construct_at(&channel);
  channel.ring(true);
}

template <typename Memory>
void produce(Channel<Memory>& channel, int first, int count) {
  SpscProducer<int, Memory> producer(channel.ring(false));
  BasicNotifier<Memory> notifier(channel.not_empty);
  Waiter<NeverSpin, Memory> waiter(channel.not_full, NeverSpin());
  for (int item = first; item < first + count; ++item) {
    while (!producer.push(item)) {
      waiter.wait([&] { return !producer.full(); }, [&] { channel.producer_bell.sleep(); });
    }
    if (notifier.should_ring()) channel.consumer_bell.ring();
  }
}

template <typename Memory>
bool consume(Channel<Memory>& channel, int first, int count) {
  SpscConsumer<int, Memory> consumer(channel.ring(false));
  BasicNotifier<Memory> notifier(channel.not_full);
  Waiter<NeverSpin, Memory> waiter(channel.not_empty, NeverSpin());
  bool in_order = true;
  for (int item = first; item < first + count; ++item) {
    int got = 0;
    while (!consumer.pop(got)) {
      waiter.wait([&] { return !consumer.empty(); }, [&] { channel.consumer_bell.sleep(); });
    }
    in_order = in_order && got == item;
    if (notifier.should_ring()) channel.producer_bell.ring();
  }
  return in_order;
}

template <typename Memory>
Explorer::Outcome explore_stream(int items) {
  auto channel = std::make_unique<Channel<Memory>>();
  bool in_order = false;
  return Explorer::explore(
      [&] {
        reset(*channel);
        in_order = false;
        Explorer::Scenario scenario;
        scenario.bodies = {[&, items] { produce(*channel, 0, items); },
                           [&, items] { in_order = consume(*channel, 0, items); }};
        scenario.check = [&] { return std::string(in_order ? "" : "items out of order"); };
        return scenario;
      },
      kMaxExecutions);
}

TEST(WakeModel, AStreamLosesNoWakeUp) {
  // Three items through a ring of two: the consumer sleeps on empty, the producer on full.
  const auto outcome = explore_stream<ModelMemory>(3);
  EXPECT_EQ(outcome.failure, "");
  EXPECT_GT(outcome.states, 10'000U);
  RecordProperty("states", static_cast<int>(outcome.states));
}

TEST(WakeModel, WithoutTheNotifiersFenceAWakeUpIsLost) {
  const auto outcome = explore_stream<NoFenceIn<0>>(1);
  EXPECT_NE(outcome.failure.find("a wake-up was lost"), std::string::npos) << outcome.failure;
}

TEST(WakeModel, WithoutTheWaitersFenceAWakeUpIsLost) {
  const auto outcome = explore_stream<NoFenceIn<1>>(1);
  EXPECT_NE(outcome.failure.find("a wake-up was lost"), std::string::npos) << outcome.failure;
}

// Two producers, a ring each, one sleeper: each rings at most once for a sleep, neither relies on
// the other.
TEST(WakeModel, TwoNotifiersOneSleeper) {
  struct Shared {
    std::array<Channel<ModelMemory>, 2> channels;
  };
  auto shared = std::make_unique<Shared>();
  const auto producer = [&](std::size_t which) {
    SpscProducer<int, ModelMemory> end(shared->channels[which].ring(false));
    BasicNotifier<ModelMemory> notifier(shared->channels[0].not_empty);
    end.push(static_cast<int>(which));
    if (notifier.should_ring()) shared->channels[0].consumer_bell.ring();
  };
  const auto consumer = [&] {
    std::array<SpscConsumer<int, ModelMemory>, 2> ends{
        SpscConsumer<int, ModelMemory>(shared->channels[0].ring(false)),
        SpscConsumer<int, ModelMemory>(shared->channels[1].ring(false))};
    Waiter<NeverSpin, ModelMemory> waiter(shared->channels[0].not_empty, NeverSpin());
    int got = 0;
    for (int received = 0; received < 2;) {
      waiter.wait([&] { return !ends[0].empty() || !ends[1].empty(); },
                  [&] { shared->channels[0].consumer_bell.sleep(); });
      for (auto& end : ends) received += end.pop(got) ? 1 : 0;
    }
  };
  const auto outcome = Explorer::explore(
      [&] {
        for (auto& channel : shared->channels) reset(channel);
        return Explorer::Scenario{
            .bodies = {[&] { producer(0); }, [&] { producer(1); }, [&] { consumer(); }},
            .check = {}};
      },
      kMaxExecutions);
  EXPECT_EQ(outcome.failure, "");
  RecordProperty("states", static_cast<int>(outcome.states));
}

// A waiter that does not look again after it has armed its flag.
TEST(WakeModel, WithoutTheSecondLookAWakeUpIsLost) {
  auto channel = std::make_unique<Channel<ModelMemory>>();
  const auto outcome = Explorer::explore(
      [&] {
        reset(*channel);
        return Explorer::Scenario{
            .bodies = {[&] { produce(*channel, 0, 1); },
                       [&] {
                         SpscConsumer<int, ModelMemory> end(channel->ring(false));
                         if (!end.empty()) return;
                         channel->not_empty.arm();
                         channel->consumer_bell.sleep();
                       }},
            .check = {}};
      },
      kMaxExecutions);
  EXPECT_NE(outcome.failure.find("a wake-up was lost"), std::string::npos) << outcome.failure;
}

}  // namespace
}  // namespace tideline::ring
