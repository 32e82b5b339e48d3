// SPDX-License-Identifier: Apache-2.0
#include "wire/group_message.h"

#include "wire/endian.h"

namespace tideline::wire {
namespace {

constexpr std::uint8_t kIgmpQuery = 0x11;
constexpr std::uint8_t kIgmpReportVersion1 = 0x12;
constexpr std::uint8_t kIgmpReportVersion2 = 0x16;
constexpr std::uint8_t kIgmpLeave = 0x17;
constexpr std::uint8_t kIgmpReportVersion3 = 0x22;

struct IgmpHeader {
  std::uint8_t type;
  std::uint8_t max_response;
  be16 checksum;
  Ipv4Address group;
};
static_assert(sizeof(IgmpHeader) == 8);

struct MldHeader {
  std::uint8_t type;
  std::uint8_t code;
  be16 checksum;
  be16 max_response;
  be16 reserved;
  Ipv6Address group;
};
static_assert(sizeof(MldHeader) == 24);

// Behind the header of a query of the newest version; the sources follow.
struct QueryTail {
  std::uint8_t flags;
  std::uint8_t interval_code;
  be16 sources;
};
static_assert(sizeof(QueryTail) == 4);

struct RecordsHeader {
  std::uint8_t type;
  std::uint8_t reserved;
  be16 checksum;
  be16 reserved2;
  be16 records;
};
static_assert(sizeof(RecordsHeader) == kGroupReportHeader);

template <typename Address>
struct RecordHeader {
  std::uint8_t type;
  std::uint8_t auxiliary_words;
  be16 sources;
  Address group;
};
static_assert(sizeof(RecordHeader<Ipv6Address>) == kMaxGroupRecord);

// RFC 3376 §4.1.1, RFC 3810 §5.1.3: small values as they are, larger ones as a mantissa without
// its first bit and an exponent of 3 bits.
constexpr std::uint32_t decode(std::uint32_t code, unsigned mantissa_bits) {
  const std::uint32_t first_bit = std::uint32_t{1} << mantissa_bits;
  if (code < first_bit << 3) return code;
  const std::uint32_t exponent = code >> mantissa_bits & 7;
  return ((code & (first_bit - 1)) | first_bit) << (exponent + 3);
}

// The tail of a query of the newest version.
template <typename Address>
Parsed<void> parse_tail(Bytes head, std::size_t size, std::size_t header_size, DropReason reason,
                        GroupQuery<Address>& query) {
  if (head.size() < header_size + sizeof(QueryTail)) return drop(DropReason::kHeadersScattered);
  const auto& tail = view_as<QueryTail>(head.subspan(header_size));
  query.flags = tail.flags;
  query.interval_code = tail.interval_code;
  query.sources = tail.sources.value();
  const std::size_t sources = query.sources * sizeof(Address);
  if (size - header_size - sizeof(QueryTail) < sources) return drop(reason);
  return {};
}

template <typename Address>
std::size_t emit_records(std::uint8_t type, std::span<const GroupRecord<Address>> records,
                         MutableBytes out) {
  using Record = RecordHeader<Address>;
  view_as<RecordsHeader>(out) = {.type = type,
                                 .records = be16(static_cast<std::uint16_t>(records.size()))};
  std::size_t size = sizeof(RecordsHeader);
  for (const GroupRecord<Address>& record : records) {
    view_as<Record>(out.subspan(size)) = {.type = static_cast<std::uint8_t>(record.type),
                                          .auxiliary_words = 0,
                                          .sources = be16(0),
                                          .group = record.group};
    size += sizeof(Record);
  }
  return size;
}

template <typename Address>
std::size_t emit_tail(const GroupQuery<Address>& query, std::size_t header_size, MutableBytes out) {
  if (query.version != GroupVersion::kRecords) return header_size;
  view_as<QueryTail>(out.subspan(header_size)) = {
      .flags = query.flags, .interval_code = query.interval_code, .sources = be16(query.sources)};
  return header_size + sizeof(QueryTail);
}

}  // namespace

template <>
std::uint32_t GroupQuery<Ipv4Address>::max_response_ms() const {
  constexpr std::uint32_t kVersion1 = 10'000;  // RFC 2236 §4
  switch (version) {
    case GroupVersion::kReports:
      return kVersion1;
    case GroupVersion::kLeaves:
      return 100U * max_response_code;
    case GroupVersion::kRecords:
      break;
  }
  return 100 * decode(max_response_code, 4);
}

template <>
std::uint32_t GroupQuery<Ipv6Address>::max_response_ms() const {
  return version == GroupVersion::kRecords ? decode(max_response_code, 12) : max_response_code;
}

// RFC 3376 §7.1: length and code tell the versions apart.
Parsed<GroupMessage<Ipv4Address>> parse_igmp(Bytes head, std::size_t size) {
  if (size < sizeof(IgmpHeader)) return drop(DropReason::kIgmpShort);
  if (head.size() < sizeof(IgmpHeader)) return drop(DropReason::kHeadersScattered);
  const auto& header = view_as<IgmpHeader>(head);
  if (header.type == kIgmpReportVersion3) return GroupRecords{};
  if (header.type == kIgmpQuery) {
    GroupQuery<Ipv4Address> query{.max_response_code = header.max_response, .group = header.group};
    if (!header.group.is_unspecified() && !header.group.is_multicast()) {
      return drop(DropReason::kIgmpGroup);
    }
    if (size == sizeof(IgmpHeader)) {
      query.version = header.max_response == 0 ? GroupVersion::kReports : GroupVersion::kLeaves;
      return query;
    }
    if (size < sizeof(IgmpHeader) + sizeof(QueryTail)) return drop(DropReason::kIgmpShort);
    const auto tail = parse_tail(head, size, sizeof(IgmpHeader), DropReason::kIgmpSources, query);
    if (!tail) return drop(tail.error());
    return query;
  }
  if (header.type != kIgmpReportVersion1 && header.type != kIgmpReportVersion2 &&
      header.type != kIgmpLeave) {
    return drop(DropReason::kIgmpType);
  }
  if (!header.group.is_multicast()) return drop(DropReason::kIgmpGroup);
  return GroupReport<Ipv4Address>{.version = header.type == kIgmpReportVersion1
                                                 ? GroupVersion::kReports
                                                 : GroupVersion::kLeaves,
                                  .leaves = header.type == kIgmpLeave,
                                  .group = header.group};
}

// RFC 3810 §8.1.
Parsed<GroupMessage<Ipv6Address>> parse_mld(Bytes head, std::size_t size) {
  if (size < kGroupReportHeader) return drop(DropReason::kMldShort);
  if (head.empty()) return drop(DropReason::kHeadersScattered);
  if (std::to_integer<std::uint8_t>(head[0]) == kMldReportVersion2) return GroupRecords{};
  if (size < sizeof(MldHeader)) return drop(DropReason::kMldShort);
  if (head.size() < sizeof(MldHeader)) return drop(DropReason::kHeadersScattered);
  const auto& header = view_as<MldHeader>(head);
  if (header.type == kMldQuery) {
    GroupQuery<Ipv6Address> query{.max_response_code = header.max_response.value(),
                                  .group = header.group};
    if (!header.group.is_unspecified() && !header.group.is_multicast()) {
      return drop(DropReason::kMldGroup);
    }
    if (size == sizeof(MldHeader)) {
      query.version = GroupVersion::kLeaves;
      return query;
    }
    if (size < sizeof(MldHeader) + sizeof(QueryTail)) return drop(DropReason::kMldShort);
    const auto tail = parse_tail(head, size, sizeof(MldHeader), DropReason::kMldSources, query);
    if (!tail) return drop(tail.error());
    return query;
  }
  if (header.type != kMldReport && header.type != kMldDone) return drop(DropReason::kIcmpv6Type);
  if (!header.group.is_multicast()) return drop(DropReason::kMldGroup);
  return GroupReport<Ipv6Address>{.leaves = header.type == kMldDone, .group = header.group};
}

Parsed<void> check_igmp_checksum(const PartialChecksum& sum) {
  if (!sum.valid()) return drop(DropReason::kIgmpChecksum);
  return {};
}

std::size_t emit(const GroupQuery<Ipv4Address>& query, MutableBytes out) {
  view_as<IgmpHeader>(out) = {.type = kIgmpQuery,
                              .max_response = static_cast<std::uint8_t>(query.max_response_code),
                              .checksum = be16(0),
                              .group = query.group};
  return emit_tail(query, sizeof(IgmpHeader), out);
}

std::size_t emit(const GroupQuery<Ipv6Address>& query, MutableBytes out) {
  view_as<MldHeader>(out) = {
      .type = kMldQuery, .max_response = be16(query.max_response_code), .group = query.group};
  return emit_tail(query, sizeof(MldHeader), out);
}

std::size_t emit(const GroupReport<Ipv4Address>& report, MutableBytes out) {
  std::uint8_t type = report.leaves ? kIgmpLeave : kIgmpReportVersion2;
  if (report.version == GroupVersion::kReports) type = kIgmpReportVersion1;
  view_as<IgmpHeader>(out) = {
      .type = type, .max_response = 0, .checksum = be16(0), .group = report.group};
  return sizeof(IgmpHeader);
}

std::size_t emit(const GroupReport<Ipv6Address>& report, MutableBytes out) {
  view_as<MldHeader>(out) = {.type = report.leaves ? kMldDone : kMldReport, .group = report.group};
  return sizeof(MldHeader);
}

std::size_t emit(std::span<const GroupRecord<Ipv4Address>> records, MutableBytes out) {
  return emit_records(kIgmpReportVersion3, records, out);
}

std::size_t emit(std::span<const GroupRecord<Ipv6Address>> records, MutableBytes out) {
  return emit_records(kMldReportVersion2, records, out);
}

}  // namespace tideline::wire
