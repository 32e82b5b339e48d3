// SPDX-License-Identifier: Apache-2.0
#include "packet/roce_segmenter.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "base/random.h"
#include "packet/copy.h"
#include "wire/ethernet.h"
#include "wire/icrc.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/protocol.h"
#include "wire/test_bytes.h"
#include "wire/udp.h"

namespace tideline::packet {
namespace {

using wire::ByteVector;
using wire::operator+;
using wire::Roce;
using wire::RoceKind;
using wire::RoceService;

struct Cut {
  Roce headers;
  ByteVector payload;
  std::uint16_t identification = 0;
};

enum class Network : std::uint8_t { kIpv4, kIpv6, kGrh };

class RoceSegmentation : public testing::TestWithParam<Network> {
 protected:
  static constexpr std::uint16_t kMtu = 256;

  static ByteVector pattern(std::size_t size) {
    Rng rng(size + 1);
    ByteVector bytes(size);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(rng());
    return bytes;
  }

  static bool is_ipv4() { return GetParam() == Network::kIpv4; }

  // A frame as rdma makes it.
  PacketPtr frame(Roce roce, const ByteVector& payload) {
    roce.pad = static_cast<std::uint8_t>((4 - payload.size() % 4) % 4);
    ByteVector transport(roce.info().header_size);
    wire::emit(roce, transport);
    transport = std::move(transport) + payload + ByteVector(roce.pad + wire::kIcrcSize);
    const bool v1 = GetParam() == Network::kGrh;
    ByteVector udp(v1 ? 0 : sizeof(wire::UdpHeader));
    const auto size = static_cast<std::uint16_t>(udp.size() + transport.size());
    if (!v1) {
      wire::emit(
          wire::Udp{.source_port = 50000, .destination_port = wire::kRocePort, .length = size},
          udp);
    }
    ByteVector ip(is_ipv4() ? 20 : 40);
    if (is_ipv4()) {
      wire::emit(wire::Ipv4{.total_length = static_cast<std::uint16_t>(size + 20),
                            .identification = 0xfffe,
                            .dont_fragment = true,
                            .protocol = wire::kProtocolUdp,
                            .source = wire::Ipv4Address(192, 0, 2, 1),
                            .destination = wire::Ipv4Address(192, 0, 2, 2)},
                 ip);
    } else {
      wire::emit(wire::Ipv6{.payload_length = size,
                            .next_header = v1 ? wire::kProtocolGrh : wire::kProtocolUdp,
                            .source = wire::Ipv6Address(0x20010db800000000, 1),
                            .destination = wire::Ipv6Address(0x20010db800000000, 2)},
                 ip);
    }
    constexpr std::array kEtherTypes{wire::kEtherTypeIpv4, wire::kEtherTypeIpv6,
                                     wire::kEtherTypeRoce};
    ByteVector ethernet(sizeof(wire::EthernetHeader));
    wire::emit(wire::Ethernet{.ether_type = kEtherTypes.at(static_cast<std::size_t>(GetParam()))},
               ethernet);
    PacketPtr packet = copy_of(ethernet + ip + udp + transport, *pool_, passes_);
    packet->meta().offload = {.checksum = Checksum::kNeeded, .gso = Gso::kRoce, .gso_size = kMtu};
    return packet;
  }

  // What it becomes; each packet is whole and has its ICRC.
  std::vector<Cut> cut(PacketPtr packet) {
    auto segmenter = RoceSegmenter::create(std::move(packet));
    EXPECT_TRUE(segmenter.has_value());
    std::vector<Cut> cuts;
    while (segmenter && !segmenter->done()) {
      const PacketPtr next = segmenter->next(*pool_, passes_);
      EXPECT_NE(next, nullptr);
      if (next == nullptr) break;
      EXPECT_EQ(next->meta().offload.gso, Gso::kNone);
      ByteVector bytes(next->size());
      copy_out(*next, 0, bytes, passes_);
      cuts.push_back(read(bytes));
    }
    return cuts;
  }

  static Cut read(const ByteVector& bytes) {
    const auto layout = wire::parse_layout(bytes);
    EXPECT_TRUE(layout.has_value());
    EXPECT_EQ(layout->end, bytes.size());
    const wire::Bytes transport = layout->payload_bytes(bytes);
    Cut result{.headers = wire::parse_roce(transport).value()};
    const std::size_t header = result.headers.info().header_size;
    const std::size_t tail = result.headers.pad + wire::kIcrcSize;
    const auto payload = transport.subspan(header, transport.size() - header - tail);
    result.payload.assign(payload.begin(), payload.end());
    if (layout->ip_version == 4) {
      result.identification = layout->ipv4(bytes).identification.value();
    }
    wire::Crc32 crc = wire::start_icrc(wire::Bytes(bytes).subspan(layout->l3),
                                       std::size_t{layout->payload} - layout->l3);
    crc.add(transport.subspan(12, transport.size() - 16));
    const auto field = wire::icrc_field(crc.value());
    EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span(field)), transport.last(4)));
    return result;
  }

  std::unique_ptr<Pool> pool_ = Pool::create({.segments = 256, .huge_pages = false}).value();
  PassCounter passes_;
};

std::string name_of(const testing::TestParamInfo<Network>& info) {
  return std::array{"Ipv4", "Ipv6", "Grh"}.at(static_cast<std::size_t>(info.param));
}
INSTANTIATE_TEST_SUITE_P(Versions, RoceSegmentation,
                         testing::Values(Network::kIpv4, Network::kIpv6, Network::kGrh), name_of);

