// SPDX-License-Identifier: Apache-2.0
#include "udp_blast/message.h"

namespace tideline::app::blast {
namespace {

using wire::be16;
using wire::be32;
using wire::be64;

constexpr be16 kMagic(0x7462);
constexpr std::uint8_t kVersion = 1;

// In the order in which they travel.
constexpr std::array kFields{&Report::datagrams,  &Report::bytes,      &Report::lost,
                             &Report::reordered,  &Report::duplicates, &Report::unsorted,
                             &Report::elapsed_ns, &Report::jitter_ns,  &Report::cpu_ns,
                             &Report::passed,     &Report::copied};
static_assert(kReportSize == sizeof(Header) + kFields.size() * sizeof(be64));

}  // namespace

Header make_header(Kind kind, std::uint32_t run, std::uint64_t sequence, std::int64_t sent_at) {
  return {.magic = kMagic,
          .version = kVersion,
          .kind = static_cast<std::uint8_t>(kind),
          .run = be32(run),
          .sequence = be64(sequence),
          .sent_at = be64(static_cast<std::uint64_t>(sent_at))};
}

std::optional<Kind> kind_of(wire::Bytes datagram) {
  if (datagram.size() < sizeof(Header)) return std::nullopt;
  const auto& header = wire::view_as<Header>(datagram);
  const bool known = header.magic == kMagic && header.version == kVersion &&
                     header.kind <= static_cast<std::uint8_t>(Kind::kReport);
  if (!known) return std::nullopt;
  return static_cast<Kind>(header.kind);
}

std::array<std::byte, kReportSize> emit_report(std::uint32_t run, const Report& report) {
  std::array<std::byte, kReportSize> message{};
  wire::view_as<Header>(wire::MutableBytes(message)) = make_header(Kind::kReport, run, 0, 0);
  std::size_t at = sizeof(Header);
  for (const auto field : kFields) {
    wire::view_as<be64>(wire::MutableBytes(message).subspan(at)) = be64(report.*field);
    at += sizeof(be64);
  }
  return message;
}

std::optional<Report> parse_report(wire::Bytes message) {
  if (message.size() < kReportSize) return std::nullopt;
  Report report;
  std::size_t at = sizeof(Header);
  for (const auto field : kFields) {
    report.*field = wire::view_as<be64>(message.subspan(at)).value();
    at += sizeof(be64);
  }
  return report;
}

}  // namespace tideline::app::blast
