// SPDX-License-Identifier: Apache-2.0
// The explorer itself: it must find the reorderings that x86 allows, and only those.
#include "ring/model/explorer.h"

#include <gtest/gtest.h>

#include <set>
#include <utility>

namespace tideline::ring::model {
namespace {

using Word = ModelMemory::Atomic<std::uint64_t>;
constexpr auto kRelaxed = std::memory_order_relaxed;

struct Litmus {
  Word x{0};
  Word y{0};
  std::uint64_t r1 = 0;
  std::uint64_t r2 = 0;
};

using Outcomes = std::set<std::pair<std::uint64_t, std::uint64_t>>;

// Every pair (r1, r2) with which the two bodies can end.
Outcomes outcomes_of(void (*left)(Litmus&), void (*right)(Litmus&)) {
  Outcomes seen;
  Litmus litmus;
  const auto outcome = Explorer::explore(
      [&] {
        litmus = Litmus();
        Explorer::Scenario scenario;
        scenario.bodies = {[&] { left(litmus); }, [&] { right(litmus); }};
        scenario.check = [&] {
          seen.emplace(litmus.r1, litmus.r2);
          return std::string();
        };
        return scenario;
      },
      100'000);
  EXPECT_EQ(outcome.failure, "");
  return seen;
}

// SB: store buffering. Both loads may miss both stores, unless fences stand between.
TEST(Explorer, StoreBufferingReordersWithoutFences) {
  const Outcomes seen = outcomes_of(
      [](Litmus& l) {
        l.x.store(1, kRelaxed);
        l.r1 = l.y.load(kRelaxed);
      },
      [](Litmus& l) {
        l.y.store(1, kRelaxed);
        l.r2 = l.x.load(kRelaxed);
      });
  EXPECT_EQ(seen, (Outcomes{{0, 0}, {0, 1}, {1, 0}, {1, 1}}));
}

TEST(Explorer, FencesForbidStoreBuffering) {
  const Outcomes seen = outcomes_of(
      [](Litmus& l) {
        l.x.store(1, kRelaxed);
        ModelMemory::full_fence();
        l.r1 = l.y.load(kRelaxed);
      },
      [](Litmus& l) {
        l.y.store(1, kRelaxed);
        ModelMemory::full_fence();
        l.r2 = l.x.load(kRelaxed);
      });
  EXPECT_EQ(seen, (Outcomes{{0, 1}, {1, 0}, {1, 1}}));
}

// MP: message passing. Stores reach memory in order, loads are made in order.
TEST(Explorer, StoresStayInOrder) {
  const Outcomes seen = outcomes_of(
      [](Litmus& l) {
        l.x.store(1, kRelaxed);
        l.y.store(1, kRelaxed);
      },
      [](Litmus& l) {
        l.r1 = l.y.load(kRelaxed);
        l.r2 = l.x.load(kRelaxed);
      });
  EXPECT_EQ(seen, (Outcomes{{0, 0}, {0, 1}, {1, 1}}));
}

TEST(Explorer, AThreadSeesItsOwnStores) {
  const Outcomes seen = outcomes_of(
      [](Litmus& l) {
        l.x.store(7, kRelaxed);
        l.r1 = l.x.load(kRelaxed);
      },
      [](Litmus&) {});
  EXPECT_EQ(seen, (Outcomes{{7, 0}}));
}

TEST(Explorer, AForgottenBellIsALostWakeUp) {
  Bell bell;
  const auto outcome = Explorer::explore(
      [&] {
        bell = Bell();
        return Explorer::Scenario{.bodies = {[&] { bell.sleep(); }}, .check = {}};
      },
      1000);
  EXPECT_NE(outcome.failure.find("a wake-up was lost"), std::string::npos);
}

}  // namespace
}  // namespace tideline::ring::model
