// SPDX-License-Identifier: Apache-2.0
// What a host sends, and from which address, whatever the protocols above ask for: RFC 1122
// §3.2.1.3, §3.3.6; and the numbers of what is cut: RFC 6864, RFC 8200 §4.5, RFC 7739.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "ip/test_host.h"

namespace tideline::ip {
namespace {

const Ipv6Address kNobody4 = Ipv6Address::mapped(Ipv4Address(192, 0, 2, 77));
const Ipv6Address kNobody6(0x20010db800000000, 77);

TEST(Sending, SndPacket_SourceNotOurs_IsRefused) {
  // Of which one is tested whether another has it, and is not ours yet.
  StackOptions options = kTestStack;
  options.ndp.duplicate_probes = 1;
  const Ipv6Address tentative(0x20010db800000000, 9);
  const auto host = TestHost::acquainted();
  TestHost testing(options);
  ASSERT_TRUE(testing.stack.add_address(wire::Ipv6Prefix{tentative, 64}, testing.now));
  const auto send = [](TestHost& from, const Ipv6Address& source, const Ipv6Address& destination) {
    return from.stack.send(
        from.packet_of(pattern(20, 1)),
        {.source = source, .destination = destination, .protocol = wire::kProtocolUdp}, from.now);
  };
  const Ipv6Address peer4 = Ipv6Address::mapped(kPeer4);
  const Ipv6Address ours4 = Ipv6Address::mapped(kOurs4);
  const auto mapped = [](std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
    return Ipv6Address::mapped(Ipv4Address(a, b, c, d));
  };
  std::uint64_t refused = 0;
  for (const Ipv6Address& source : {kNobody4, peer4, mapped(0, 0, 0, 0), mapped(127, 0, 0, 1),
                                    mapped(192, 0, 2, 255), mapped(224, 0, 0, 1), kOurs6}) {
    const Sent sent = send(*host, source, peer4);
    ASSERT_FALSE(sent) << source.to_text();
    EXPECT_EQ(sent.error(), Discard::kSourceNotOurs);
    EXPECT_EQ(host->drops(Discard::kSourceNotOurs), ++refused);
  }
  for (const Ipv6Address& source : {kNobody6, kPeer6, Ipv6Address(), Ipv6Address(0, 1),
                                    Ipv6Address(wire::kIpv6AllNodes), ours4}) {
    const Sent sent = send(*host, source, kPeer6);
    ASSERT_FALSE(sent) << source.to_text();
    EXPECT_EQ(sent.error(), Discard::kSourceNotOurs);
    EXPECT_EQ(host->drops(Discard::kSourceNotOurs), ++refused);
  }
  EXPECT_TRUE(host->sent.empty());
  EXPECT_TRUE(send(*host, ours4, peer4));
  EXPECT_TRUE(send(*host, kOurs6, kPeer6));
  EXPECT_EQ(host->sent.size(), 2U);
  EXPECT_FALSE(send(testing, tentative, kPeer6));
  EXPECT_EQ(testing.drops(Discard::kSourceNotOurs), 1U);
  expect_healthy(*host);
}

TEST(Sending, AddAddress_ThatNoHostCanHave_IsRefused) {
  TestHost host;
  for (const Ipv4Address address :
       {Ipv4Address(), Ipv4Address(127, 0, 0, 1), Ipv4Address(127, 255, 255, 254),
        Ipv4Address(224, 0, 0, 1), Ipv4Address(239, 1, 1, 1), Ipv4Address(240, 0, 0, 1),
        Ipv4Address(255, 255, 255, 255)}) {
    const Status added = host.stack.add_address(wire::Ipv4Prefix{address, 8}, host.now);
    ASSERT_FALSE(added) << address.to_text();
    EXPECT_EQ(added.error().kind, ErrorKind::kUsage);
  }
  for (const Ipv6Address& address :
       {Ipv6Address(), Ipv6Address(0, 1), Ipv6Address(wire::kIpv6AllNodes),
        Ipv6Address(0xff0e000000000000, 7), Ipv6Address::mapped(kOurs4)}) {
    const Status added = host.stack.add_address(wire::Ipv6Prefix{address, 64}, host.now);
    ASSERT_FALSE(added) << address.to_text();
    EXPECT_EQ(added.error().kind, ErrorKind::kUsage);
  }
  EXPECT_TRUE(host.stack.addresses().ipv4().empty());
  EXPECT_TRUE(host.stack.addresses().ipv6().empty());
  EXPECT_TRUE(host.stack.routes4().all().empty());
  EXPECT_TRUE(host.stack.routes6().all().empty());
}

// Nobody is asked where they are.
TEST(Sending, SndPacket_ToABroadcast_IsABroadcastOfTheLink) {
  const auto host = TestHost::configured();
  const auto send_to = [&](Ipv4Address destination) {
    const UdpPath path{.source = {.address = Ipv6Address::mapped(kOurs4), .port = 1000},
                       .destination = {.address = Ipv6Address::mapped(destination), .port = 5}};
    ASSERT_TRUE(host->stack.udp().send(host->packet_of(pattern(2000, 1)), path, host->now));
  };
  const ByteVector everybody = wire::from_hex("ff ff ff ff ff ff");
  for (const Ipv4Address broadcast :
       {Ipv4Address(192, 0, 2, 255), Ipv4Address(255, 255, 255, 255)}) {
    send_to(broadcast);
    ASSERT_EQ(host->sent.size(), 2U);  // in two pieces
    for (int i = 0; i < 2; ++i) EXPECT_EQ(cut(host->next_sent(), 6), everybody);
  }
  send_to(Ipv4Address(239, 1, 2, 3));
  ASSERT_EQ(host->sent.size(), 2U);
  EXPECT_EQ(cut(host->next_sent(), 6), wire::from_hex("01 00 5e 01 02 03"));
  host->sent.clear();
  // Of another network: to the router, who may know more.
  send_to(Ipv4Address(198, 51, 100, 255));
  EXPECT_EQ(cut(behind(host->next_sent(), 12), 2), wire::from_hex("08 06"));
  host->advance(std::chrono::seconds(5));
}

// --- Identifications ---

std::uint32_t identification_of(const ByteVector& frame) {
  const auto layout = wire::parse_layout(frame);
  EXPECT_TRUE(layout.has_value() && layout->is_fragment());
  if (layout->ip_version == 4) {
    return wire::view_as<wire::be16>(wire::Bytes(frame).subspan(14 + 4)).value();
  }
  return wire::parse_ipv6_fragment(wire::Bytes(frame).subspan(layout->fragment_header))
      ->identification;
}

TEST(Identifications, SndDatagrams_ThatAreCut_EachHasItsOwn) {
  for (const bool six : {false, true}) {
    const auto host = TestHost::acquainted();
    const Ipv6Address ours = six ? kOurs6 : Ipv6Address::mapped(kOurs4);
    const Ipv6Address peer = six ? kPeer6 : Ipv6Address::mapped(kPeer4);
    std::set<std::uint32_t> seen;
    for (int i = 0; i < 200; ++i) {
      ASSERT_TRUE(host->stack.udp().send(
          host->packet_of(pattern(2000, 1)),
          {.source = {.address = ours, .port = 1000}, .destination = {.address = peer, .port = 5}},
          host->now));
      ASSERT_EQ(host->sent.size(), 2U);
      const std::uint32_t first = identification_of(host->next_sent());
      EXPECT_EQ(identification_of(host->next_sent()), first);
      EXPECT_TRUE(seen.insert(first).second) << first;
    }
  }
}

// None comes again before all have been used, whatever goes to others meanwhile.
TEST(Identifications, OfOneDestination_ComeRoundAsLateAsTheyCan) {
  Rng rng(1);
  IdentificationSource source(rng);
  std::vector<bool> seen(1 << 16);
  for (std::uint32_t i = 0; i < seen.size(); ++i) {
    const auto number = static_cast<std::uint16_t>(source.next(kOurs4, kPeer4, wire::kProtocolUdp));
    ASSERT_FALSE(seen[number]) << i;
    seen[number] = true;
  }
  // Two that take turns, and have hardly the same counter.
  std::set<std::uint32_t> seen6;
  for (std::uint32_t i = 0; i < 100'000; ++i) {
    ASSERT_TRUE(seen6.insert(source.next(kOurs6, kPeer6, wire::kProtocolUdp)).second) << i;
    (void)source.next(kOurs6, kOther6, wire::kProtocolUdp);
  }
}

// RFC 7739 §5.3: where a counter begins is a secret of the host's, and no two destinations (or
// protocols, or sources) have the same but by chance, so that nobody learns from his own numbers
// what others get.
TEST(Identifications, OfOneDestination_SayNothingOfAnothers) {
  constexpr std::uint32_t kNear = 1 << 16;
  const auto near = [](std::uint32_t a, std::uint32_t b) { return std::min(a - b, b - a) < kNear; };
  int alike = 0;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Rng rng(seed);
    IdentificationSource source(rng);
    const std::uint32_t peers = source.next(kOurs6, kPeer6, wire::kProtocolUdp);
    alike += near(peers, source.next(kOurs6, kOther6, wire::kProtocolUdp)) ? 1 : 0;
    alike += near(peers, source.next(kOurs6, kPeer6, wire::kProtocolTcp)) ? 1 : 0;
    alike += near(peers, source.next(kOther6, kPeer6, wire::kProtocolUdp)) ? 1 : 0;
    Rng another_rng(seed + 1000);
    IdentificationSource another(another_rng);
    alike += near(peers, another.next(kOurs6, kPeer6, wire::kProtocolUdp)) ? 1 : 0;
  }
  EXPECT_LE(alike, 5) << "of 200";
}

}  // namespace
}  // namespace tideline::ip
