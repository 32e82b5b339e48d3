// SPDX-License-Identifier: Apache-2.0
// SipHash (Aumasson and Bernstein, 2012): a keyed hash whose outputs tell nothing of the key. Its
// short form (1-3) places connections in the table, its long form (2-4) makes what peers see:
// initial sequence numbers, cookies, ports. Thread: any.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace tideline::tcp {

struct SipKey {
  std::uint64_t k0 = 0;
  std::uint64_t k1 = 0;
};

// Of a message of whole 64-bit words.
template <int kCompress, int kFinish>
constexpr std::uint64_t siphash(const SipKey& key, std::span<const std::uint64_t> words) {
  std::array<std::uint64_t, 4> v{key.k0 ^ 0x736f6d6570736575, key.k1 ^ 0x646f72616e646f6d,
                                 key.k0 ^ 0x6c7967656e657261, key.k1 ^ 0x7465646279746573};
  const auto rounds = [&v](int count) {
    for (int i = 0; i < count; ++i) {
      v[0] += v[1];
      v[1] = std::rotl(v[1], 13) ^ v[0];
      v[0] = std::rotl(v[0], 32);
      v[2] += v[3];
      v[3] = std::rotl(v[3], 16) ^ v[2];
      v[0] += v[3];
      v[3] = std::rotl(v[3], 21) ^ v[0];
      v[2] += v[1];
      v[1] = std::rotl(v[1], 17) ^ v[2];
      v[2] = std::rotl(v[2], 32);
    }
  };
  const auto compress = [&](std::uint64_t word) {
    v[3] ^= word;
    rounds(kCompress);
    v[0] ^= word;
  };
  for (const std::uint64_t word : words) compress(word);
  compress(std::uint64_t{words.size() * 8} << 56);
  v[2] ^= 0xff;
  rounds(kFinish);
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}

constexpr std::uint64_t siphash13(const SipKey& key, std::span<const std::uint64_t> words) {
  return siphash<1, 3>(key, words);
}
constexpr std::uint64_t siphash24(const SipKey& key, std::span<const std::uint64_t> words) {
  return siphash<2, 4>(key, words);
}

}  // namespace tideline::tcp
