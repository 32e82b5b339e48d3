// SPDX-License-Identifier: Apache-2.0
// Offload metadata to the kernel's form and back, and headers that contradict their frame.
#include "port/vnet_header.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "port/port_test_util.h"

namespace tideline::port {
namespace {

using packet::Checksum;
using packet::Gso;
using packet::Offload;

constexpr std::uint16_t kStart = 34;

PacketPtr tcp_frame(Pool& pool, std::size_t size) {
  PacketPtr frame = testing::make_frame(pool, size, 1);
  frame->first().writable()[kStart + 12] = std::byte{0x80};  // a header of 32 bytes
  return frame;
}

TEST(VnetHeader, MetadataSurvivesTheWayThereAndBack) {
  const auto pool = testing::make_pool(64);
  for (const Gso gso : {Gso::kNone, Gso::kTcpV4, Gso::kTcpV6, Gso::kUdp}) {
    const bool segmented = gso != Gso::kNone;
    const bool udp = gso == Gso::kUdp;
    const Offload offload{
        .checksum = Checksum::kNeeded,
        .gso = gso,
        .gso_ecn = segmented && !udp,
        .checksum_start = kStart,
        .checksum_offset = 16,
        .gso_size = static_cast<std::uint16_t>(segmented ? 1000 : 0),
        .header_length = static_cast<std::uint16_t>(segmented ? kStart + (udp ? 8 : 32) : 0)};
    VnetHeader header = to_vnet(offload);
    header.hdr_len = 999;  // only a hint: the frame decides
    PacketPtr frame = tcp_frame(*pool, 5000);
    ASSERT_TRUE(from_vnet(header, *frame));
    const Offload& back = frame->meta().offload;
    EXPECT_EQ(back.checksum, offload.checksum);
    EXPECT_EQ(back.gso, offload.gso);
    EXPECT_EQ(back.gso_ecn, offload.gso_ecn);
    EXPECT_EQ(back.checksum_start, offload.checksum_start);
    EXPECT_EQ(back.checksum_offset, offload.checksum_offset);
    EXPECT_EQ(back.gso_size, offload.gso_size);
    EXPECT_EQ(back.header_length, offload.header_length);
  }
}

TEST(VnetHeader, AValidChecksumIsTold) {
  const auto pool = testing::make_pool(64);
  PacketPtr frame = tcp_frame(*pool, 100);
  ASSERT_TRUE(from_vnet(to_vnet({.checksum = Checksum::kValid}), *frame));
  EXPECT_EQ(frame->meta().offload.checksum, Checksum::kValid);
  ASSERT_TRUE(from_vnet(to_vnet({}), *frame));
  EXPECT_EQ(frame->meta().offload.checksum, Checksum::kInPacket);
}

TEST(VnetHeader, ContradictionsAreRefused) {
  const auto pool = testing::make_pool(64);
  PacketPtr frame = tcp_frame(*pool, 200);
  const VnetHeader good = to_vnet({.checksum = Checksum::kNeeded,
                                   .gso = Gso::kTcpV4,
                                   .checksum_start = kStart,
                                   .checksum_offset = 16,
                                   .gso_size = 50,
                                   .header_length = 66});
  ASSERT_TRUE(from_vnet(good, *frame));
  VnetHeader bad = good;
  bad.csum_start = 190;
  EXPECT_FALSE(from_vnet(bad, *frame)) << "the checksum lies beyond the frame";
  bad = good;
  bad.gso_size = 0;
  EXPECT_FALSE(from_vnet(bad, *frame));
  bad = good;
  bad.gso_type = 3;  // UDP fragmentation, which is no more
  EXPECT_FALSE(from_vnet(bad, *frame));
  bad = good;
  bad.flags = 0;
  EXPECT_FALSE(from_vnet(bad, *frame)) << "segments need their checksum";
  bad = good;
  bad.csum_start = 195;
  bad.csum_offset = 0;
  EXPECT_FALSE(from_vnet(bad, *frame)) << "no room for a TCP header";
  frame->first().writable()[kStart + 12] = std::byte{0x00};
  EXPECT_FALSE(from_vnet(good, *frame)) << "a TCP header without length";
}

TEST(VnetHeader, AnyHeaderIsRefusedOrMakesSense) {
  constexpr std::uint64_t kSeed = 8;
  SCOPED_TRACE(::testing::Message() << "seed " << kSeed);
  Rng rng(kSeed);
  const auto pool = testing::make_pool(64);
  int accepted = 0;
  for (int i = 0; i < 20'000; ++i) {
    PacketPtr frame = tcp_frame(*pool, 60 + rng.below(300));
    const VnetHeader header{.flags = static_cast<std::uint8_t>(rng.below(4)),
                            .gso_type = static_cast<std::uint8_t>(rng()),
                            .hdr_len = static_cast<std::uint16_t>(rng()),
                            .gso_size = static_cast<std::uint16_t>(rng.below(400)),
                            .csum_start = static_cast<std::uint16_t>(rng.below(400)),
                            .csum_offset = static_cast<std::uint16_t>(rng.below(40))};
    if (!from_vnet(header, *frame)) continue;
    ++accepted;
    const Offload& offload = frame->meta().offload;
    if (offload.checksum == Checksum::kNeeded) {
      ASSERT_LE(offload.checksum_start + offload.checksum_offset + 2U, frame->size());
    }
    if (offload.gso != Gso::kNone) {
      ASSERT_GT(offload.gso_size, 0);
      ASSERT_LT(offload.header_length, frame->size());
      ASSERT_GT(offload.header_length, offload.checksum_start);
    }
  }
  EXPECT_GT(accepted, 100);
}

}  // namespace
}  // namespace tideline::port
