// SPDX-License-Identifier: Apache-2.0
#include "wire/icmp.h"

#include <gtest/gtest.h>

#include "wire/protocol.h"
#include "wire/test_bytes.h"
#include "wire/test_packets.h"

namespace tideline::wire {
namespace {

const ByteVector kUnreachable = from_hex(packets::kIcmpPortUnreachable.hex);

DropReason reason_of(const ByteVector& message) { return parse_icmp(message).error(); }

TEST(Icmp, ReadsAnEcho) {
  const auto echo = parse_icmp(from_hex(packets::kIcmpEchoRequest.hex)).value();
  EXPECT_EQ(echo.type, IcmpType::kEchoRequest);
  EXPECT_EQ(echo.identifier, 0x4242);
  EXPECT_EQ(echo.sequence, 7);
  EXPECT_TRUE(echo.is_echo());
}

TEST(Icmp, ReadsTheQuotedHeaders) {
  const auto icmp = parse_icmp(kUnreachable).value();
  EXPECT_EQ(icmp.type, IcmpType::kUnreachable);
  EXPECT_EQ(icmp.code, kIcmpPortUnreachable);
  EXPECT_EQ(icmp.quote.source, Ipv4Address(192, 0, 2, 2));
  EXPECT_EQ(icmp.quote.destination, Ipv4Address(198, 51, 100, 7));
  EXPECT_EQ(icmp.quote.protocol, kProtocolTcp);
  EXPECT_EQ(icmp.quote.source_port(), 1234);
  EXPECT_EQ(icmp.quote.destination_port(), 443);
  EXPECT_EQ(icmp.quote.sequence_number(), 0xdeadbeef);
}

TEST(Icmp, ReadsTheQuotedEcho) {
  // The quoted packet becomes an echo request of ours.
  ByteVector message = with(kUnreachable, 8 + 9, {kProtocolIcmp});
  message = with(std::move(message), 8 + 20, {8, 0, 0x11, 0x22, 0x33, 0x44, 0x00, 0x05});
  const auto quote = parse_icmp(message)->quote;
  EXPECT_EQ(quote.icmp_type(), 8);
  EXPECT_EQ(quote.icmp_identifier(), 0x3344);
}

TEST(Icmp, ReadsWhatErrorsCarry) {
  EXPECT_EQ(parse_icmp(from_hex(packets::kIcmpFragmentationNeeded.hex))->next_hop_mtu, 1400);
  EXPECT_EQ(parse_icmp(from_hex(packets::kIcmpParameterProblem.hex))->pointer, 20);
  EXPECT_EQ(parse_icmp(from_hex(packets::kIcmpTimeExceeded.hex))->type, IcmpType::kTimeExceeded);
}

TEST(Icmp, WritesWhatItRead) {
  for (const auto& sample : packets::kIcmpAll) {
    const ByteVector message = from_hex(sample.hex);
    const auto icmp = parse_icmp(message);
    if (!icmp) continue;  // the ignored types, below
    ByteVector written(8);
    EXPECT_EQ(emit(*icmp, written), 8U);
    EXPECT_EQ(written, cut(message, 8)) << sample.name;
  }
}

TEST(Icmp, TruncatedIsDropped) {
  for (std::size_t size = 0; size < 8; ++size) {
    EXPECT_EQ(reason_of(cut(kUnreachable, size)), DropReason::kIcmpShort);
  }
}

TEST(Icmp, FragmentationNeededWithMtuBelow68IsIgnored) {
  const ByteVector message = from_hex(packets::kIcmpFragmentationNeeded.hex);
  EXPECT_EQ(reason_of(with(message, 6, {0, 0})), DropReason::kIcmpMtu);
  EXPECT_EQ(reason_of(with(message, 6, {0, 67})), DropReason::kIcmpMtu);
  EXPECT_EQ(parse_icmp(with(message, 6, {0, 68}))->next_hop_mtu, 68);
}

TEST(Icmp, QuoteOfLessThan8TransportBytesIsDropped) {
  for (std::size_t size = 8; size < 36; ++size) {
    EXPECT_EQ(reason_of(cut(kUnreachable, size)), DropReason::kIcmpQuoteShort);
  }
  EXPECT_TRUE(parse_icmp(cut(kUnreachable, 36)).has_value());
}

TEST(Icmp, QuoteWithBadInnerHeaderLengthIsDropped) {
  EXPECT_EQ(reason_of(with(kUnreachable, 8, {0x44})), DropReason::kIcmpQuoteHeader);
  EXPECT_EQ(reason_of(with(kUnreachable, 8, {0x65})), DropReason::kIcmpQuoteHeader);
  EXPECT_EQ(reason_of(with(kUnreachable, 10, {0, 19})), DropReason::kIcmpQuoteHeader);
  // The inner header claims 60 bytes that were not quoted.
  EXPECT_EQ(reason_of(with(kUnreachable, 8, {0x4f, 0, 0, 80})), DropReason::kIcmpQuoteShort);
}

TEST(Icmp, QuoteOfALaterFragmentIsDropped) {
  EXPECT_EQ(reason_of(with(kUnreachable, 8 + 6, {0, 1})), DropReason::kIcmpQuoteFragment);
}

TEST(Icmp, NoErrorIsSentAboutAnError) {
  EXPECT_TRUE(is_icmp_error_type(3) && is_icmp_error_type(5) && is_icmp_error_type(12));
  EXPECT_FALSE(is_icmp_error_type(0) || is_icmp_error_type(8) || is_icmp_error_type(13));
}

TEST(Icmp, ReadsARedirect) {
  const ByteVector message = from_hex(packets::kIcmpRedirect.hex);
  const auto redirect = parse_icmp(message);
  ASSERT_TRUE(redirect.has_value());
  EXPECT_EQ(redirect->type, IcmpType::kRedirect);
  EXPECT_EQ(redirect->gateway, Ipv4Address(192, 0, 2, 254));
  EXPECT_EQ(redirect->quote.destination, Ipv4Address(198, 51, 100, 7));
  ByteVector written(sizeof(IcmpHeader));
  emit(*redirect, written);
  EXPECT_EQ(written, cut(message, written.size()));
  EXPECT_EQ(reason_of(with(message, 1, {4})), DropReason::kIcmpRedirectCode);
}

TEST(Icmp, SourceQuenchTimestampAndMaskAreIgnored) {
  EXPECT_EQ(reason_of(from_hex(packets::kIcmpSourceQuench.hex)), DropReason::kIcmpSourceQuench);
  EXPECT_EQ(reason_of(from_hex(packets::kIcmpTimestamp.hex)), DropReason::kIcmpTimestamp);
  EXPECT_EQ(reason_of(from_hex(packets::kIcmpAddressMask.hex)), DropReason::kIcmpAddressMask);
  EXPECT_EQ(reason_of(with(kUnreachable, 0, {77})), DropReason::kIcmpType);
}

TEST(Icmp, BadChecksumIsDropped) {
  for (const auto& sample : packets::kIcmpAll) {
    const ByteVector message = from_hex(sample.hex);
    PartialChecksum good;
    good.add(message);
    EXPECT_TRUE(check_icmp_checksum(good).has_value()) << sample.name;
    PartialChecksum bad;
    bad.add(with(message, 4, {0xee}));
    EXPECT_EQ(check_icmp_checksum(bad).error(), DropReason::kIcmpChecksum);
  }
}

}  // namespace
}  // namespace tideline::wire
