// SPDX-License-Identifier: Apache-2.0
#include "wire/roce.h"

#include <gtest/gtest.h>

#include <map>

#include "base/random.h"
#include "wire/icrc.h"
#include "wire/packet_layout.h"
#include "wire/test_bytes.h"
#include "wire/test_capture.h"
#include "wire/test_packets.h"

namespace tideline::wire {
namespace {

// A bit at a time: what every faster one must agree with.
std::uint32_t naive_crc32(Bytes bytes) {
  std::uint32_t crc = 0xffffffff;
  for (const std::byte byte : bytes) {
    crc ^= std::to_integer<std::uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc;
}

// The ICRC that a frame should have, and the one that it has.
struct Icrcs {
  std::uint32_t computed = 0;
  std::uint32_t stored = 0;
};
Icrcs icrcs_of(const ByteVector& frame) {
  const auto layout = parse_layout(frame);
  CHECK(layout.has_value());
  const Bytes packet = Bytes(frame).first(layout->end).subspan(layout->l3);
  const std::size_t bth = layout->payload - layout->l3;
  Crc32 crc = start_icrc(packet, bth);
  crc.add(packet.subspan(bth + kBthSize, packet.size() - bth - kBthSize - kIcrcSize));
  Icrcs result{.computed = crc.value()};
  std::memcpy(&result.stored, packet.last(kIcrcSize).data(), kIcrcSize);
  return result;
}

ByteVector bth_of(std::string_view frame) {
  const ByteVector bytes = from_hex(frame);
  const auto layout = parse_layout(bytes);
  return behind(cut(bytes, layout->end), layout->payload);
}

TEST(Crc32, AgreesWithTheNaiveOneAtEverySizeAndAlignment) {
  EXPECT_EQ(naive_crc32(std::as_bytes(std::span("123456789", 9))), 0xcbf43926);
  Rng rng(7);
  ByteVector bytes(5000);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(rng());
  for (std::size_t size = 0; size < 400; ++size) {
    const Bytes piece = Bytes(bytes).subspan(size % 17, size);
    const std::uint32_t expected = naive_crc32(piece);
    ASSERT_EQ(~internal::crc32_scalar(0xffffffff, piece), expected) << size;
    if (internal::has_pclmul()) {
      ASSERT_EQ(~internal::crc32_pclmul(0xffffffff, piece), expected) << size;
    }
    Crc32 crc;
    crc.add(piece.first(size / 3));
    crc.add(piece.subspan(size / 3));
    ASSERT_EQ(crc.value(), expected) << size;
  }
  Crc32 crc;
  crc.add(bytes);
  EXPECT_EQ(crc.value(), naive_crc32(bytes));
}

TEST(Icrc, AgreesWithHardwareAndScapy) {
  for (const packets::Sample& sample : packets::kRoceAll) {
    const Icrcs icrcs = icrcs_of(from_hex(sample.hex));
    EXPECT_EQ(icrcs.computed, icrcs.stored) << sample.name;
  }
}

TEST(Icrc, IgnoresWhatRoutersChangeAndNothingElse) {
  const ByteVector frame = from_hex(packets::kRoceSendOnly.hex);
  const std::uint32_t intact = icrcs_of(frame).computed;
  const std::size_t ip = 14;
  for (std::size_t at = 0; at < frame.size() - ip - kIcrcSize; ++at) {
    // Lengths and versions decide what is parsed at all.
    if (at == 0 || at == 2 || at == 3 || at == 9 || at == 24 || at == 25) continue;
    ByteVector spoilt = frame;
    spoilt[ip + at] ^= std::byte{1};
    const Bytes packet = Bytes(spoilt).subspan(ip, frame.size() - ip - kIcrcSize);
    Crc32 crc = start_icrc(packet, 28);
    crc.add(packet.subspan(28 + kBthSize));
    const bool variant =
        at == 1 || at == 8 || at == 10 || at == 11 || at == 26 || at == 27 || at == 32;
    EXPECT_EQ(crc.value() == intact, variant) << at;
  }
}

// Of 400 frames between two Linux hosts each has the ICRC that we compute, and says what we read.
TEST(Icrc, AgreesWithACaptureOfLinux) {
  std::map<std::string_view, int> seen;
  for (const ByteVector& frame : read_capture(TEST_DATA "/rxe-head.pcap")) {
    const auto layout = parse_layout(frame);
    if (!layout || layout->protocol != 17) continue;
    if (layout->udp(frame).destination_port.value() != kRocePort) continue;
    const Icrcs icrcs = icrcs_of(frame);
    ASSERT_EQ(icrcs.computed, icrcs.stored);
    const auto roce = parse_roce(layout->payload_bytes(frame));
    ASSERT_TRUE(roce.has_value());
    ++seen[roce->info().name];
    ByteVector written(layout->payload_size());
    const std::size_t size = emit(*roce, written);
    EXPECT_TRUE(
        std::ranges::equal(layout->payload_bytes(frame).first(size), Bytes(written).first(size)));
  }
  const std::map<std::string_view, int> expected{
      {"SEND_FIRST", 80}, {"SEND_MIDDLE", 160}, {"SEND_LAST", 80}, {"ACK", 80}};
  EXPECT_EQ(seen, expected);
}

TEST(Icrc, ASpoiltPacketOfTheVectorsIsFound) {
  int bad = 0;
  const auto frames = read_capture(TEST_DATA "/roce-vectors.pcap");
  ASSERT_EQ(frames.size(), 8U);
  for (const ByteVector& frame : frames) {
    const Icrcs icrcs = icrcs_of(frame);
    bad += icrcs.computed != icrcs.stored ? 1 : 0;
  }
  EXPECT_EQ(bad, 1);
}

TEST(Roce, ReadsTheHeadersOfAWrite) {
  const auto roce = parse_roce(bth_of(packets::kRoceWriteOnly.hex)).value();
  EXPECT_EQ(roce.info().name, "WRITE_ONLY");
  EXPECT_EQ(roce.pad, 3);
  EXPECT_EQ(roce.qp, 0x11U);
  EXPECT_EQ(roce.psn, 0x1001U);
  EXPECT_EQ(roce.address, 0x700012345678U);
  EXPECT_EQ(roce.rkey, 0x123U);
  EXPECT_EQ(roce.length, 13U);
}

TEST(Roce, ReadsAcknowledgements) {
  const auto ack = parse_roce(bth_of(packets::kRoceAck.hex)).value();
  EXPECT_EQ(ack.info().kind, RoceKind::kAck);
  EXPECT_EQ(ack.syndrome, 0x1f);
  EXPECT_EQ(ack.msn, 2U);
  EXPECT_EQ(parse_roce(bth_of(packets::kRoceNak.hex))->syndrome, AethSyndrome::kNakSequence);
}

TEST(Roce, ReadsACongestionNotification) {
  const auto cnp = parse_roce(bth_of(packets::kRoceCnp.hex)).value();
  EXPECT_EQ(cnp.info().kind, RoceKind::kCnp);
  EXPECT_TRUE(cnp.becn);
}

TEST(Roce, EveryOpcodeIsReadAsItWasWritten) {
  int count = 0;
  for (unsigned code = 0; code < 256; ++code) {
    const RoceOpcode& opcode = roce_opcode(static_cast<std::uint8_t>(code));
    if (!opcode.valid()) continue;
    ++count;
    Roce roce{.opcode = opcode.code,
              .solicited = true,
              .migrated = false,
              .pad = 2,
              .fecn = true,
              .ack_request = true,
              .qp = 0xabcdef,
              .psn = 0xfedcba};
    if (opcode.has(RoceExtension::kDeth)) roce.qkey = 1, roce.source_qp = 2;
    if (opcode.has(RoceExtension::kReth)) roce.address = 3, roce.rkey = 4, roce.length = 5;
    if (opcode.has(RoceExtension::kAtomic)) roce.address = 6, roce.swap_add = 7, roce.compare = 8;
    if (opcode.has(RoceExtension::kAeth)) roce.syndrome = 9, roce.msn = 10;
    if (opcode.has(RoceExtension::kAtomicAck)) roce.original = 11;
    if (opcode.has(RoceExtension::kImmediate)) roce.immediate = 12;
    if (opcode.has(RoceExtension::kInvalidate)) roce.invalidate_key = 13;
    ByteVector bytes(opcode.header_size + kIcrcSize);
    EXPECT_EQ(emit(roce, bytes), opcode.header_size);
    EXPECT_EQ(parse_roce(bytes).value(), roce) << opcode.name;
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_EQ(parse_roce(cut(bytes, size)).error(), DropReason::kRoceShort) << opcode.name;
    }
  }
  EXPECT_EQ(count, 23 + 12 + 2 + 1);
}

TEST(Roce, OtherVersionsAndReservedOpcodesAreDropped) {
  const ByteVector send = bth_of(packets::kRoceSendOnly.hex);
  EXPECT_EQ(parse_roce(with(send, 1, {0x41})).error(), DropReason::kRoceVersion);
  for (const unsigned code : {0x15U, 0x18U, 0x2cU, 0x40U, 0x66U, 0x80U, 0xa4U, 0xffU}) {
    EXPECT_EQ(parse_roce(with(send, 0, {code})).error(), DropReason::kRoceOpcode) << code;
  }
}

TEST(Roce, HeadersBeyondTheFirstSegmentAreDropped) {
  const ByteVector write = bth_of(packets::kRoceWriteOnly.hex);
  EXPECT_EQ(parse_roce(cut(write, 20), write.size()).error(), DropReason::kHeadersScattered);
  EXPECT_TRUE(parse_roce(cut(write, 28), write.size()).has_value());
}

TEST(RoceOpcode, IsFoundByWhatItMeans) {
  using enum RoceService;
  EXPECT_EQ(find_roce_opcode(kRc, RoceKind::kWrite, false, true, RoceExtension::kImmediate).code,
            0x09);
  EXPECT_EQ(find_roce_opcode(kUc, RoceKind::kSend, true, false).code, 0x20);
  EXPECT_EQ(find_roce_opcode(kUd, RoceKind::kSend, true, true).code, 0x64);
  EXPECT_FALSE(find_roce_opcode(kUd, RoceKind::kWrite, true, true).valid());
}

}  // namespace
}  // namespace tideline::wire
