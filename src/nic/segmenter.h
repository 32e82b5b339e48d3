// SPDX-License-Identifier: Apache-2.0
// Segmentation in software: what a GSO frame becomes on the wire. TCP over IPv4 and IPv6 (TSO) and
// UDP (USO), with VLAN tags, options and extension headers repeated. A Segmenter knows where to cut
// and writes headers; payload is its caller's, who lends, copies or sums it. Used by function.h for
// ports that cannot do it, and by captures. Pure; thread: any.
//
//   frame     | headers | payload                                           |
//   segments  | headers | gso_size || headers | gso_size || ... || headers | the rest |
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/time.h"
#include "packet/metadata.h"
#include "packet/packet.h"
#include "packet/pass_counter.h"
#include "port/pcap_file.h"
#include "wire/checksum.h"
#include "wire/view.h"

namespace tideline::nic {

// A piece of a frame's payload.
struct Piece {
  std::size_t offset = 0;  // from the frame's first byte
  std::size_t size = 0;
};

class Segmenter {
 public:
  // More headers than any sender has; longer ones are refused.
  static constexpr std::size_t kMaxHeaders = 256;

  // Nothing if the metadata contradicts the frame, asks for a kind that is not done here, or the
  // headers are malformed (wire::parse_layout), of a fragment, or have SYN, RST or URG set, which
  // no sender spreads over segments. Needs an open checksum.
  static std::optional<Segmenter> create(const packet::Packet& frame);
  static std::optional<Segmenter> create(wire::Bytes frame, const packet::Offload& offload);

  std::size_t count() const { return (payload_size_ + gso_size_ - 1) / gso_size_; }
  std::size_t header_size() const { return header_size_; }
  std::size_t longest() const;  // segment, in bytes
  Piece payload(std::size_t index) const;

  // Writes the headers of a segment, header_size() bytes, with the checksum open as in offload().
  void write_headers(std::size_t index, wire::MutableBytes to) const;
  packet::Offload offload() const;
  // Fills the checksum in, given the sum of the segment's payload.
  void fill_checksum(wire::MutableBytes headers, const wire::PartialChecksum& payload) const;

 private:
  Segmenter() = default;

  bool prepare(std::size_t frame_size, const packet::Offload& offload);
  void write_ip(std::size_t index, std::size_t payload_size, wire::MutableBytes to) const;
  void write_tcp(std::size_t index, wire::MutableBytes to) const;

  std::array<std::byte, kMaxHeaders> headers_;  // and payload behind them
  std::size_t available_ = 0;                   // bytes of headers_
  std::size_t header_size_ = 0;
  std::size_t payload_size_ = 0;
  std::size_t gso_size_ = 0;
  std::uint16_t l3_ = 0;
  std::uint16_t l4_ = 0;
  std::uint16_t checksum_offset_ = 0;  // from l4_
  std::uint16_t l4_size_ = 0;          // of the whole: what the open checksum has been made for
  bool ipv4_ = false;
  bool tcp_ = false;
  bool ecn_ = false;
};

// A port::SegmentFunction: writes a frame's segments, complete. A frame that cannot be cut is
// written whole. Spoils `frame`.
void write_segments(std::span<std::byte> frame, const packet::Offload& offload, Instant at,
                    port::PcapWriter& out, packet::PassCounter& passes);

}  // namespace tideline::nic
