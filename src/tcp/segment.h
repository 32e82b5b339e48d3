// SPDX-License-Identifier: Apache-2.0
// A segment that has come: RFC 9293 §3.3.1, SEG.*. Thread: the worker's.
#pragma once

#include <cstdint>

#include "packet/packet.h"
#include "tcp/endpoint.h"
#include "tcp/seq.h"
#include "wire/tcp.h"

namespace tideline::tcp {

struct Segment {
  Tuple tuple;  // local is ours
  Seq seq;
  Seq ack;
  std::uint16_t flags = 0;
  std::uint16_t window = 0;  // as sent
  std::uint16_t urgent = 0;
  wire::Bytes header;            // with options, as it came; empty of one that was made up
  std::uint16_t gso_size = 0;    // of a segment that stands for several
  std::uint8_t ecn = 0;          // the ECN field of its IP header
  bool congestion_seen = false;  // that is CE: RFC 3168
  std::uint32_t size = 0;        // of the payload
  wire::TcpOptions options;
  packet::PacketPtr payload;  // null if size is 0

  bool has(std::uint16_t flag) const { return (flags & flag) != 0; }
  // SEG.LEN.
  std::uint32_t length() const {
    return size + (has(wire::kTcpSyn) ? 1 : 0) + (has(wire::kTcpFin) ? 1 : 0);
  }
  Seq end() const { return seq + length(); }
  // That it stands for.
  std::uint32_t count() const;
};

// How many segments `size` bytes make; those without any, too, are one.
constexpr std::uint32_t segments_of(std::uint32_t size, std::uint32_t segment) {
  return size <= segment ? 1 : (size + segment - 1) / segment;
}

inline std::uint32_t Segment::count() const {
  return gso_size == 0 ? 1 : segments_of(size, gso_size);
}

}  // namespace tideline::tcp
