// SPDX-License-Identifier: Apache-2.0
// Reassembly against hostile fragments, and its bounds: items 26 to 36 of the catalogue of
// malformed input that need state. Runs for both IP versions where both have the case.
#include <gtest/gtest.h>

#include <algorithm>

#include "ip/reassembly.h"
#include "ip/test_host.h"

namespace tideline::ip {
namespace {

using std::chrono::seconds;
using wire::DropReason;

class Fragments : public ::testing::TestWithParam<bool> {
 protected:
  bool six() const { return GetParam(); }

  // The echo request that all these tests cut.
  ByteVector request(std::size_t data_size) const {
    const ByteVector data = pattern(data_size, 1);
    return six() ? icmpv6({.type = wire::Icmpv6Type::kEchoRequest, .identifier = 7}, data)
                 : icmp({.type = wire::IcmpType::kEchoRequest, .identifier = 7}, data);
  }
  // The bytes [offset, offset + size) of `whole` as a fragment.
  ByteVector piece(const ByteVector& whole, std::size_t offset, std::size_t size, bool more,
                   std::uint16_t id = 1, Ipv4Address source4 = kPeer4,
                   const Ipv6Address& source6 = kPeer6) const {
    const ByteVector data = cut(behind(whole, offset), size);
    if (!six()) {
      return ipv4({.identification = id,
                   .more_fragments = more,
                   .fragment_offset = static_cast<std::uint16_t>(offset),
                   .protocol = wire::kProtocolIcmp,
                   .source = source4,
                   .destination = kOurs4,
                   .options = longer_headers ? wire::Ipv4Options{.size = 4, .bytes = kNoOperations}
                                             : wire::Ipv4Options{}},
                  data);
    }
    ByteVector header(sizeof(wire::Ipv6FragmentHeader));
    wire::emit(wire::Ipv6Fragment{.next_header = wire::kProtocolIcmpv6,
                                  .offset = static_cast<std::uint16_t>(offset),
                                  .more = more,
                                  .identification = id},
               header);
    if (longer_headers) {
      return ipv6({.next_header = wire::kProtocolDestinationOptions,
                   .source = source6,
                   .destination = kOurs6},
                  wire::from_hex("2c 00 01 04 00 00 00 00") + header + data);
    }
    return ipv6({.next_header = wire::kProtocolFragment, .source = source6, .destination = kOurs6},
                header + data);
  }
  void give(std::size_t offset, std::size_t size, bool more, std::uint16_t id = 1) {
    host->receive(piece(message, offset, size, more, id));
  }
  // Until one second before the datagram times out, with a peer that is known then.
  void pass_until_last_second() {
    host->advance(six() ? seconds(59) : seconds(29));
    EXPECT_EQ(host->drops(Discard::kReassemblyTimeout), 0U);
    host->meet_peer();
  }
  // Whether exactly one answer has been sent.
  bool answered() {
    const bool one = host->sent.size() == 1;
    host->sent.clear();
    return one;
  }

  static constexpr std::array<std::byte, wire::Ipv4Options::kMaxSize> kNoOperations{
      std::byte{1}, std::byte{1}, std::byte{1}, std::byte{1}};

