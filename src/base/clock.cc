// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <time.h>

#include <algorithm>
#include <array>

namespace tideline {
namespace {

// Both clocks are read to some 30 ns. Each program waits for this at its start.
constexpr Duration kCalibrationStep = std::chrono::microseconds(100);

struct ClockPair {
  std::uint64_t tsc;
  Instant time;
};

// Both clocks at one moment: of several readings the one with the least time between its two TSC
// reads.
ClockPair read_both() {
  ClockPair best{};
  std::uint64_t best_width = UINT64_MAX;
  for (int i = 0; i < 8; ++i) {
    const std::uint64_t before = tsc_now();
    const Instant time = monotonic_now();
    const std::uint64_t width = tsc_now() - before;
    if (width < best_width) {
      best_width = width;
      best = {before + width / 2, time};
    }
  }
  return best;
}

double measure_tsc_hz() {
  std::array<double, 5> rates{};
  for (double& rate : rates) {
    const ClockPair start = read_both();
    const timespec step{0, kCalibrationStep.count()};
    nanosleep(&step, nullptr);
    const ClockPair end = read_both();
    rate = static_cast<double>(end.tsc - start.tsc) * 1e9 /
           static_cast<double>((end.time - start.time).count());
  }
  std::ranges::sort(rates);
  return rates[rates.size() / 2];
}

}  // namespace

double tsc_hz() {
  static const double hz = measure_tsc_hz();
  return hz;
}

std::uint64_t tsc_ticks(Duration duration) {
  return static_cast<std::uint64_t>(static_cast<double>(duration.count()) * tsc_hz() / 1e9);
}

Duration tsc_duration(std::uint64_t ticks) {
  return Duration(static_cast<std::int64_t>(static_cast<double>(ticks) * 1e9 / tsc_hz()));
}

}  // namespace tideline
