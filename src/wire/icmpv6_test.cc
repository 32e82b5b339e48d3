// SPDX-License-Identifier: Apache-2.0
#include "wire/icmpv6.h"

#include <gtest/gtest.h>

#include "wire/protocol.h"
#include "wire/test_bytes.h"
#include "wire/test_packets.h"

namespace tideline::wire {
namespace {

const ByteVector kUnreachable = from_hex(packets::kIcmpv6PortUnreachable.hex);
// Its quote has destination options before TCP.
const ByteVector kTooBig = from_hex(packets::kIcmpv6PacketTooBig.hex);

DropReason reason_of(const ByteVector& message) { return parse_icmpv6(message).error(); }

TEST(Icmpv6, ReadsAnEcho) {
  const auto echo = parse_icmpv6(from_hex(packets::kIcmpv6EchoRequest.hex)).value();
  EXPECT_EQ(echo.type, Icmpv6Type::kEchoRequest);
  EXPECT_EQ(echo.identifier, 0x4242);
  EXPECT_EQ(echo.sequence, 7);
}

TEST(Icmpv6, ReadsTheQuotedHeaders) {
  const auto icmpv6 = parse_icmpv6(kUnreachable).value();
  EXPECT_EQ(icmpv6.code, kIcmpv6PortUnreachable);
  EXPECT_EQ(icmpv6.quote.source.to_text(), "2001:db8::2");
  EXPECT_EQ(icmpv6.quote.destination.to_text(), "2001:db8:1::7");
  EXPECT_EQ(icmpv6.quote.protocol, kProtocolUdp);
  EXPECT_EQ(icmpv6.quote.source_port(), 1234);
  EXPECT_EQ(icmpv6.quote.destination_port(), 443);
}

TEST(Icmpv6, QuotedExtensionHeadersAreSkipped) {
  const auto icmpv6 = parse_icmpv6(kTooBig).value();
  EXPECT_EQ(icmpv6.mtu, 1400U);
  EXPECT_EQ(icmpv6.quote.protocol, kProtocolTcp);
  EXPECT_EQ(icmpv6.quote.sequence_number(), 0xdeadbeefU);
}

TEST(Icmpv6, WritesWhatItRead) {
  for (const auto& sample : packets::kIcmpv6All) {
    const ByteVector message = from_hex(sample.hex);
    ByteVector written(8);
    EXPECT_EQ(emit(parse_icmpv6(message).value(), written), 8U);
    EXPECT_EQ(written, cut(message, 8)) << sample.name;
  }
}

TEST(Icmpv6, PointerIsRead) {
  EXPECT_EQ(parse_icmpv6(from_hex(packets::kIcmpv6ParameterProblem.hex))->pointer, 40U);
}

TEST(Icmpv6, TruncatedIsDropped) {
  for (std::size_t size = 0; size < 8; ++size) {
    EXPECT_EQ(reason_of(cut(kUnreachable, size)), DropReason::kIcmpv6Short);
  }
}

TEST(Icmpv6, QuoteOfLessThan8TransportBytesIsDropped) {
  for (std::size_t size = 8; size < 8 + 40 + 8; ++size) {
    EXPECT_EQ(reason_of(cut(kUnreachable, size)), DropReason::kIcmpv6QuoteShort);
  }
  EXPECT_TRUE(parse_icmpv6(cut(kUnreachable, 8 + 40 + 8)).has_value());
  for (std::size_t size = 8; size < 8 + 40 + 8 + 8; ++size) {
    EXPECT_EQ(reason_of(cut(kTooBig, size)), DropReason::kIcmpv6QuoteShort);
  }
}

TEST(Icmpv6, MalformedQuoteIsDropped) {
  EXPECT_EQ(reason_of(with(kUnreachable, 8, {0x45})), DropReason::kIcmpv6QuoteHeader);
  // Extension headers without end.
  ByteVector endless = cut(kUnreachable, 48);
  endless = with(std::move(endless), 14, {kProtocolDestinationOptions});
  for (int i = 0; i < 20; ++i) endless = endless + from_hex("3c00010400000000");
  EXPECT_EQ(reason_of(endless), DropReason::kIcmpv6QuoteHeader);
}

TEST(Icmpv6, QuoteOfALaterFragmentIsDropped) {
  ByteVector message = with(cut(kUnreachable, 48), 14, {kProtocolFragment});
  message = message + from_hex("1100000800000001 0102030405060708");
  EXPECT_EQ(reason_of(message), DropReason::kIcmpv6QuoteFragment);
  EXPECT_EQ(parse_icmpv6(with(message, 51, {1}))->quote.protocol, kProtocolUdp);
}

TEST(Icmpv6, PacketTooBigBelow1280IsIgnored) {
  EXPECT_EQ(reason_of(with(kTooBig, 6, {0x04, 0xff})), DropReason::kIcmpv6Mtu);
  EXPECT_EQ(reason_of(with(kTooBig, 4, {0, 0, 0, 0})), DropReason::kIcmpv6Mtu);
  EXPECT_EQ(parse_icmpv6(with(kTooBig, 6, {0x05, 0x00}))->mtu, 1280U);
}

// RFC 4443 §2.4 (a), (b).
TEST(Icmpv6, UnknownTypesAreErrorsOrDropped) {
  const ByteVector unknown = with(kUnreachable, 0, {100});
  const auto error = parse_icmpv6(unknown);
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(static_cast<unsigned>(error->type), 100U);
  EXPECT_EQ(error->quote, parse_icmpv6(kUnreachable)->quote);
  EXPECT_EQ(reason_of(with(kUnreachable, 0, {200})), DropReason::kIcmpv6Type);
  EXPECT_TRUE(is_icmpv6_error_type(100));
  EXPECT_FALSE(is_icmpv6_error_type(128));
}

TEST(Icmpv6, BadChecksumIsDropped) {
  const Ipv6Address source(0x20010db800000000, 1);
  const Ipv6Address destination(0x20010db800000000, 2);
  for (const auto& sample : packets::kIcmpv6All) {
    const ByteVector message = from_hex(sample.hex);
    auto good = pseudo_header(source, destination, kProtocolIcmpv6,
                              static_cast<std::uint32_t>(message.size()));
    auto bad = good;
    good.add(message);
    EXPECT_TRUE(check_icmpv6_checksum(good).has_value()) << sample.name;
    bad.add(with(message, 7, {0xee}));
    EXPECT_EQ(check_icmpv6_checksum(bad).error(), DropReason::kIcmpv6Checksum);
  }
}

}  // namespace
}  // namespace tideline::wire
