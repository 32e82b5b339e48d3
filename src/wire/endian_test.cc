// SPDX-License-Identifier: Apache-2.0
#include "wire/endian.h"

#include <gtest/gtest.h>

#include "wire/view.h"

namespace tideline::wire {
namespace {

struct Mixed {
  std::uint8_t kind;
  be16 two;
  be24 three;
  be32 four;
  be64 eight;
};
static_assert(sizeof(Mixed) == 18 && WireStruct<Mixed>);

TEST(Endian, AStructHasItsWireImage) {
  std::array<std::byte, 1 + sizeof(Mixed)> buffer{};
  // An odd address: nothing may assume alignment.
  const MutableBytes place = MutableBytes(buffer).subspan(1);
  view_as<Mixed>(place) = {.kind = 1,
                           .two = be16(0x0203),
                           .three = be24(0x040506),
                           .four = be32(0x0708090a),
                           .eight = be64(0x0b0c0d0e0f101112)};
  for (std::size_t i = 0; i < place.size(); ++i) {
    EXPECT_EQ(std::to_integer<std::size_t>(place[i]), i + 1);
  }
  const auto& read = view_as<Mixed>(Bytes(place));
  EXPECT_EQ(read.two.value(), 0x0203);
  EXPECT_EQ(read.three.value(), 0x040506U);
  EXPECT_EQ(read.four.value(), 0x0708090aU);
  EXPECT_EQ(read.eight.value(), 0x0b0c0d0e0f101112U);
}

TEST(Endian, ConvertsAtCompileTime) {
  static_assert(be24(0x123456).value() == 0x123456);
  static_assert(static_cast<std::uint16_t>(be16(0xabcd)) == 0xabcd);
  static_assert(be32(1) == be32(1) && be32(1) != be32(0x01000000));
}

}  // namespace
}  // namespace tideline::wire
