// SPDX-License-Identifier: Apache-2.0
// What a stream has received. Every byte has its place in memory (tcp/receive_queue.h); but payload
// that a packet borrows from a peer's memory is held where it is, in the hope that the program soon
// copies it out itself: one pass instead of two. Whoever wants to see it in place, or comes too
// late, finds it copied to its place.
//
//   stream   consumed .......................................... published ........ limit
//                | placed | held packet | held packet |  placed     |  out of order, placed
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
#include "tcp/receive_queue.h"

namespace tideline::api {

class BorrowingQueue final : public tcp::ReceiveBuffer {
 public:
  // More is copied to its place at once, as are short payloads.
  static constexpr std::size_t kMostHeld = 16;
  static constexpr std::size_t kLeastHeld = 2048;

  // `passes` counts copies out of packets that were held.
  BorrowingQueue(tcp::ChunkPool& pool, packet::PassCounter& passes)
      : placed_(pool), passes_(passes) {}

  // Begins anew, as tcp::ReceiveQueue::reset().
  void reset(std::size_t most);
  std::size_t readable() const { return placed_.readable(); }
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

  std::uint64_t limit() const override { return placed_.limit(); }
  std::uint64_t consumed() const override { return placed_.consumed(); }
  [[nodiscard]] bool put(std::uint64_t offset, packet::PacketPtr payload,
                         packet::PassCounter& passes) override;
  void publish(std::uint64_t end) override;
  void want(std::uint64_t window) override { placed_.want(window); }

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

  tcp::ReceiveQueue placed_;
  packet::PassCounter& passes_;
  std::vector<Held> held_;  // a ring, made when the first is held; their places are reserved
  std::size_t first_held_ = 0;
  std::size_t held_count_ = 0;
  bool spoilt_ = false;
};

}  // namespace tideline::api
