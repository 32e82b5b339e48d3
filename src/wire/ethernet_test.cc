// SPDX-License-Identifier: Apache-2.0
#include "wire/ethernet.h"

#include <gtest/gtest.h>

#include "wire/test_bytes.h"
#include "wire/test_packets.h"

namespace tideline::wire {
namespace {

DropReason reason_of(const ByteVector& frame) { return parse_ethernet(frame).error(); }

TEST(Ethernet, ReadsAPlainFrame) {
  const auto ethernet = parse_ethernet(from_hex(packets::kEthernetPlain.hex)).value();
  EXPECT_EQ(ethernet.destination.to_text(), "02:00:00:00:00:02");
  EXPECT_EQ(ethernet.source.to_text(), "02:00:00:00:00:01");
  EXPECT_EQ(ethernet.ether_type, kEtherTypeIpv4);
  EXPECT_EQ(ethernet.header_size(), 14U);
}

TEST(Ethernet, ReadsTags) {
  const auto one = parse_ethernet(from_hex(packets::kEthernetOneVlanTag.hex)).value();
  EXPECT_EQ(one.tag_count, 1);
  EXPECT_EQ(one.tags[0].id(), 100);
  EXPECT_EQ(one.tags[0].tci, 3 << 13 | 100);
  EXPECT_EQ(one.ether_type, kEtherTypeIpv4);
  const auto two = parse_ethernet(from_hex(packets::kEthernetTwoVlanTags.hex)).value();
  EXPECT_EQ(two.tag_count, 2);
  EXPECT_EQ(two.tags[0].ether_type, kEtherTypeServiceVlan);
  EXPECT_EQ(two.tags[1].id(), 100);
  EXPECT_EQ(two.header_size(), 22U);
}

TEST(Ethernet, WritesWhatItRead) {
  for (const auto& sample : packets::kEthernetAll) {
    const ByteVector frame = from_hex(sample.hex);
    const auto ethernet = parse_ethernet(frame).value();
    ByteVector written(ethernet.header_size());
    EXPECT_EQ(emit(ethernet, written), written.size());
    EXPECT_EQ(written, cut(frame, written.size())) << sample.name;
  }
}

TEST(Ethernet, FrameShorterThanItsHeaderIsDropped) {
  const ByteVector frame = from_hex(packets::kEthernetPlain.hex);
  for (std::size_t size = 0; size < 14; ++size) {
    EXPECT_EQ(reason_of(cut(frame, size)), DropReason::kEthernetShort);
  }
}

TEST(Ethernet, EtherTypeWithoutPayloadIsDropped) {
  EXPECT_EQ(reason_of(cut(from_hex(packets::kEthernetPlain.hex), 14)), DropReason::kEthernetEmpty);
  EXPECT_EQ(reason_of(cut(from_hex(packets::kEthernetOneVlanTag.hex), 18)),
            DropReason::kEthernetEmpty);
}

TEST(Ethernet, LengthInsteadOfEtherTypeIsDropped) {
  EXPECT_EQ(reason_of(with(from_hex(packets::kEthernetPlain.hex), 12, {0x05, 0xff})),
            DropReason::kEthernetLengthField);
}

TEST(Ethernet, TruncatedOrTooManyTagsAreDropped) {
  const ByteVector tagged = from_hex(packets::kEthernetTwoVlanTags.hex);
  for (std::size_t size = 14; size < 22; ++size) {
    EXPECT_EQ(reason_of(cut(tagged, size)), DropReason::kVlanTruncated) << size;
  }
  EXPECT_EQ(reason_of(with(tagged, 20, {0x81, 0x00})), DropReason::kVlanTooDeep);
}

TEST(DropReason, EachHasADistinctNameAndAnExplanation) {
  for (std::size_t i = 0; i < kDropReasonCount; ++i) {
    const auto reason = static_cast<DropReason>(i);
    EXPECT_FALSE(name_of(reason).empty());
    EXPECT_FALSE(explain(reason).empty());
    for (std::size_t j = 0; j < i; ++j) {
      EXPECT_NE(name_of(reason), name_of(static_cast<DropReason>(j)));
    }
  }
}

}  // namespace
}  // namespace tideline::wire
