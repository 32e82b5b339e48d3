// SPDX-License-Identifier: Apache-2.0
// SipHash (Aumasson and Bernstein, 2012) over 64-bit words: a hash that nobody without its key can
// predict. With 1 and 3 rounds for tables whose keys peers choose, as hash tables commonly take it;
// with 2 and 4 where a stranger sees the result. Thread: any.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/random.h"

namespace tideline {

struct HashKey {
  std::uint64_t low = 0;
  std::uint64_t high = 0;

  static HashKey random(Rng& rng) { return {.low = rng(), .high = rng()}; }
  friend constexpr bool operator==(const HashKey&, const HashKey&) = default;
};

namespace detail {

struct SipState {
  std::uint64_t a;
  std::uint64_t b;
  std::uint64_t c;
  std::uint64_t d;

  constexpr void mix(int rounds) {
    for (; rounds > 0; --rounds) {
      a += b;
      c += d;
      b = std::rotl(b, 13) ^ a;
      d = std::rotl(d, 16) ^ c;
      a = std::rotl(a, 32);
      c += b;
      a += d;
      b = std::rotl(b, 17) ^ c;
      d = std::rotl(d, 21) ^ a;
      c = std::rotl(c, 32);
    }
  }
};

}  // namespace detail

// The hash of the words' bytes, least significant first.
template <int kWordRounds = 1, int kFinalRounds = 3>
constexpr std::uint64_t siphash(const HashKey& key, std::span<const std::uint64_t> words) {
  detail::SipState state{.a = key.low ^ 0x736f6d6570736575,
                         .b = key.high ^ 0x646f72616e646f6d,
                         .c = key.low ^ 0x6c7967656e657261,
                         .d = key.high ^ 0x7465646279746573};
  const auto absorb = [&](std::uint64_t word) {
    state.d ^= word;
    state.mix(kWordRounds);
    state.a ^= word;
  };
  for (const std::uint64_t word : words) absorb(word);
  absorb(std::uint64_t{words.size() * sizeof(std::uint64_t)} << 56);
  state.c ^= 0xff;
  state.mix(kFinalRounds);
  return state.a ^ state.b ^ state.c ^ state.d;
}

template <std::size_t kCount>
constexpr std::uint64_t siphash(const HashKey& key,
                                const std::array<std::uint64_t, kCount>& words) {
  return siphash(key, std::span<const std::uint64_t>(words));
}

}  // namespace tideline
