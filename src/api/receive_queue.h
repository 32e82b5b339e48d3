// SPDX-License-Identifier: Apache-2.0
// What a stream has received. Every byte has a place in a ring, as in tcp/byte_fifo.h; but payload
// that a packet borrows from a peer's memory is held where it is, in the hope that the program soon
// copies it out itself: one pass instead of two. Whoever wants to see it in place, or comes too
// late, finds it copied to its place.
//
//   stream   consumed_ .......................................... published_ ... consumed_ + size
//                |  ring   | held packet | held packet |   ring      |  out of order, in the ring
//
// The peer may change what is held, or take it back. So nothing is read in place there; and when a
// copy turns out to have come too late, the stream ends before those bytes. Thread: the engine's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "packet/packet.h"
#include "packet/pass_counter.h"
#include "tcp/buffers.h"

namespace tideline::api {

class ReceiveQueue final : public tcp::ReceiveBuffer {
 public:
  // More is copied to its place at once, as are short payloads.
  static constexpr std::size_t kMostHeld = 16;
  static constexpr std::size_t kLeastHeld = 2048;

  // The size of `memory` is a power of two. `passes` counts copies out of packets.
  ReceiveQueue(std::span<std::byte> memory, packet::PassCounter& passes)
      : memory_(memory), passes_(passes) {}

  std::span<std::byte> memory() const { return memory_; }
  std::size_t readable() const { return static_cast<std::size_t>(published_ - consumed_); }
  // The first readable bytes, as many as lie in one piece.
  std::span<const std::byte> front();
  // Copies the first bytes out, at most readable(). Returns how many.
  std::size_t read(std::span<std::byte> out);
  // At most readable().
  void consume(std::size_t size);

  bool is_holding() const { return held_count_ > 0; }
  // Copies what is held to its place.
  void settle();
  // Forgets what is held, and all behind it.
  void drop_held();
  // Bytes were lost that the peer has taken back: what is readable is all that there will be.
  bool is_spoilt() const { return spoilt_; }

  std::uint64_t limit() const override { return consumed_ + memory_.size(); }
  void put(std::uint64_t offset, packet::PacketPtr payload, packet::PassCounter& passes) override;
  void publish(std::uint64_t end) override;

 private:
  struct Held {
    std::uint64_t begin = 0;
    packet::PacketPtr packet;

    std::uint64_t end() const { return begin + packet->size(); }
  };

  Held& held(std::size_t index) { return held_[(first_held_ + index) % kMostHeld]; }
  void hold(std::uint64_t offset, packet::PacketPtr payload);
  void drop_first();
  void place(std::uint64_t offset, const packet::Packet& payload);
  void spoil(std::uint64_t offset);
  std::span<std::byte> ring(std::uint64_t offset, std::size_t most) const;

  std::span<std::byte> memory_;
  packet::PassCounter& passes_;
  std::uint64_t published_ = 0;
  std::uint64_t consumed_ = 0;
  std::vector<Held> held_;  // a ring, made when the first is held
  std::size_t first_held_ = 0;
  std::size_t held_count_ = 0;
  bool spoilt_ = false;
};

}  // namespace tideline::api
