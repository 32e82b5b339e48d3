// SPDX-License-Identifier: Apache-2.0
// SipHash against its authors' vectors, and that the key matters.
#include "ip/keyed_hash.h"

#include <gtest/gtest.h>

namespace tideline::ip {
namespace {

// The key 00 01 .. 0f, and the message 00 01 02 .., of the reference implementation.
constexpr HashKey kKey{.low = 0x0706050403020100, .high = 0x0f0e0d0c0b0a0908};
constexpr std::array<std::uint64_t, 2> kMessage{0x0706050403020100, 0x0f0e0d0c0b0a0908};

TEST(KeyedHash, IsSipHash) {
  const std::span<const std::uint64_t> message(kMessage);
  EXPECT_EQ((siphash<2, 4>(kKey, message.first(0))), 0x726fdb47dd0e0e31U);
  EXPECT_EQ((siphash<2, 4>(kKey, message.first(1))), 0x93f5f5799a932462U);
  EXPECT_EQ((siphash<2, 4>(kKey, message)), 0x3f2acc7f57c29bdbU);
}

TEST(KeyedHash, DependsOnTheWholeKey) {
  const wire::Ipv6Address address(0x20010db800000000, 1);
  const std::uint64_t hash = keyed_hash(address, kKey);
  EXPECT_NE(hash, keyed_hash(address, {.low = kKey.low ^ 1, .high = kKey.high}));
  EXPECT_NE(hash, keyed_hash(address, {.low = kKey.low, .high = kKey.high ^ 1}));
  EXPECT_NE(hash, keyed_hash(wire::Ipv6Address(0x20010db800000000, 2), kKey));
}

}  // namespace
}  // namespace tideline::ip
