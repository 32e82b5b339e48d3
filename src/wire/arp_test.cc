// SPDX-License-Identifier: Apache-2.0
#include "wire/arp.h"

#include <gtest/gtest.h>

#include "wire/test_bytes.h"
#include "wire/test_packets.h"

namespace tideline::wire {
namespace {

const ByteVector kRequest = from_hex(packets::kArpRequest.hex);

DropReason reason_of(const ByteVector& packet) { return parse_arp(packet).error(); }

TEST(Arp, ReadsARequest) {
  const auto arp = parse_arp(kRequest).value();
  EXPECT_EQ(arp.operation, ArpOperation::kRequest);
  EXPECT_EQ(arp.sender_mac.to_text(), "02:00:00:00:00:01");
  EXPECT_EQ(arp.sender_ip, Ipv4Address(192, 0, 2, 1));
  EXPECT_TRUE(arp.target_mac.is_zero());
  EXPECT_EQ(arp.target_ip, Ipv4Address(192, 0, 2, 2));
  EXPECT_TRUE(arp.sender_is_cacheable());
}

TEST(Arp, WritesWhatItRead) {
  for (const auto& sample : packets::kArpAll) {
    const ByteVector packet = from_hex(sample.hex);
    ByteVector written(28);
    EXPECT_EQ(emit(parse_arp(packet).value(), written), 28U);
    EXPECT_EQ(written, packet) << sample.name;
  }
}

TEST(Arp, ProbesAndAnnouncementsAreToldApart) {
  EXPECT_TRUE(parse_arp(from_hex(packets::kArpProbe.hex))->is_probe());
  EXPECT_FALSE(parse_arp(kRequest)->is_announcement());
  const auto announcement = parse_arp(with(kRequest, 24, {192, 0, 2, 1})).value();
  EXPECT_TRUE(announcement.is_announcement());
  EXPECT_FALSE(announcement.is_probe());
}

TEST(Arp, TruncatedIsDropped) {
  for (std::size_t size = 0; size < 28; ++size) {
    EXPECT_EQ(reason_of(cut(kRequest, size)), DropReason::kArpShort);
  }
}

TEST(Arp, WrongTypesAndLengthsAreDropped) {
  EXPECT_EQ(reason_of(with(kRequest, 0, {0, 6})), DropReason::kArpHardwareType);
  EXPECT_EQ(reason_of(with(kRequest, 2, {0x86, 0xdd})), DropReason::kArpProtocolType);
  EXPECT_EQ(reason_of(with(kRequest, 4, {8})), DropReason::kArpHardwareLength);
  EXPECT_EQ(reason_of(with(kRequest, 5, {16})), DropReason::kArpProtocolLength);
  EXPECT_EQ(reason_of(with(kRequest, 6, {0, 3})), DropReason::kArpOperation);
}

TEST(Arp, SenderWithMulticastOrBroadcastMacIsDropped) {
  EXPECT_EQ(reason_of(with(kRequest, 8, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff})),
            DropReason::kArpSenderMulticast);
  EXPECT_EQ(reason_of(with(kRequest, 8, {0x01, 0x00, 0x5e, 0, 0, 1})),
            DropReason::kArpSenderMulticast);
}

TEST(Arp, SenderWithoutAddressIsNotCached) {
  EXPECT_FALSE(parse_arp(from_hex(packets::kArpProbe.hex))->sender_is_cacheable());
  EXPECT_FALSE(parse_arp(with(kRequest, 8, {0, 0, 0, 0, 0, 0}))->sender_is_cacheable());
  EXPECT_FALSE(parse_arp(with(kRequest, 14, {224, 0, 0, 1}))->sender_is_cacheable());
  EXPECT_FALSE(parse_arp(with(kRequest, 14, {127, 0, 0, 1}))->sender_is_cacheable());
  EXPECT_FALSE(parse_arp(with(kRequest, 14, {255, 255, 255, 255}))->sender_is_cacheable());
}

}  // namespace
}  // namespace tideline::wire
