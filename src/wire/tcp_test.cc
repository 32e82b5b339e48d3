// SPDX-License-Identifier: Apache-2.0
// The TCP header and its options.
#include "wire/tcp.h"

#include <gtest/gtest.h>

#include <string>

#include "wire/protocol.h"
#include "wire/test_bytes.h"
#include "wire/test_packets.h"

namespace tideline::wire {
namespace {

const ByteVector kSyn = from_hex(packets::kTcpSyn.hex);
const ByteVector kData = from_hex(packets::kTcpData.hex);

DropReason reason_of(const ByteVector& segment) { return parse_tcp(segment).error(); }

// A header with `flags` and these options, padded with zeros to a multiple of 4.
ByteVector with_options(std::uint16_t flags, std::string_view options_hex) {
  ByteVector options = from_hex(options_hex);
  options.resize((options.size() + 3) / 4 * 4);
  ByteVector header(20);
  emit(Tcp{.source_port = 1, .destination_port = 2, .flags = flags}, header);
  const auto words = static_cast<unsigned>((20 + options.size()) / 4);
  return with(header + options, 12, {words << 4 | flags >> 8});
}

TcpOptions options_of(std::uint16_t flags, std::string_view options_hex) {
  return parse_tcp(with_options(flags, options_hex)).value().options;
}

TEST(Tcp, ReadsASyn) {
  const auto tcp = parse_tcp(kSyn).value();
  EXPECT_EQ(tcp.source_port, 40000);
  EXPECT_EQ(tcp.destination_port, 80);
  EXPECT_EQ(tcp.sequence_number, 1000U);
  EXPECT_EQ(tcp.flags, kTcpSyn);
  EXPECT_EQ(tcp.window, 64240);
  EXPECT_EQ(tcp.options.mss, 1460);
  EXPECT_EQ(tcp.options.window_scale, 7);
  EXPECT_TRUE(tcp.options.sack_permitted);
  EXPECT_EQ(tcp.options.timestamps, (TcpTimestamps{1, 0}));
}

TEST(Tcp, ReadsData) {
  const auto tcp = parse_tcp(kData).value();
  EXPECT_EQ(tcp.acknowledgment_number, 5000U);
  EXPECT_EQ(tcp.flags, kTcpPsh | kTcpAck);
  EXPECT_EQ(tcp.options.timestamps, (TcpTimestamps{0x11223344, 0x55667788}));
  EXPECT_EQ(tcp.header_size(), 32U);
}

TEST(Tcp, ReadsSackFastOpenAndUserTimeout) {
  const auto sack = parse_tcp(from_hex(packets::kTcpThreeSackBlocks.hex))->options;
  ASSERT_EQ(sack.sack_count, 3);
  EXPECT_EQ(sack.sack[0], (SackBlock{2000, 3000}));
  EXPECT_EQ(sack.sack[2], (SackBlock{6000, 6001}));
  const auto cookie = parse_tcp(from_hex(packets::kTcpFastOpen.hex))->options.fast_open.value();
  EXPECT_EQ(cookie.size, 8);
  EXPECT_EQ(cookie.bytes[7], std::byte{8});
  EXPECT_EQ(parse_tcp(from_hex(packets::kTcpUserTimeout.hex))->options.user_timeout, 0x800a);
}

// The samples' options are in the usual order, so the bytes come back too.
TEST(Tcp, WritesWhatItRead) {
  for (const auto& sample : packets::kTcpAll) {
    const ByteVector segment = from_hex(sample.hex);
    const auto tcp = parse_tcp(segment).value();
    ByteVector written(tcp.header_size());
    EXPECT_EQ(emit(tcp, written), written.size());
    EXPECT_EQ(parse_tcp(written).value(), tcp) << sample.name;
    if (sample.name == packets::kTcpFastOpen.name) continue;  // padded with zeros by its maker
    EXPECT_EQ(written, cut(segment, written.size())) << sample.name;
  }
}

TEST(Tcp, AllFlagsSurviveAndReservedBitsDoNot) {
  const ByteVector all = with(kData, 12, {0x8f, 0xff});
  const auto tcp = parse_tcp(all).value();
  EXPECT_EQ(tcp.flags, 0x1ff);
  ByteVector written(32);
  emit(tcp, written);
  EXPECT_EQ(written[12], std::byte{0x81});
}

TEST(Tcp, TruncatedIsDropped) {
  for (std::size_t size = 0; size < 32; ++size) {
    EXPECT_EQ(reason_of(cut(kData, size)),
              size < 20 ? DropReason::kTcpShort : DropReason::kTcpDataOffsetBeyondSegment);
    EXPECT_EQ(check_tcp(Bytes(kData).first(size), kData.size()).error(),
              DropReason::kHeadersScattered);
  }
}

TEST(Tcp, DataOffsetBelow5IsDropped) {
  EXPECT_EQ(reason_of(with(kData, 12, {0x40})), DropReason::kTcpDataOffsetBelowHeader);
  EXPECT_EQ(reason_of(with(kData, 12, {0x00})), DropReason::kTcpDataOffsetBelowHeader);
}

TEST(Tcp, DataOffsetBeyondTheSegmentIsDropped) {
  EXPECT_EQ(reason_of(with(cut(kData, 40), 12, {0xf0})), DropReason::kTcpDataOffsetBeyondSegment);
}

TEST(Tcp, BadChecksumIsDropped) {
  for (const auto& sample : packets::kTcpAll) {
    const ByteVector segment = from_hex(sample.hex);
    const auto size = static_cast<std::uint32_t>(segment.size());
    auto good = sample.name == packets::kTcpNoOptions.name
                    ? pseudo_header(Ipv6Address(0x20010db800000000, 1),
                                    Ipv6Address(0x20010db800000000, 2), kProtocolTcp, size)
                    : pseudo_header(Ipv4Address(192, 0, 2, 1), Ipv4Address(192, 0, 2, 2),
                                    kProtocolTcp, size);
    auto bad = good;
    good.add(segment);
    EXPECT_TRUE(check_tcp_checksum(good).has_value()) << sample.name;
    bad.add(with(segment, 8, {0xee}));
    EXPECT_EQ(check_tcp_checksum(bad).error(), DropReason::kTcpChecksum);
  }
}

TEST(Tcp, UrgentPointerBeyondTheSegmentIsOnlyAPointer) {
  EXPECT_EQ(parse_tcp(with(kData, 18, {0xff, 0xff}))->urgent_pointer, 0xffff);
}

TEST(TcpOptions, AuthenticationIsReadWhereverItStands) {
  const auto data = parse_tcp(from_hex(packets::kTcpAuthenticated.hex))->options;
  ASSERT_TRUE(data.authentication.has_value());
  EXPECT_EQ(data.authentication->key_id, 0x3d);
  EXPECT_EQ(data.authentication->next_key_id, 0x54);
  EXPECT_EQ(data.authentication->mac_size, 12);
  EXPECT_EQ(data.authentication->mac[11], std::byte{0xbf});
  EXPECT_TRUE(data.timestamps.has_value());
  const auto bare = options_of(kTcpAck, "01 1d04ff00").authentication;
  ASSERT_TRUE(bare.has_value());
  EXPECT_EQ(bare->key_id, 0xff);
  EXPECT_EQ(bare->mac_size, 0);
}

// RFC 5925 §2.2.
TEST(TcpOptions, MalformedAuthenticationRefusesTheSegment) {
  EXPECT_EQ(reason_of(with_options(kTcpAck, "1d03ff00")), DropReason::kTcpAuthentication);
  EXPECT_EQ(reason_of(with_options(kTcpAck, "1d10ff0001020304")), DropReason::kTcpAuthentication);
  EXPECT_EQ(reason_of(with_options(kTcpAck, "0101011d")), DropReason::kTcpAuthentication);
  EXPECT_EQ(reason_of(with_options(kTcpAck, "1d040102 1d040102")), DropReason::kTcpAuthentication);
  const std::string md5 = "1312 000102030405060708090a0b0c0d0e0f";
  EXPECT_EQ(reason_of(with_options(kTcpAck, md5 + "1d040102")), DropReason::kTcpAuthentication);
  EXPECT_EQ(reason_of(with_options(kTcpAck, "1d040102" + md5)), DropReason::kTcpAuthentication);
  EXPECT_EQ(options_of(kTcpAck, md5), TcpOptions());
}

TEST(TcpOptions, AuthenticationIsFound) {
  const ByteVector segment = from_hex(packets::kTcpAuthenticated.hex);
  EXPECT_EQ(find_authentication(Bytes(segment).subspan(20)), 12U);
  EXPECT_EQ(find_authentication(from_hex("0101080a1122334455667788")), 12U);
  EXPECT_EQ(find_authentication(from_hex("00 1d0401")), 4U);
  EXPECT_EQ(find_authentication(from_hex("02040101 01 1d040000")), 5U);
}

// All that a segment carries beside a MAC of 96 bits fits 40 bytes.
TEST(TcpOptions, AuthenticationLeavesRoom) {
  const AuthenticationOption authentication{.mac_size = 12};
  TcpOptions syn{.timestamps = TcpTimestamps{1, 0},
                 .authentication = authentication,
                 .mss = 1460,
                 .window_scale = 7,
                 .sack_permitted = true};
  EXPECT_EQ(emitted_size(syn), 36U);
  TcpOptions data{.timestamps = TcpTimestamps{1, 0}, .authentication = authentication};
  EXPECT_EQ(emitted_size(data), 28U);
  data.sack_count = 1;
  data.sack[0] = {1, 2};
  EXPECT_EQ(emitted_size(data), 40U);
}

TEST(TcpOptions, LengthZeroOrOneRefusesTheSegment) {
  EXPECT_EQ(reason_of(with_options(kTcpSyn, "02000101")), DropReason::kTcpOptionLength);
  EXPECT_EQ(reason_of(with_options(kTcpAck, "0101fe01")), DropReason::kTcpOptionLength);
}

TEST(TcpOptions, BeyondTheDataOffsetTheRestIsIgnored) {
  EXPECT_EQ(options_of(kTcpSyn, "030307 01 02050000"), (TcpOptions{.window_scale = 7}));
  EXPECT_EQ(options_of(kTcpSyn, "010101fe"), TcpOptions());
}

TEST(TcpOptions, NothingBehindTheEndIsRead) {
  EXPECT_EQ(options_of(kTcpSyn, "00000000 020405b4"), TcpOptions());
}

TEST(TcpOptions, MssOfWrongLengthIsIgnoredAndASmallOneIsRaised) {
  EXPECT_EQ(options_of(kTcpSyn, "020305"), TcpOptions());
  EXPECT_EQ(options_of(kTcpSyn, "02040000").mss, kMinimumMss);
  EXPECT_EQ(options_of(kTcpSyn, "0204003f").mss, kMinimumMss);
  EXPECT_EQ(options_of(kTcpSyn, "02040041").mss, 65);
}

TEST(TcpOptions, OfSynsAreIgnoredElsewhere) {
  EXPECT_EQ(options_of(kTcpAck, "020405b4 0402 0303 07 2202"), TcpOptions());
  EXPECT_EQ(options_of(kTcpSyn | kTcpAck, "020405b4").mss, 1460);
}

TEST(TcpOptions, WindowScaleAbove14Becomes14) {
  EXPECT_EQ(options_of(kTcpSyn, "0303ff").window_scale, 14);
  EXPECT_EQ(options_of(kTcpSyn, "03040700"), TcpOptions());
}

TEST(TcpOptions, SackOfWrongLengthAndReversedBlocksAreIgnored) {
  EXPECT_EQ(options_of(kTcpAck, "0509 00000001000000"), TcpOptions());
  EXPECT_EQ(options_of(kTcpAck, "0502"), TcpOptions());
  EXPECT_EQ(options_of(kTcpAck, "0512 0000000200000001 0000000300000003"), TcpOptions());
  const auto mixed = options_of(kTcpAck, "0512 0000000200000001 fffffff000000010");
  ASSERT_EQ(mixed.sack_count, 1);
  EXPECT_EQ(mixed.sack[0], (SackBlock{0xfffffff0, 0x10}));
}

TEST(TcpOptions, TimestampsOfWrongLengthAreIgnored) {
  EXPECT_EQ(options_of(kTcpAck, "0809 00000001000000"), TcpOptions());
}

TEST(TcpOptions, FastOpenCookieSizes) {
  EXPECT_EQ(options_of(kTcpSyn, "2202").fast_open->size, 0);
  EXPECT_EQ(options_of(kTcpSyn, "220601020304").fast_open->size, 4);
  EXPECT_FALSE(options_of(kTcpSyn, "22050102 03").fast_open.has_value());
  EXPECT_FALSE(options_of(kTcpSyn, "22040102").fast_open.has_value());
  EXPECT_FALSE(options_of(kTcpSyn, "221401020304050607080910111213141516 1718").fast_open);
}

// RFC 9768 §3.2.3.1: two orders, four lengths, and room for more.
TEST(TcpOptions, AccurateEcnOrdersAndLengths) {
  const auto first = options_of(kTcpAck, "ac0b 000001 000002 000003").accurate_ecn.value();
  EXPECT_EQ(first.ect0(), 1U);
  EXPECT_EQ(first.ce(), 2U);
  EXPECT_EQ(first.ect1(), 3U);
  const auto second = options_of(kTcpAck, "ae0b 000001 000002 ffffff").accurate_ecn.value();
  EXPECT_EQ(second.ect0(), 0xffffffU);
  EXPECT_EQ(second.ce(), 2U);
  EXPECT_EQ(second.ect1(), 1U);
  EXPECT_EQ(options_of(kTcpAck, "ac08 000001 000002").accurate_ecn->ect1(), std::nullopt);
  EXPECT_EQ(options_of(kTcpAck, "ac05 000001").accurate_ecn->ce(), std::nullopt);
  EXPECT_EQ(options_of(kTcpAck, "ae05 000001").accurate_ecn->ect0(), std::nullopt);
  EXPECT_EQ(options_of(kTcpAck, "ac02").accurate_ecn->count, 0);
  EXPECT_EQ(options_of(kTcpAck, "ac04 0001").accurate_ecn->count, 0);
  EXPECT_EQ(options_of(kTcpAck, "ac0e 000001 000002 000003 000004").accurate_ecn->count, 3);
  for (const bool ect1_first : {false, true}) {
    TcpOptions options;
    options.accurate_ecn = {.ect1_first = ect1_first, .count = 3, .values = {7, 8, 0xfedcba}};
    const Tcp tcp{.flags = kTcpAck, .options = options};
    ByteVector written(tcp.header_size());
    EXPECT_EQ(emit(tcp, written), 32U);
    EXPECT_EQ(parse_tcp(written).value(), tcp);
  }
}

TEST(TcpOptions, AlignmentGivesWayWhereEveryByteIsNeeded) {
  TcpOptions options{.timestamps = TcpTimestamps{1, 2}, .user_timeout = 7, .sack_count = 3};
  options.sack = {SackBlock{1, 2}, SackBlock{3, 4}, SackBlock{5, 6}};
  EXPECT_EQ(emitted_size(options), 40U);
  const Tcp tcp{.flags = kTcpAck, .options = options};
  ByteVector written(60);
  EXPECT_EQ(emit(tcp, written), 60U);
  EXPECT_EQ(parse_tcp(written).value(), tcp);
}

TEST(TcpOptions, NoneTakesNoRoom) {
  EXPECT_EQ(emitted_size(TcpOptions()), 0U);
  EXPECT_EQ(Tcp().header_size(), 20U);
}

}  // namespace
}  // namespace tideline::wire
