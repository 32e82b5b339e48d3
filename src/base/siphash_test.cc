// SPDX-License-Identifier: Apache-2.0
// SipHash against its authors' vectors.
#include "base/siphash.h"

#include <gtest/gtest.h>

namespace tideline {
namespace {

// The key 00 01 .. 0f, and the message 00 01 02 .., of the reference implementation.
constexpr HashKey kKey{.low = 0x0706050403020100, .high = 0x0f0e0d0c0b0a0908};
constexpr std::array<std::uint64_t, 2> kMessage{0x0706050403020100, 0x0f0e0d0c0b0a0908};

TEST(SipHash, MatchesPublishedVectors) {
  const std::span<const std::uint64_t> message(kMessage);
  EXPECT_EQ((siphash<2, 4>(kKey, message.first(0))), 0x726fdb47dd0e0e31U);
  EXPECT_EQ((siphash<2, 4>(kKey, message.first(1))), 0x93f5f5799a932462U);
  EXPECT_EQ((siphash<2, 4>(kKey, message)), 0x3f2acc7f57c29bdbU);
}

}  // namespace
}  // namespace tideline
