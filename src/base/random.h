// SPDX-License-Identifier: Apache-2.0
// A small, fast generator for simulation, jitter and tests: xoshiro256** seeded through splitmix64
// (Blackman and Vigna, 2018). Not for secrets: keys come from getrandom(2). One thread per object.
#pragma once

#include <array>
#include <cstdint>

namespace tideline {

class Rng {
 public:
  using result_type = std::uint64_t;

  explicit Rng(std::uint64_t seed);

  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return UINT64_MAX; }
  result_type operator()();

  // Uniform in [0, bound); bound > 0.
  std::uint64_t below(std::uint64_t bound);
  // Uniform in [0, 1).
  double unit();

 private:
  std::array<std::uint64_t, 4> state_;
};

}  // namespace tideline