TEST_P(RoceSegmentation, AWriteBeginsWithItsAddressAndEndsWithItsImmediate) {
  const ByteVector payload = pattern(3 * kMtu + 5);
  const Roce whole{.opcode = 0x0b,
                   .solicited = true,
                   .ack_request = true,
                   .qp = 17,
                   .psn = 0xfffffe,
                   .address = 0x1234,
                   .rkey = 7,
                   .length = static_cast<std::uint32_t>(payload.size()),
                   .immediate = 99};
  const auto cuts = cut(frame(whole, payload));
  ASSERT_EQ(cuts.size(), 4U);
  const std::array names{"WRITE_FIRST", "WRITE_MIDDLE", "WRITE_MIDDLE", "WRITE_LAST_IMM"};
  ByteVector together;
  for (std::size_t i = 0; i < 4; ++i) {
    const Roce& headers = cuts[i].headers;
    EXPECT_EQ(headers.info().name, names.at(i));
    EXPECT_EQ(headers.psn, (0xfffffe + i) & 0xffffff);
    EXPECT_EQ(headers.qp, 17U);
    EXPECT_EQ(headers.ack_request, i == 3);
    EXPECT_EQ(headers.solicited, i == 3);
    EXPECT_EQ(headers.pad, i == 3 ? 3 : 0);
    if (is_ipv4()) {
      EXPECT_EQ(cuts[i].identification, (0xfffe + i) & 0xffff);
    }
    together = std::move(together) + cuts[i].payload;
  }
  EXPECT_EQ(cuts[0].headers.length, payload.size());
  EXPECT_EQ(cuts[0].headers.address, 0x1234U);
  EXPECT_EQ(cuts[3].headers.immediate, 99U);
  EXPECT_EQ(together, payload);
}

TEST_P(RoceSegmentation, APartOfAMessageNeitherBeginsNorEndsIt) {
  const auto cuts = cut(frame({.opcode = 0x01, .psn = 5}, pattern(512)));
  ASSERT_EQ(cuts.size(), 2U);
  EXPECT_EQ(cuts[0].headers.info().name, "SEND_MIDDLE");
  EXPECT_EQ(cuts[1].headers.info().name, "SEND_MIDDLE");
  const auto last = cut(frame({.opcode = 0x16, .invalidate_key = 8}, pattern(kMtu + 1)));
  ASSERT_EQ(last.size(), 2U);
  EXPECT_EQ(last[0].headers.info().name, "SEND_MIDDLE");
  EXPECT_EQ(last[1].headers.info().name, "SEND_LAST_INV");
  EXPECT_EQ(last[1].headers.invalidate_key, 8U);
}

TEST_P(RoceSegmentation, ReadResponsesHaveTheirAcknowledgementFirstAndLast) {
  const auto cuts = cut(frame({.opcode = 0x10, .syndrome = 0x1f, .msn = 3}, pattern(768)));
  ASSERT_EQ(cuts.size(), 3U);
  EXPECT_EQ(cuts[0].headers.info().name, "READ_RESPONSE_FIRST");
  EXPECT_EQ(cuts[0].headers.msn, 3U);
  EXPECT_EQ(cuts[1].headers.info().name, "READ_RESPONSE_MIDDLE");
  EXPECT_EQ(cuts[2].headers.info().name, "READ_RESPONSE_LAST");
  EXPECT_EQ(cuts[2].headers.syndrome, 0x1f);
}

TEST_P(RoceSegmentation, OnePacketStaysOneAndIsNotCopied) {
  for (const std::size_t size : {0U, 1U, 256U}) {
    const PassCounter before = passes_;
    PacketPtr packet = frame({.opcode = 0x04, .psn = 5}, pattern(size));
    const std::uint64_t made = passes_.bytes(Pass::kCopy);
    const Packet* address = packet.get();
    auto segmenter = RoceSegmenter::create(std::move(packet));
    if (!segmenter) FAIL();
    ASSERT_EQ(segmenter->count(), 1U);
    const PacketPtr sent = segmenter->next(*pool_, passes_);
    EXPECT_EQ(sent.get(), address);
    EXPECT_LE(passes_.bytes(Pass::kCopy) - made, wire::kIcrcSize);
    EXPECT_GT(passes_.total(), before.total());
  }
}

TEST_P(RoceSegmentation, WhatCannotBeCutIsRefused) {
  PacketPtr plain = frame({.opcode = 0x04}, pattern(10));
  plain->meta().offload.gso = Gso::kUdp;
  EXPECT_FALSE(RoceSegmenter::create(std::move(plain)).has_value());
  PacketPtr without = frame({.opcode = 0x04}, pattern(10));
  without->meta().offload.gso_size = 0;
  EXPECT_FALSE(RoceSegmenter::create(std::move(without)).has_value());
  EXPECT_FALSE(RoceSegmenter::create(frame({.opcode = 0x11}, pattern(1000))).has_value())
      << "an acknowledgement with payload";
  EXPECT_FALSE(RoceSegmenter::create(frame({.opcode = 0x64}, pattern(1000))).has_value())
      << "a datagram beyond the MTU";
  PacketPtr cut_off = frame({.opcode = 0x04}, pattern(1000));
  cut_off->truncate(800);
  EXPECT_FALSE(RoceSegmenter::create(std::move(cut_off)).has_value());
}

}  // namespace
}  // namespace tideline::packet
