// SPDX-License-Identifier: Apache-2.0
// Cuts datagrams that exceed the path's MTU: RFC 791 §3.2, RFC 8200 §4.5; and the numbers that
// identify them. Thread: the worker's that owns the host.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/random.h"
#include "ip/context.h"
#include "ip/lru_map.h"
#include "packet/packet.h"

namespace tideline::ip {

// Identifications: a counter per group of destinations, chosen by a keyed hash, each starting
// anywhere. Unique as long as a counter of its kind can make them (RFC 6864 §4.3), and what one
// destination sees tells little of what others get (RFC 7739 §5.3).
class IdentificationSource {
 public:
  explicit IdentificationSource(Rng& rng) : secret_(HashKey::random(rng)) {
    for (std::uint32_t& counter : counters_) counter = static_cast<std::uint32_t>(rng());
  }
  IdentificationSource(const IdentificationSource&) = delete;
  IdentificationSource& operator=(const IdentificationSource&) = delete;

  template <typename Address>
  std::uint32_t next(const Address& source, const Address& destination, std::uint8_t protocol) {
    const Flow flow{
        .source = widened(source), .destination = widened(destination), .protocol = protocol};
    if (counter_ == nullptr || flow != latest_) {
      const std::uint64_t hash =
          siphash(secret_, std::array{keyed_hash(source, secret_), keyed_hash(destination, secret_),
                                      std::uint64_t{protocol}});
      latest_ = flow;
      counter_ = &counters_[hash % counters_.size()];
    }
    return (*counter_)++;
  }

 private:
  struct Flow {
    wire::Ipv6Address source;
    wire::Ipv6Address destination;
    std::uint8_t protocol = 0;
    friend constexpr bool operator==(const Flow&, const Flow&) = default;
  };
  static wire::Ipv6Address widened(wire::Ipv4Address address) {
    return wire::Ipv6Address::mapped(address);
  }
  static wire::Ipv6Address widened(const wire::Ipv6Address& address) { return address; }

  HashKey secret_;
  std::array<std::uint32_t, 1024> counters_{};
  // Of the latest packet: the next is of the same flow most of the time, and needs no hash.
  Flow latest_{};
  std::uint32_t* counter_ = nullptr;
};

// A packet of the bytes [offset, offset + size) of `whole`: borrowed as far as the pool has loans,
// else a copy, `size` 0 an empty one. Null, and counted, if the pool is exhausted.
packet::PacketPtr lend_or_copy(const packet::PacketRef& whole, std::size_t offset, std::size_t size,
                               Context& context);

// Takes the bytes behind a datagram's headers, piece by piece.
class FragmentSink {
 public:
  // `offset` counts from the first byte behind the headers.
  virtual void fragment(packet::PacketPtr data, std::size_t offset, bool more) = 0;

 protected:
  ~FragmentSink() = default;
};

// Cuts `packet` behind its first `header_size` bytes into pieces of `piece_size`, a multiple of 8.
// Pieces borrow the packet's memory as far as the pool has loans, else they are copies. What an
// exhausted pool cannot hold is counted, and ends it: the rest would be of no use.
void cut_datagram(packet::PacketPtr packet, std::size_t header_size, std::size_t piece_size,
                  Context& context, FragmentSink& sink);

}  // namespace tideline::ip
