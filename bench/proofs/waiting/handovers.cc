// SPDX-License-Identifier: Apache-2.0
#include "proofs/waiting/handovers.h"

#include <algorithm>
#include <array>

#include "base/clock.h"
#include "base/random.h"
#include "common/process.h"
#include "proofs/waiting/station.h"

namespace proofs::waiting {
namespace {

using bench::Child;
using tideline::Duration;
using tideline::Mapping;
using tideline::Result;
using tideline::Rng;

constexpr std::size_t kProducer = 0;
constexpr std::size_t kConsumer = 1;
constexpr std::size_t kBurst = 64;
// A sleep that lasts so long although there is work was not woken.
constexpr Duration kWatchdog = std::chrono::seconds(2);

struct Shared {
  std::array<std::uint64_t, 2> sleeps;
  std::array<std::uint64_t, 2> lost;
  std::uint64_t received;
  bool in_order;
};

// A moment of work between two bursts: up to about 2 us, so that the other side runs dry at every
// point of its wait.
void dawdle(Rng& rng) {
  for (std::uint64_t spins = rng.below(64); spins > 0; --spins) tideline::cpu_relax();
}

template <std::predicate Ready>
void wait_watched(Station& self, Ready&& ready, std::uint64_t& lost) {
  const std::uint64_t begin = tideline::tsc_now();
  const bool found = self.wait(ready, kWatchdog);
  if (found && tideline::tsc_now() - begin > tideline::tsc_ticks(kWatchdog)) ++lost;
}

// `pause_every`: items between two pauses, on average.
int produce(const Exchange& exchange, Shared& shared, std::uint64_t items,
            std::uint64_t pause_every, std::uint64_t seed) {
  bench::pin_to_core(0);
  Station self(exchange, kProducer, {kConsumer}, never_spin());
  Rng rng(seed);
  std::array<Message, kBurst> burst{};
  std::uint64_t pause_at = 0;
  for (Message next = 0; next < items;) {
    const std::size_t size = std::min<std::uint64_t>(1 + rng.below(kBurst), items - next);
    for (std::size_t i = 0; i < size; ++i) burst[i] = next + i;
    const std::size_t sent = self.send(kConsumer, {burst.data(), size});
    next += sent;
    if (sent == 0) {
      wait_watched(self, [&] { return self.has_room(kConsumer); }, shared.lost[kProducer]);
    }
    if (next < pause_at) continue;
    pause_at = next + rng.below(2 * pause_every);
    dawdle(rng);
  }
  shared.sleeps[kProducer] = self.sleeps();
  return 0;
}

int consume(const Exchange& exchange, Shared& shared, std::uint64_t items, std::uint64_t seed) {
  bench::pin_to_core(1);
  Station self(exchange, kConsumer, {kProducer}, never_spin());
  Rng rng(seed);
  std::array<Message, kBurst> burst{};
  bool in_order = true;
  Message expected = 0;
  while (expected < items) {
    const std::size_t count = self.receive(kProducer, {burst.data(), 1 + rng.below(kBurst)});
    for (std::size_t i = 0; i < count; ++i) in_order = in_order && burst[i] == expected + i;
    expected += count;
    if (count == 0) {
      wait_watched(self, [&] { return self.has_input(kProducer); }, shared.lost[kConsumer]);
    }
  }
  shared.received = expected;
  shared.in_order = in_order;
  shared.sleeps[kConsumer] = self.sleeps();
  return 0;
}

}  // namespace

Result<HandoverOutcome> hand_over(std::uint64_t items, std::uint64_t sleeps, std::uint64_t seed) {
  auto memory = Mapping::anonymous_shared(sizeof(Shared));
  if (!memory) return tideline::fail(memory.error());
  HandoverOutcome outcome{.in_order = true};
  const tideline::Instant begin = tideline::monotonic_now();
  // In rounds, until there were enough of both: most pauses, not all, make the other side sleep.
  for (std::uint64_t round = 0; outcome.handed_over < items || outcome.slept < sleeps; ++round) {
    auto exchange = Exchange::create();
    if (!exchange) return tideline::fail(exchange.error());
    Shared& shared = *memory->at<Shared>(0);
    shared = Shared{};
    const std::uint64_t round_items = std::max<std::uint64_t>(items / 10, 1);
    const std::uint64_t pause_every =
        std::max<std::uint64_t>(items / std::max<std::uint64_t>(2 * sleeps, 1), 1);
    Child producer = Child::run(
        [&] { return produce(*exchange, shared, round_items, pause_every, seed + 2 * round); });
    Child consumer =
        Child::run([&] { return consume(*exchange, shared, round_items, seed + 2 * round + 1); });
    const bool ended = producer.succeeded() && consumer.succeeded();
    outcome.handed_over += shared.received;
    outcome.slept += shared.sleeps[kProducer] + shared.sleeps[kConsumer];
    outcome.lost += shared.lost[kProducer] + shared.lost[kConsumer];
    outcome.in_order = outcome.in_order && ended && shared.in_order;
    if (!outcome.in_order) break;
  }
  outcome.seconds = static_cast<double>((tideline::monotonic_now() - begin).count()) / 1e9;
  return outcome;
}

}  // namespace proofs::waiting
