// SPDX-License-Identifier: Apache-2.0
// ICMP errors that we send: how much they quote, how they are marked, from which address, about
// what none is sent, and how many in all.
#include <gtest/gtest.h>

#include "ip/test_host.h"

namespace tideline::ip {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using wire::DropReason;

class ErrorsSent : public ::testing::TestWithParam<bool> {
 protected:
  void TearDown() override { expect_healthy(*host); }

  bool six() const { return GetParam(); }
  // Of a protocol that nobody has, in the highest class of service.
  ByteVector unknown(std::size_t size) const {
    constexpr std::uint8_t kClass = 0xe0;
    const ByteVector data = pattern(size, 1);
    if (six()) {
      return ipv6(
          {.traffic_class = kClass, .next_header = 200, .source = kPeer6, .destination = kOurs6},
          data);
    }
    return ipv4({.traffic_class = kClass, .protocol = 200, .source = kPeer4, .destination = kOurs4},
                data);
  }

  std::unique_ptr<TestHost> host = TestHost::acquainted();
};

// RFC 1812 §4.3.2.3, RFC 4443 §2.4 (c): as much as the bound allows, and no padding of less.
TEST_P(ErrorsSent, RcvUnknownProtocol_OfEverySize_IsQuotedUpToTheBound) {
  const std::size_t header = six() ? sizeof(wire::Ipv6Header) : sizeof(wire::Ipv4Header);
  const std::size_t most = six() ? 1280 : 576;
  const std::size_t quotable = most - header - sizeof(wire::IcmpHeader);
  for (const std::size_t size : {std::size_t{0}, std::size_t{100}, quotable - header - 1,
                                 quotable - header, quotable - header + 1, 1500 - header}) {
    host->advance(seconds(1));
    host->meet_peer();
    const ByteVector offending = unknown(size);
    host->receive(offending);
    ASSERT_EQ(host->sent.size(), 1U) << size;
    const ByteVector error = host->next_sent();
    const ByteVector quote =
        behind(error, sizeof(wire::EthernetHeader) + header + sizeof(wire::IcmpHeader));
    EXPECT_EQ(quote, cut(behind(offending, sizeof(wire::EthernetHeader)),
                         std::min(header + size, quotable)));
    EXPECT_LE(error.size() - sizeof(wire::EthernetHeader), most);
  }
}

// RFC 1122 §3.2.2: not in the class of what they are about, which an attacker chooses.
TEST_P(ErrorsSent, RcvUnknownProtocol_OfAClass_IsReportedInNone) {
  host->receive(unknown(20));
  const ByteVector error = behind(host->next_sent(), sizeof(wire::EthernetHeader));
  if (six()) {
    EXPECT_EQ(cut(error, 4), wire::from_hex("60 00 00 00"));
  } else {
    EXPECT_EQ(cut(error, 2), wire::from_hex("45 00"));
  }
}

// Each of many hosts may be told, but all of them together no more often than the host's own limit
// allows. One error counts once or twice, at random: nobody learns from what he gets how many
// others have made us send.
TEST_P(ErrorsSent, RcvUnknownProtocol_FromManyHosts_IsReportedWithinTheHostsLimit) {
  std::uint32_t number = 0;
  const auto receive_from_another = [&] {
    ++number;
    if (six()) {
      const Ipv6Address source(0x20010db800990000, number);
      host->receive(ipv6({.next_header = 200, .source = source, .destination = kOurs6}, {}));
    } else {
      const Ipv4Address source((198U << 24 | 18U << 16) + number);
      host->receive(ipv4({.protocol = 200, .source = source, .destination = kOurs4}, {}));
    }
  };
  for (int i = 0; i < 200; ++i) receive_from_another();
  const std::size_t burst = host->sent.size();
  EXPECT_GT(burst, 25U) << "each counted twice";
  EXPECT_LT(burst, 50U) << "each counted once";
  EXPECT_EQ(host->drops(Discard::kIcmpRateLimited), 200 - burst);

  host->sent.clear();
  for (int i = 0; i < 1000; ++i) {
    host->advance(milliseconds(1));
    for (int j = 0; j < 3; ++j) receive_from_another();
    if (i % 10 == 0) host->meet_peer();
  }
  const std::size_t reported = 3000 + 200 - burst - host->drops(Discard::kIcmpRateLimited);
  EXPECT_GE(reported, 500U);
  EXPECT_LE(reported, 1000U);
}

INSTANTIATE_TEST_SUITE_P(Versions, ErrorsSent, ::testing::Bool(),
                         [](const auto& param_info) { return param_info.param ? "Ipv6" : "Ipv4"; });

// Behind destination options, one of which is unknown and wants to be reported, whoever it was sent
// to: RFC 8200 §4.2.
ByteVector behind_option_to_report(const ByteVector& message, const Ipv6Address& source,
                                   const Ipv6Address& destination) {
  return ipv6({.next_header = wire::kProtocolDestinationOptions,
               .source = source,
               .destination = destination},
              wire::from_hex("3a 00 9e 04 00 00 00 00") + message);
}

// RFC 4443 §2.4 (e.2).
TEST(Icmpv6Errors, RcvErrorCondition_AboutARedirect_IsNotReported) {
  const auto host = TestHost::acquainted();
  const auto receive = [&](const wire::Ndp& message) {
    ByteVector bytes(wire::kMaxNdpSize);
    bytes.resize(wire::emit(message, bytes));
    fill_icmpv6_checksum(bytes, kPeer6, kOurs6);
    host->receive(behind_option_to_report(bytes, kPeer6, kOurs6));
  };
  receive(wire::Redirect{.target = kOther6, .destination = kOther6});
  EXPECT_EQ(host->drops(DropReason::kIpv6OptionUnknownReport), 1U);
  EXPECT_TRUE(host->sent.empty());
  receive(wire::NeighbourSolicitation{.target = kOurs6});  // no error either, and may be reported
  EXPECT_EQ(host->sent.size(), 1U);
  expect_healthy(*host);
}

// RFC 4443 §2.2 (b): a group cannot answer, so the address of ours does that suits the sender.
TEST(Icmpv6Errors, RcvErrorCondition_AboutAGroup_IsReportedFromAnAddressOfOurs) {
  constexpr Ipv6Address kOurLinkLocal(0xfe80000000000000, 1);
  constexpr Ipv6Address kPeerLinkLocal(0xfe80000000000000, 2);
  const auto host = TestHost::acquainted();
  ASSERT_TRUE(host->stack.add_address(wire::Ipv6Prefix{kOurLinkLocal, 64}, host->now));
  host->receive(ndp(wire::NeighbourSolicitation{.target = kOurLinkLocal, .source_mac = kPeerMac},
                    kPeerLinkLocal, kOurLinkLocal));
  host->sent.clear();
  const ByteVector echo = icmpv6({.type = wire::Icmpv6Type::kEchoRequest}, pattern(8, 1));
  for (const auto& [theirs, ours] :
       {std::pair(kPeer6, kOurs6), std::pair(kPeerLinkLocal, kOurLinkLocal)}) {
    host->receive(behind_option_to_report(echo, theirs, wire::kIpv6AllNodes));
    ASSERT_EQ(host->sent.size(), 1U);
    const ByteVector error = behind(host->next_sent(), sizeof(wire::EthernetHeader));
    const auto& header = wire::view_as<wire::Ipv6Header>(wire::Bytes(error));
    EXPECT_EQ(header.source, ours) << header.source.to_text();
    EXPECT_EQ(header.destination, theirs);
    EXPECT_EQ(cut(behind(error, sizeof(wire::Ipv6Header)), 2), wire::from_hex("04 02"));
  }
  // What it was asked at stands in it otherwise.
  host->receive(behind_option_to_report(echo, kPeerLinkLocal, kOurs6));
  const ByteVector error = behind(host->next_sent(), sizeof(wire::EthernetHeader));
  EXPECT_EQ(wire::view_as<wire::Ipv6Header>(wire::Bytes(error)).source, kOurs6);
  expect_healthy(*host);
}

}  // namespace
}  // namespace tideline::ip
