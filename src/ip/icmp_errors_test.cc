// SPDX-License-Identifier: Apache-2.0
// ICMP errors that we receive about datagrams of ours: what each code means to the protocol that
// has sent them, and messages with a structure that we do not know.
#include <gtest/gtest.h>

#include "ip/test_host.h"

namespace tideline::ip {
namespace {

class ErrorListener final : public UdpHandler {
 public:
  void receive(packet::PacketPtr /*payload*/, const UdpPath& /*path*/, Instant /*now*/) override {}
  void failed(const PathError& error, Instant /*now*/) override {
    errors.push_back(error);
    payload.assign(error.payload.begin(), error.payload.end());
    errors.back().payload = {};
  }

  std::vector<PathError> errors;
  ByteVector payload;  // that the last one quoted
};

class ErrorsReceived : public ::testing::Test {
 protected:
  static constexpr std::uint16_t kOurPort = 1000;

  void SetUp() override { ASSERT_TRUE(host->stack.udp().bind({.port = kOurPort}, listener)); }
  void TearDown() override {
    host->stack.udp().unbind({.port = kOurPort});
    expect_healthy(*host);
  }

  // The start of a datagram of ours, as errors quote it.
  static ByteVector quoted(bool six, const ByteVector& data) {
    ByteVector header(six ? sizeof(wire::Ipv6Header) : sizeof(wire::Ipv4Header));
    if (six) {
      wire::emit(wire::Ipv6{.payload_length = 1000,
                            .next_header = wire::kProtocolUdp,
                            .source = kOurs6,
                            .destination = kOther6},
                 header);
    } else {
      wire::emit(wire::Ipv4{.total_length = 1000,
                            .protocol = wire::kProtocolUdp,
                            .source = kOurs4,
                            .destination = kFar4},
                 header);
    }
    return std::move(header) +
           udp({.source_port = kOurPort, .destination_port = 5}, data, six, false);
  }
  // The last error that the listener was told, after a message of that type and code.
  const PathError& hear(bool six, unsigned type, unsigned code, const ByteVector& quote) {
    const std::size_t before = listener.errors.size();
    if (six) {
      ByteVector message = with(icmpv6({}, quote), 0, {type, code});
      fill_icmpv6_checksum(message, kPeer6, kOurs6);
      host->receive(ipv6(wire::kProtocolIcmpv6, message));
    } else {
      ByteVector message = with(icmp({}, quote), 0, {type, code, 0, 0});
      wire::view_as<wire::IcmpHeader>(wire::MutableBytes(message)).checksum =
          wire::be16(wire::checksum(message));
      host->receive(ipv4(wire::kProtocolIcmp, message));
    }
    EXPECT_EQ(listener.errors.size(), before + 1) << "type " << type << ", code " << code;
    if (listener.errors.empty()) listener.errors.emplace_back();
    return listener.errors.back();
  }

