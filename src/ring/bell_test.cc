// SPDX-License-Identifier: Apache-2.0
#include "ring/bell.h"

#include <gtest/gtest.h>

#include <thread>

namespace tideline::ring {
namespace {

constexpr Duration kShort = std::chrono::milliseconds(1);
constexpr Duration kLong = std::chrono::seconds(30);

TEST(EventBell, ARingBeforeTheSleepIsKeptAndSeveralCountAsOne) {
  auto bell = EventBell::create();
  ASSERT_TRUE(bell.has_value());
  bell->ring();
  bell->ring();
  EXPECT_TRUE(bell->sleep(kLong));
  EXPECT_FALSE(bell->sleep(kShort));
}

TEST(EventBell, ADeadlineThatHasPassedDoesNotSleep) {
  auto bell = EventBell::create();
  ASSERT_TRUE(bell.has_value());
  EXPECT_FALSE(bell->sleep(-kLong));
  bell->ring();
  EXPECT_TRUE(bell->sleep(-kLong));
}

TEST(EventBell, SilenceTakesTheRings) {
  auto bell = EventBell::create();
  ASSERT_TRUE(bell.has_value());
  bell->silence();
  bell->ring();
  bell->silence();
  EXPECT_FALSE(bell->sleep(kShort));
}

TEST(EventBell, WakesASleeper) {
  auto bell = EventBell::create();
  ASSERT_TRUE(bell.has_value());
  std::jthread ringer([&] { bell->ring(); });
  EXPECT_TRUE(bell->sleep(kForever));
}

TEST(FutexBell, ARingBeforeTheSleepIsKeptAndSeveralCountAsOne) {
  std::atomic<std::uint32_t> rings{0};
  FutexBell sleeper(rings);
  FutexBell ringer(rings);
  ringer.ring();
  ringer.ring();
  EXPECT_TRUE(sleeper.sleep(kLong));
  EXPECT_FALSE(sleeper.sleep(kShort));
}

TEST(FutexBell, WakesASleeper) {
  std::atomic<std::uint32_t> rings{0};
  FutexBell sleeper(rings);
  std::jthread ringing([&] { FutexBell(rings).ring(); });
  EXPECT_TRUE(sleeper.sleep(kForever));
}

}  // namespace
}  // namespace tideline::ring