  std::unique_ptr<TestHost> host = TestHost::acquainted();
  ByteVector message = request(1000);  // 1008 bytes
  bool longer_headers = false;         // of what is given: options that say nothing
};

TEST_P(Fragments, RcvFragments_InAnyOrder_AreOneDatagram) {
  std::vector<std::size_t> order = {0, 1, 2, 3};
  std::uint16_t id = 1;
  do {
    for (const std::size_t i : order) {
      give(i * 256, i == 3 ? 1008 - 768 : 256, i != 3, id);
    }
    EXPECT_TRUE(answered());
    ++id;
  } while (std::ranges::next_permutation(order).found);
  EXPECT_EQ(host->stack.reassembler().datagrams(), 0U);
  EXPECT_EQ(host->pool->in_use(), 0U);
}

TEST_P(Fragments, RcvOverlap_HalfDatagram_IsDiscardedAndStaysSo) {
  give(0, 512, true);
  give(504, 504, false);  // teardrop
  EXPECT_EQ(host->drops(Discard::kFragmentOverlap), 2U);
  EXPECT_EQ(host->pool->in_use(), 0U);
  give(0, 512, true);
  give(512, 496, false);
  EXPECT_EQ(host->drops(Discard::kFragmentPoisoned), 2U);
  EXPECT_FALSE(answered());
  host->advance(seconds(61));
  EXPECT_EQ(host->stack.reassembler().datagrams(), 0U);
}

TEST_P(Fragments, RcvOverlap_OneInsideTheOther_IsDiscarded) {
  give(0, 512, true);
  give(8, 16, true);
  EXPECT_EQ(host->drops(Discard::kFragmentOverlap), 2U);
  give(512, 496, false, 2);
  give(256, 512, true, 2);
  EXPECT_EQ(host->drops(Discard::kFragmentOverlap), 4U);
}

TEST_P(Fragments, RcvDuplicate_HalfDatagram_IsIgnored) {
  give(0, 512, true);
  give(0, 512, true);
  EXPECT_EQ(host->drops(Discard::kFragmentDuplicate), 1U);
  give(512, 496, false);
  EXPECT_TRUE(answered());
}

TEST_P(Fragments, RcvDuplicate_WithLongerHeaders_LeavesThoseOfTheFirst) {
  give(0, 512, true);
  longer_headers = true;
  give(0, 512, true);
  EXPECT_EQ(host->drops(Discard::kFragmentDuplicate), 1U);
  longer_headers = false;
  give(512, 496, false);
  EXPECT_TRUE(answered());
}

TEST_P(Fragments, Timer_DuplicateWithLongerHeaders_QuotesTheFirst) {
  give(0, 512, true);
  longer_headers = true;
  give(0, 512, true);
  longer_headers = false;
  pass_until_last_second();
  host->advance(seconds(1));
  const ByteVector frame = host->next_sent();
  const std::size_t quote = (six() ? 54 : 34) + 8;
  const ByteVector fragment = behind(piece(message, 0, 512, true), 14);
  ASSERT_GT(frame.size(), quote);
  EXPECT_TRUE(behind(frame, quote) == cut(fragment, frame.size() - quote));
  EXPECT_EQ(host->pool->in_use(), 0U);
}

TEST_P(Fragments, RcvLast_TwiceWithDifferentLengths_Discards) {
  give(512, 496, false);
  give(512, 488, false);
  EXPECT_EQ(host->drops(Discard::kFragmentTotalDiffers), 2U);
  EXPECT_EQ(host->pool->in_use(), 0U);
}

TEST_P(Fragments, RcvFragment_BeyondTheLast_Discards) {
  message = request(2000);
  give(512, 496, false);
  give(1008, 256, true);
  EXPECT_EQ(host->drops(Discard::kFragmentTotalDiffers), 2U);
  give(1008, 256, true, 2);
  give(512, 496, false, 2);
  EXPECT_EQ(host->drops(Discard::kFragmentTotalDiffers), 4U);
}

TEST_P(Fragments, RcvTinyFirst_IsPutTogetherBeforeItIsParsed) {
  if (six()) GTEST_SKIP() << "RFC 7112 refuses it: see the IPv6 parser";
  give(0, 8, true);
  for (std::size_t at = 8; at < 64; at += 8) give(at, 8, true);
  give(64, 944, false);
  EXPECT_TRUE(answered());
  EXPECT_EQ(host->pool->in_use(), 0U);
}

TEST_P(Fragments, Timer_FirstFragmentHere_SaysTimeExceeded) {
  give(0, 512, true);
  pass_until_last_second();
  EXPECT_EQ(host->stack.reassembler().datagrams(), 1U);
  host->advance(seconds(1));
  EXPECT_EQ(host->drops(Discard::kReassemblyTimeout), 1U);
  const ByteVector frame = host->next_sent();
  const std::size_t l4 = six() ? 54 : 34;
  EXPECT_EQ(frame[l4], std::byte{static_cast<std::uint8_t>(six() ? 3 : 11)});
  EXPECT_EQ(frame[l4 + 1], std::byte{1});
  // It quotes the fragment as it came.
  const ByteVector fragment = piece(message, 0, 512, true);
  const std::size_t quoted = std::min(frame.size() - l4 - 8, fragment.size() - 14);
  EXPECT_TRUE(cut(behind(frame, l4 + 8), quoted) == cut(behind(fragment, 14), quoted));
  EXPECT_EQ(host->pool->in_use(), 0U);
  EXPECT_EQ(host->stack.next_deadline() > host->now, true);
}

TEST_P(Fragments, Timer_FirstFragmentMissing_IsSilent) {
  give(512, 496, false);
  pass_until_last_second();
  host->advance(seconds(1));
  EXPECT_EQ(host->drops(Discard::kReassemblyTimeout), 1U);
  EXPECT_TRUE(host->sent.empty());
  EXPECT_EQ(host->pool->in_use(), 0U);
}

TEST_P(Fragments, RcvHalfDatagrams_TenThousandOfOneSource_StayWithinItsShare) {
  for (std::uint16_t id = 1; id <= 10000; ++id) {
    give(0, 512, true, id);
    ASSERT_LE(host->stack.reassembler().datagrams(), 256U);
    ASSERT_LE(host->stack.reassembler().segments(), 256U);
    host->sent.clear();
  }
  EXPECT_GT(host->drops(Discard::kReassemblyEvicted), 9000U);
  EXPECT_EQ(host->pool->in_use(), host->stack.reassembler().segments());
  // An honest one among them is completed.
  give(0, 512, true, 20000);
  give(512, 496, false, 20000);
  EXPECT_TRUE(answered());
}

TEST_P(Fragments, RcvHalfDatagrams_OfManySources_AreBounded) {
  Rng rng(9);
  for (std::uint32_t i = 0; i < 10000; ++i) {
    const Ipv4Address source4(static_cast<std::uint32_t>(0x0a000000 + rng.below(100000) + 1));
    const Ipv6Address source6(0x20010db8000a0000, rng());
    host->receive(piece(message, 512, 496, false, static_cast<std::uint16_t>(i), source4, source6));
    ASSERT_LE(host->stack.reassembler().datagrams(), 256U);
    ASSERT_LE(host->stack.reassembler().segments(), 1024U);
  }
  host->advance(seconds(61));
  EXPECT_EQ(host->pool->in_use(), 0U);
}

TEST_P(Fragments, RcvHalfDatagrams_OfOneSource_DoNotDriveOutAnothers) {
  if (six()) GTEST_SKIP() << "the same code";
  host->receive(piece(message, 0, 512, true, 1, kOther4));
  message = request(60000);
  // Each of these takes about thirty segments, so that the share of memory is what binds.
  for (std::uint16_t id = 1; id <= 100; ++id) {
    for (std::size_t at = 0; at < 30; ++at) give(at * 1480, 1480, true, id);
  }
  EXPECT_GT(host->drops(Discard::kReassemblyEvicted), 1000U);
  message = request(1000);
  host->sent.clear();
  host->receive(piece(message, 512, 496, false, 1, kOther4));
  // The answer waits for the other's address: it was asked for.
  ASSERT_EQ(host->sent.size(), 1U);
  EXPECT_EQ(host->sent[0][13], std::byte{0x06});
}

TEST_P(Fragments, RcvFragments_MoreThanADatagramMayHave_Discards) {
  message = request(60000);
  for (std::size_t at = 0; at < 193; ++at) give(at * 16, 16, true);
  EXPECT_EQ(host->drops(Discard::kFragmentTooMany), 193U);
  EXPECT_EQ(host->pool->in_use(), 0U);
}

TEST_P(Fragments, RcvFragments_SameIdOfOtherSource_AreKeptApart) {
  give(0, 512, true);
  host->receive(piece(message, 512, 496, false, 1, kOther4, kOther6));
  EXPECT_TRUE(host->sent.empty());
  EXPECT_EQ(host->stack.reassembler().datagrams(), 2U);
  give(512, 496, false);
  EXPECT_TRUE(answered());
}

TEST_P(Fragments, RcvFragments_LargestDatagram_IsAnswered) {
  message = request(65507);
  for (std::size_t at = 0; at < message.size(); at += 1024) {
    const std::size_t size = std::min<std::size_t>(1024, message.size() - at);
    give(at, size, at + size < message.size());
  }
  EXPECT_EQ(host->sent.size(), six() ? 46U : 45U);
  EXPECT_EQ(host->pool->in_use(), 0U);
}

void expect_echo_reply(TestHost& host, std::size_t data_size) {
  ASSERT_EQ(host.sent.size(), 1U);
  EXPECT_EQ(host.sent[0].size(), 34 + sizeof(wire::IcmpHeader) + data_size);
  expect_healthy(host);
}

INSTANTIATE_TEST_SUITE_P(Versions, Fragments, ::testing::Bool(),
                         [](const auto& param_info) { return param_info.param ? "Ipv6" : "Ipv4"; });

TEST(Ipv4Fragments, RcvFragments_SameIdOfOtherProtocol_AreKeptApart) {
  const auto host = TestHost::configured();
  const ByteVector data = pattern(16, 1);
  for (const std::uint8_t protocol : {wire::kProtocolIcmp, wire::kProtocolUdp}) {
    host->receive(ipv4({.identification = 5,
                        .more_fragments = true,
                        .protocol = protocol,
                        .source = kPeer4,
                        .destination = kOurs4},
                       data));
  }
  EXPECT_EQ(host->stack.reassembler().datagrams(), 2U);
}

TEST(Ipv4Fragments, Item33_RcvFragments_ThatForbidFragments_AreOneDatagram) {
  const auto host = TestHost::acquainted();
  const ByteVector message = icmp({.type = wire::IcmpType::kEchoRequest}, pattern(56, 1));
  for (const bool last : {false, true}) {
    host->receive(ipv4({.identification = 5,
                        .dont_fragment = true,
                        .more_fragments = !last,
                        .fragment_offset = static_cast<std::uint16_t>(last ? 32 : 0),
                        .protocol = wire::kProtocolIcmp,
                        .source = kPeer4,
                        .destination = kOurs4},
                       last ? behind(message, 32) : cut(message, 32)));
  }
  expect_echo_reply(*host, 56);
}

TEST(Ipv4Fragments, Item41_Timer_FirstFragmentOfAnIcmpError_IsSilent) {
  const auto host = TestHost::acquainted();
  const ByteVector message = icmp({.type = wire::IcmpType::kUnreachable}, pattern(56, 1));
  host->receive(ipv4({.identification = 5,
                      .more_fragments = true,
                      .protocol = wire::kProtocolIcmp,
                      .source = kPeer4,
                      .destination = kOurs4},
                     message));
  EXPECT_EQ(host->stack.reassembler().datagrams(), 1U);
  host->advance(seconds(31));
  EXPECT_EQ(host->drops(Discard::kReassemblyTimeout), 1U);
  for (const ByteVector& frame : host->sent) EXPECT_NE(frame[13], std::byte{0}) << "IPv4 was sent";
  expect_healthy(*host);
}

TEST(Ipv4Fragments, RcvPingOfDeath_IsRefused) {
  const auto host = TestHost::configured();
  host->receive(ipv4({.identification = 5,
                      .fragment_offset = 65528,
                      .protocol = wire::kProtocolIcmp,
                      .source = kPeer4,
                      .destination = kOurs4},
                     pattern(1000, 1)));
  EXPECT_EQ(host->drops(DropReason::kIpv4FragmentBeyondMaximum), 1U);
  EXPECT_EQ(host->stack.reassembler().datagrams(), 0U);
}

TEST(Ipv4Fragments, RcvPingOfDeath_ByWayOfOptionsInTheFirst_IsRefused) {
  const auto host = TestHost::configured();
  // Each fragment fits; the first one's longer header makes the whole too long.
  wire::Ipv4 header{.identification = 5,
                    .more_fragments = true,
                    .protocol = wire::kProtocolIcmp,
                    .source = kPeer4,
                    .destination = kOurs4};
  const ByteVector data = pattern(65515, 1);
  for (std::size_t at = 0; at < data.size(); at += 1480) {
    const std::size_t size = std::min<std::size_t>(1480, data.size() - at);
    header.fragment_offset = static_cast<std::uint16_t>(at);
    header.more_fragments = at + size < data.size();
    header.options = at == 0 ? wire::Ipv4Options::with_router_alert() : wire::Ipv4Options{};
    host->receive(ipv4(header, cut(behind(data, at), size)));
  }
  EXPECT_EQ(host->drops(Discard::kReassemblyTooLarge), 45U);
  EXPECT_EQ(host->pool->in_use(), 0U);
}

TEST(Ipv4Fragments, RcvCongestionMarkOnOneFragment_MarksTheDatagram) {
  const auto host = TestHost::acquainted();
  const ByteVector message = icmp({.type = wire::IcmpType::kEchoRequest}, pattern(56, 1));
  for (const bool last : {false, true}) {
    host->receive(ipv4({.traffic_class = static_cast<std::uint8_t>(last ? 3 : 2),
                        .identification = 5,
                        .more_fragments = !last,
                        .fragment_offset = static_cast<std::uint16_t>(last ? 32 : 0),
                        .protocol = wire::kProtocolIcmp,
                        .source = kPeer4,
                        .destination = kOurs4},
                       last ? behind(message, 32) : cut(message, 32)));
  }
  EXPECT_EQ(host->next_sent()[15], std::byte{3});  // the echo returns the traffic class
}

TEST(Ipv6Fragments, RcvAtomicFragment_IsAWholeDatagram) {
  const auto host = TestHost::acquainted();
  ByteVector header(sizeof(wire::Ipv6FragmentHeader));
  wire::emit(wire::Ipv6Fragment{.next_header = wire::kProtocolIcmpv6, .identification = 3}, header);
  host->receive(ipv6(wire::kProtocolFragment,
                     header + icmpv6({.type = wire::Icmpv6Type::kEchoRequest}, pattern(8, 1))));
  EXPECT_EQ(host->sent.size(), 1U);
  EXPECT_EQ(host->stack.reassembler().datagrams(), 0U);
}

TEST(Ipv6Fragments, RcvUnalignedFragment_SaysParameterProblem) {
  const auto host = TestHost::acquainted();
  ByteVector header(sizeof(wire::Ipv6FragmentHeader));
  wire::emit(wire::Ipv6Fragment{.next_header = wire::kProtocolIcmpv6, .more = true}, header);
  host->receive(ipv6(wire::kProtocolFragment, header + pattern(13, 1)));
  EXPECT_EQ(host->drops(DropReason::kIpv6FragmentUnaligned), 1U);
  const ByteVector frame = host->next_sent();
  EXPECT_EQ(frame[54], std::byte{4});
  EXPECT_EQ(frame[55], std::byte{0});
  EXPECT_EQ(frame[61], std::byte{4});  // points at the payload length
}

}  // namespace
}  // namespace tideline::ip
