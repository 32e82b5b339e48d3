// SPDX-License-Identifier: Apache-2.0
// Puts fragments together: RFC 791 §3.2, RFC 815, RFC 8200 §4.5, bounded in every respect. Pieces
// stay in the buffers in which they came; the result is their chain.
//
// Bounds: datagrams, pieces of one and of all, segments of memory of one source and of all. A
// source that exceeds its share loses its own oldest datagram; when all is full, the oldest goes.
// Sources share buckets by a keyed hash, as in stochastic fairness queueing, so that counting them
// takes no memory that they could exhaust. Overlaps discard the datagram (RFC 5722 for IPv6,
// RFC 6274 §4.1 for IPv4), and what still comes of it. Thread: the worker's that owns the host.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "ip/context.h"
#include "ip/lru_map.h"
#include "packet/packet.h"
#include "wire/packet_layout.h"

namespace tideline::ip {

struct ReassemblyOptions {
  std::size_t datagrams = 256;
  std::size_t pieces = 2048;
  std::size_t pieces_per_datagram = 192;  // enough for 64 KiB over an MTU of 576
  std::size_t segments = 1024;
  std::size_t segments_per_source = 256;
  // RFC 1122 §3.3.2 wants 60 to 120 s; DEVIATES: 30 s, as Linux does, for an identification may
  // come again sooner than that (RFC 6864 §4.3).
  Duration time_ipv4 = std::chrono::seconds(30);
  Duration time_ipv6 = std::chrono::seconds(60);  // RFC 8200 §4.5
};

struct FragmentKey {
  wire::Ipv6Address source;  // IPv4 mapped
  wire::Ipv6Address destination;
  std::uint32_t id = 0;
  std::uint8_t protocol = 0;  // IPv4 only

  friend bool operator==(const FragmentKey&, const FragmentKey&) = default;
};

constexpr std::uint64_t keyed_hash(const FragmentKey& key, const HashKey& secret) {
  return siphash(secret,
                 std::array{key.source.high(), key.source.low(), key.destination.high(),
                            key.destination.low(), std::uint64_t{key.id} << 8 | key.protocol});
}

class Reassembler {
 public:
  class Owner {
   public:
    // A datagram stayed incomplete whose first fragment is `frame`.
    virtual void reassembly_timed_out(packet::PacketPtr frame, const wire::PacketLayout& layout,
                                      Instant now) = 0;

   protected:
    ~Owner() = default;
  };

  Reassembler(Context& context, const ReassemblyOptions& options, Owner& owner);

  // Takes a frame whose layout is a fragment. Returns the frame of the whole datagram, of which the
  // layout is to be parsed anew, when this was the last that was missing; else null.
  packet::PacketPtr add(packet::PacketPtr frame, const wire::PacketLayout& layout, Instant now);

  Instant next_deadline() const { return earliest_; }
  void run_timers(Instant now);

  std::size_t datagrams() const { return datagrams_.size(); }
  std::size_t segments() const { return segments_; }

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  static constexpr std::size_t kSources = 256;

  struct Piece {
    packet::PacketPtr packet;
    std::uint32_t offset = 0;
    std::uint32_t size = 0;
    std::uint32_t segments = 0;
    std::uint32_t next = kNone;

    std::uint32_t end() const { return offset + size; }
  };
  struct Datagram {
    Instant deadline = kNever;
    wire::PacketLayout first;      // of the fragment at offset 0, if it is here
    std::uint32_t head = kNone;    // pieces by offset
    std::uint32_t tail = kNone;    //
    std::uint32_t pieces = 0;      //
    std::uint32_t bytes = 0;       // that are here
    std::uint32_t total = 0;       // known when the last fragment has come, else 0
    std::uint8_t source = 0;       // bucket
    bool congestion_seen = false;  // a fragment carried CE
    bool poisoned = false;         // given up; kept to recognise what still comes
  };

  FragmentKey key_of(const packet::Packet& frame, const wire::PacketLayout& layout) const;
  Datagram& find_or_create(const FragmentKey& key, std::uint8_t source, unsigned version,
                           Instant now);
  bool check_extent(Datagram& datagram, const wire::PacketLayout& layout);
  bool make_room(const FragmentKey& keep, std::uint8_t source, std::size_t segments);
  bool place(Datagram& datagram, packet::PacketPtr& piece, std::uint32_t offset,
             std::uint32_t size);
  packet::PacketPtr assemble(const FragmentKey& key, Datagram& datagram);
  void poison(Datagram& datagram, Discard reason);
  // Frees all pieces; counts them as `reason`.
  void release(Datagram& datagram, Discard reason);
  packet::PacketPtr take_piece(Datagram& datagram);

  Context& context_;
  ReassemblyOptions options_;
  Owner& owner_;
  HashKey secret_;
  LruMap<FragmentKey, Datagram> datagrams_;
  std::vector<Piece> pieces_;
  std::uint32_t free_ = kNone;
  std::size_t segments_ = 0;
  std::array<std::uint32_t, kSources> source_segments_{};
  Instant earliest_ = kNever;  // never later than any datagram's deadline
};

}  // namespace tideline::ip
