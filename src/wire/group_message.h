// SPDX-License-Identifier: Apache-2.0
// How hosts tell routers which groups they want: IGMP for IPv4 (RFC 1112, 2236, 3376) and MLD for
// IPv6 (RFC 2710, 3810), which say the same in different bytes. Sources are not told apart here:
// hosts join groups as a whole, and of a query's sources only the number is read. Thread: any.
#pragma once

#include <cstdint>
#include <span>
#include <variant>

#include "wire/checksum.h"
#include "wire/drop_reason.h"
#include "wire/ip_address.h"
#include "wire/view.h"

namespace tideline::wire {

inline constexpr std::uint8_t kMldQuery = 130;
inline constexpr std::uint8_t kMldReport = 131;
inline constexpr std::uint8_t kMldDone = 132;
inline constexpr std::uint8_t kMldReportVersion2 = 143;

constexpr bool is_mld_type(std::uint8_t icmpv6_type) {
  return (icmpv6_type >= kMldQuery && icmpv6_type <= kMldDone) || icmpv6_type == kMldReportVersion2;
}

// Where reports of records go, and where a member of IGMPv2 or MLDv1 says that it leaves.
inline constexpr Ipv4Address kIgmpRouters(224, 0, 0, 22);
inline constexpr Ipv6Address kMldRouters(0xff02000000000000, 0x16);
inline constexpr Ipv4Address kIpv4AllRouters(224, 0, 0, 2);

// The generations by what they can: MLDv1 is as IGMPv2, MLDv2 as IGMPv3.
enum class GroupVersion : std::uint8_t {
  kReports = 1,  // IGMPv1
  kLeaves = 2,   // IGMPv2, MLDv1
  kRecords = 3,  // IGMPv3, MLDv2
};

template <typename Address>
struct GroupQuery {
  GroupVersion version = GroupVersion::kRecords;
  std::uint16_t max_response_code = 0;
  Address group{};  // unspecified: a general query
  // kRecords only.
  std::uint8_t flags = 0;  // suppress router processing, robustness
  std::uint8_t interval_code = 0;
  std::uint16_t sources = 0;

  std::uint32_t max_response_ms() const;
  friend constexpr bool operator==(const GroupQuery&, const GroupQuery&) = default;
};

// A member of one group speaks, in the old form.
template <typename Address>
struct GroupReport {
  GroupVersion version = GroupVersion::kLeaves;  // not kRecords
  bool leaves = false;
  Address group{};

  friend constexpr bool operator==(const GroupReport&, const GroupReport&) = default;
};

// Somebody's report of records, which concerns routers only.
struct GroupRecords {
  friend constexpr bool operator==(const GroupRecords&, const GroupRecords&) = default;
};

template <typename Address>
using GroupMessage = std::variant<GroupQuery<Address>, GroupReport<Address>, GroupRecords>;

// What a host says of a group in a report of records: RFC 3376 §4.2.12, RFC 3810 §5.2.12.
enum class GroupRecordType : std::uint8_t {
  kIsExclude = 2,        // we are in it
  kChangeToInclude = 3,  // no sources: we have left it
  kChangeToExclude = 4,  // we have joined it
};
template <typename Address>
struct GroupRecord {
  GroupRecordType type = GroupRecordType::kIsExclude;
  Address group{};
};

// `head` holds the first bytes of a message of `size` bytes, 28 at least if it has as many. The
// checksum is verified apart: IGMP's by check_igmp_checksum, MLD's as of all ICMPv6.
Parsed<GroupMessage<Ipv4Address>> parse_igmp(Bytes head, std::size_t size);
Parsed<GroupMessage<Ipv6Address>> parse_mld(Bytes head, std::size_t size);
Parsed<void> check_igmp_checksum(const PartialChecksum& sum);

// Write a message with a zero checksum and return its size; a query's sources follow it.
std::size_t emit(const GroupQuery<Ipv4Address>& query, MutableBytes out);
std::size_t emit(const GroupQuery<Ipv6Address>& query, MutableBytes out);
std::size_t emit(const GroupReport<Ipv4Address>& report, MutableBytes out);
std::size_t emit(const GroupReport<Ipv6Address>& report, MutableBytes out);
std::size_t emit(std::span<const GroupRecord<Ipv4Address>> records, MutableBytes out);
std::size_t emit(std::span<const GroupRecord<Ipv6Address>> records, MutableBytes out);

inline constexpr std::size_t kGroupReportHeader = 8;
inline constexpr std::size_t kMaxGroupRecord = 20;  // IPv6's, without sources

}  // namespace tideline::wire
