// SPDX-License-Identifier: Apache-2.0
// That the whole key matters, and the whole address.
#include "ip/keyed_hash.h"

#include <gtest/gtest.h>

namespace tideline::ip {
namespace {

constexpr HashKey kKey{.low = 0x0706050403020100, .high = 0x0f0e0d0c0b0a0908};

TEST(KeyedHash, DependsOnTheWholeKey) {
  const wire::Ipv6Address address(0x20010db800000000, 1);
  const std::uint64_t hash = keyed_hash(address, kKey);
  EXPECT_NE(hash, keyed_hash(address, {.low = kKey.low ^ 1, .high = kKey.high}));
  EXPECT_NE(hash, keyed_hash(address, {.low = kKey.low, .high = kKey.high ^ 1}));
  EXPECT_NE(hash, keyed_hash(wire::Ipv6Address(0x20010db800000000, 2), kKey));
}

}  // namespace
}  // namespace tideline::ip