  std::unique_ptr<TestHost> host = TestHost::acquainted();
  ErrorListener listener;
};

struct Meaning {
  unsigned type;
  unsigned code;
  PathErrorKind kind;
};

// RFC 1122 §3.2.2.1, RFC 1812 §5.2.7.1; as Linux has them.
std::vector<Meaning> meanings4() {
  using enum PathErrorKind;
  return {
      {3, 0, kNetworkUnreachable},   // network
      {3, 1, kHostUnreachable},      // host
      {3, 2, kProtocolUnreachable},  // protocol
      {3, 3, kPortUnreachable},      // port
      {3, 5, kNetworkUnreachable},   // a source route that failed
      {3, 6, kNetworkUnreachable},   // network unknown
      {3, 7, kHostUnreachable},      // host unknown
      {3, 8, kHostUnreachable},      // source host isolated
      {3, 9, kNetworkUnreachable},   // network prohibited
      {3, 10, kHostUnreachable},     // host prohibited
      {3, 11, kNetworkUnreachable},  // network, for the type of service
      {3, 12, kHostUnreachable},     // host, for the type of service
      {3, 13, kHostUnreachable},     // communication prohibited
      {3, 14, kHostUnreachable},     // precedence not permitted
      {3, 15, kHostUnreachable},     // precedence too low
      {3, 16, kHostUnreachable},     // nobody's
      {11, 0, kTimeExceeded},        // on the way
      {11, 1, kTimeExceeded},        // while it was put together
      {12, 0, kParameterProblem},    // the pointer says where
      {12, 1, kParameterProblem},    // an option is missing
  };
}

// RFC 4443 §3.
std::vector<Meaning> meanings6() {
  using enum PathErrorKind;
  return {
      {1, 0, kNetworkUnreachable},   // no route
      {1, 1, kNetworkUnreachable},   // prohibited
      {1, 2, kHostUnreachable},      // beyond the source's scope
      {1, 3, kHostUnreachable},      // address
      {1, 4, kPortUnreachable},      // port
      {1, 5, kNetworkUnreachable},   // not from that source
      {1, 6, kNetworkUnreachable},   // the route rejects
      {1, 7, kNetworkUnreachable},   // nobody's
      {3, 0, kTimeExceeded},         // on the way
      {3, 1, kTimeExceeded},         // while it was put together
      {4, 0, kParameterProblem},     // an erroneous field
      {4, 1, kProtocolUnreachable},  // an unknown next header
      {4, 2, kParameterProblem},     // an unknown option
      {4, 3, kParameterProblem},     // a first fragment without all headers
  };
}

TEST_F(ErrorsReceived, RcvError_OfEachCode_IsToldToItsProtocol) {
  for (const bool six : {false, true}) {
    for (const Meaning& each : six ? meanings6() : meanings4()) {
      const PathError& error = hear(six, each.type, each.code, quoted(six, pattern(20, 1)));
      EXPECT_EQ(error.kind, each.kind) << "type " << each.type << ", code " << each.code;
      EXPECT_EQ(error.type, each.type);
      EXPECT_EQ(error.code, each.code);
      EXPECT_EQ(error.offender, six ? kPeer6 : Ipv6Address::mapped(kPeer4));
      EXPECT_EQ(error.quote.destination, six ? kOther6 : Ipv6Address::mapped(kFar4));
      EXPECT_EQ(error.quote.destination_port(), 5);
      EXPECT_EQ(listener.payload, pattern(20, 1));
    }
  }
}

// RFC 4884 §4.3, §5.3: behind 128 bytes of the datagram, padded, stands an extension. Hosts that
// know nothing of it are not disturbed by it, nor by the length in the header.
TEST_F(ErrorsReceived, RcvError_WithAnExtension_IsToldAsWithoutIt) {
  const ByteVector extension = wire::from_hex("20 00 00 00 00 08 01 01 00 01 01 40");
  for (const bool six : {false, true}) {
    ByteVector quote = quoted(six, pattern(20, 1));
    const std::size_t data_at = quote.size() - 20;
    quote.resize(128);
    ByteVector message = quote + extension;
    if (six) {
      ByteVector bytes = with(icmpv6({}, message), 0, {1, 3, 0, 0, 128 / 8});
      fill_icmpv6_checksum(bytes, kPeer6, kOurs6);
      host->receive(ipv6(wire::kProtocolIcmpv6, bytes));
    } else {
      ByteVector bytes = with(icmp({}, message), 0, {3, 1, 0, 0, 0, 128 / 4});
      wire::view_as<wire::IcmpHeader>(wire::MutableBytes(bytes)).checksum =
          wire::be16(wire::checksum(bytes));
      host->receive(ipv4(wire::kProtocolIcmp, bytes));
    }
    ASSERT_EQ(listener.errors.size(), six ? 2U : 1U);
    EXPECT_EQ(listener.errors.back().kind, PathErrorKind::kHostUnreachable);
    EXPECT_EQ(listener.errors.back().quote.source_port(), kOurPort);
    EXPECT_EQ(listener.payload, behind(message, data_at));  // as in Linux, to the end
  }
}

}  // namespace
}  // namespace tideline::ip
