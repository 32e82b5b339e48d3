// SPDX-License-Identifier: Apache-2.0
// IGMP and MLD messages.
#include "wire/group_message.h"

#include <gtest/gtest.h>

#include "wire/test_bytes.h"
#include "wire/test_packets.h"

namespace tideline::wire {
namespace {

constexpr Ipv4Address kGroup4(239, 1, 1, 1);
constexpr Ipv6Address kGroup6(0xff02000000000000, 0x10003);

auto igmp(const packets::Sample& sample) {
  const ByteVector bytes = from_hex(sample.hex);
  return parse_igmp(bytes, bytes.size());
}
auto mld(const packets::Sample& sample) {
  const ByteVector bytes = from_hex(sample.hex);
  return parse_mld(bytes, bytes.size());
}
DropReason igmp_reason(const ByteVector& bytes) { return parse_igmp(bytes, bytes.size()).error(); }
DropReason mld_reason(const ByteVector& bytes) { return parse_mld(bytes, bytes.size()).error(); }

TEST(Igmp, TellsTheVersionsOfAQueryApart) {
  using Query = GroupQuery<Ipv4Address>;
  const auto first = std::get<Query>(igmp(packets::kIgmpQuery1).value());
  EXPECT_EQ(first.version, GroupVersion::kReports);
  EXPECT_EQ(first.max_response_ms(), 10000U);
  const auto second = std::get<Query>(igmp(packets::kIgmpQuery2Group).value());
  EXPECT_EQ(second.version, GroupVersion::kLeaves);
  EXPECT_EQ(second.group, kGroup4);
  EXPECT_EQ(second.max_response_ms(), 1000U);
  const auto third = std::get<Query>(igmp(packets::kIgmpQuery3).value());
  EXPECT_EQ(third.version, GroupVersion::kRecords);
  EXPECT_EQ(third.sources, 2);
  // Code 200 is 1.1000 with exponent 4, in tenths of seconds.
  EXPECT_EQ(third.max_response_ms(), 100U * (24U << 7));
}

TEST(Igmp, ReadsReports) {
  using Report = GroupReport<Ipv4Address>;
  EXPECT_EQ(std::get<Report>(igmp(packets::kIgmpReport1).value()),
            (Report{GroupVersion::kReports, false, kGroup4}));
  EXPECT_EQ(std::get<Report>(igmp(packets::kIgmpReport2).value()),
            (Report{GroupVersion::kLeaves, false, kGroup4}));
  EXPECT_EQ(std::get<Report>(igmp(packets::kIgmpLeave2).value()),
            (Report{GroupVersion::kLeaves, true, kGroup4}));
  EXPECT_TRUE(std::holds_alternative<GroupRecords>(igmp(packets::kIgmpReport3).value()));
}

// The bytes of an independent implementation, but for the checksum, which IP fills in.
TEST(Igmp, WritesReports) {
  ByteVector out(64);
  const GroupRecord<Ipv4Address> record{GroupRecordType::kChangeToExclude, kGroup4};
  out.resize(emit(std::span(&record, 1), out));
  EXPECT_EQ(out, with(from_hex(packets::kIgmpReport3.hex), 2, {0, 0}));
  ByteVector old(64);
  old.resize(emit(GroupReport<Ipv4Address>{GroupVersion::kLeaves, true, kGroup4}, old));
  EXPECT_EQ(old, with(from_hex(packets::kIgmpLeave2.hex), 2, {0, 0}));
}

TEST(Igmp, RefusesWhatIsMalformed) {
  const ByteVector query = from_hex(packets::kIgmpQuery3.hex);
  EXPECT_EQ(igmp_reason(cut(query, 7)), DropReason::kIgmpShort);
  EXPECT_EQ(igmp_reason(cut(query, 11)), DropReason::kIgmpShort);
  EXPECT_EQ(igmp_reason(cut(query, 19)), DropReason::kIgmpSources);
  EXPECT_EQ(igmp_reason(with(query, 10, {0xff, 0xff})), DropReason::kIgmpSources);
  EXPECT_EQ(igmp_reason(with(query, 4, {10})), DropReason::kIgmpGroup);
  EXPECT_EQ(igmp_reason(with(query, 0, {0x99})), DropReason::kIgmpType);
  EXPECT_EQ(igmp_reason(with(from_hex(packets::kIgmpReport2.hex), 4, {10})),
            DropReason::kIgmpGroup);
  PartialChecksum sum;
  sum.add(query);
  EXPECT_TRUE(check_igmp_checksum(sum));
}

TEST(Mld, ReadsQueriesAndReports) {
  using Query = GroupQuery<Ipv6Address>;
  using Report = GroupReport<Ipv6Address>;
  const auto first = std::get<Query>(mld(packets::kMldQuery1).value());
  EXPECT_EQ(first.version, GroupVersion::kLeaves);
  EXPECT_EQ(first.max_response_ms(), 10000U);
  const auto second = std::get<Query>(mld(packets::kMldQuery2).value());
  EXPECT_EQ(second.version, GroupVersion::kRecords);
  EXPECT_EQ(second.group, kGroup6);
  EXPECT_EQ(second.sources, 1);
  EXPECT_EQ(second.max_response_ms(), 0x1c40U << 4);
  EXPECT_EQ(std::get<Report>(mld(packets::kMldReport1).value()),
            (Report{GroupVersion::kLeaves, false, kGroup6}));
  EXPECT_EQ(std::get<Report>(mld(packets::kMldDone1).value()),
            (Report{GroupVersion::kLeaves, true, kGroup6}));
  EXPECT_TRUE(std::holds_alternative<GroupRecords>(mld(packets::kMldReport2).value()));
}

TEST(Mld, WritesReports) {
  ByteVector out(64);
  const GroupRecord<Ipv6Address> record{GroupRecordType::kChangeToExclude, kGroup6};
  out.resize(emit(std::span(&record, 1), out));
  EXPECT_EQ(out, with(from_hex(packets::kMldReport2.hex), 2, {0, 0}));
}

TEST(Mld, RefusesWhatIsMalformed) {
  const ByteVector query = from_hex(packets::kMldQuery2.hex);
  EXPECT_EQ(mld_reason(cut(query, 7)), DropReason::kMldShort);
  EXPECT_EQ(mld_reason(cut(query, 23)), DropReason::kMldShort);
  EXPECT_EQ(mld_reason(cut(query, 27)), DropReason::kMldShort);
  EXPECT_EQ(mld_reason(cut(query, 43)), DropReason::kMldSources);
  EXPECT_EQ(mld_reason(with(query, 8, {0x20})), DropReason::kMldGroup);
  EXPECT_EQ(mld_reason(with(from_hex(packets::kMldReport1.hex), 8, {0x20})), DropReason::kMldGroup);
}

}  // namespace
}  // namespace tideline::wire
