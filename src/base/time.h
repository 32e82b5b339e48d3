// SPDX-License-Identifier: Apache-2.0
// Time as protocol code sees it: a value passed in. An Instant says nothing about which clock it
// came from: the monotonic clock (base/clock.h) in a running engine, a counter in a simulated
// network.
#pragma once

#include <chrono>
#include <cstdint>

namespace tideline {

using Duration = std::chrono::duration<std::int64_t, std::nano>;

// The time line of Instant. It has no now(): whoever needs the time is given it.
struct TimeLine {
  using rep = std::int64_t;
  using period = std::nano;
  using duration = Duration;
  using time_point = std::chrono::time_point<TimeLine, Duration>;
  // NOLINTNEXTLINE(readability-identifier-naming): std::chrono asks for this name
  static constexpr bool is_steady = true;
};

using Instant = TimeLine::time_point;

// A deadline that never comes.
inline constexpr Instant kNever = Instant::max();

}  // namespace tideline
