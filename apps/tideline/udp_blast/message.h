// SPDX-License-Identifier: Apache-2.0
// What `udp-blast` puts into its datagrams. Both forms, over tideline and over kernel sockets,
// speak it, on port 5002 of the sink. Any thread.
//
//   0       2         3      4     8                16                24
//   | magic | version | kind | run | sequence       | sent at, ns    | filler, or the report
//
//   sender                                  sink
//     begin, sequence = size of a datagram -->      again after 100 ms, until answered
//                                       <-- ready
//     data, sequence = 0, 1, 2 .. -->
//     end, sequence = how many -->                  again after 50 ms, until answered
//                                       <-- report  as soon as nothing is under way any more
//
// Datagrams that are shorter than the header are data without a number: they are only counted.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "wire/endian.h"
#include "wire/view.h"

namespace tideline::app::blast {

inline constexpr std::uint16_t kPort = 5002;
inline constexpr std::size_t kMaxSize = 65507;

enum class Kind : std::uint8_t { kData, kBegin, kReady, kEnd, kReport };

struct Header {
  wire::be16 magic;  // "tb"
  std::uint8_t version;
  std::uint8_t kind;
  wire::be32 run;  // chosen at random by the sender; tells its runs apart
  wire::be64 sequence;
  wire::be64 sent_at;  // on the sender's clock
};
static_assert(sizeof(Header) == 24);

Header make_header(Kind kind, std::uint32_t run, std::uint64_t sequence, std::int64_t sent_at);
// Nothing if these are not the first bytes of a message of ours.
std::optional<Kind> kind_of(wire::Bytes datagram);

// What a sink has seen of one run.
struct Report {
  std::uint64_t datagrams = 0;   // different ones
  std::uint64_t bytes = 0;       // in these
  std::uint64_t lost = 0;        //
  std::uint64_t reordered = 0;   // came after one with a higher number
  std::uint64_t duplicates = 0;  // came again
  std::uint64_t unsorted = 0;    // came too late to tell whether again; counted as lost
  std::uint64_t elapsed_ns = 0;  // from the first to the last
  std::uint64_t jitter_ns = 0;   // of the time between two (RFC 3550 §6.4.1)
  std::uint64_t cpu_ns = 0;      // processor time of the sink meanwhile
  std::uint64_t passed = 0;      // bytes that the sink's own code traversed meanwhile
  std::uint64_t copied = 0;      // bytes that the kernel copied for it

  friend bool operator==(const Report&, const Report&) = default;
};

inline constexpr std::size_t kReportSize = sizeof(Header) + 11 * sizeof(wire::be64);

std::array<std::byte, kReportSize> emit_report(std::uint32_t run, const Report& report);
// Nothing if the message is too short.
std::optional<Report> parse_report(wire::Bytes message);

}  // namespace tideline::app::blast
