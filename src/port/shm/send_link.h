// SPDX-License-Identifier: Apache-2.0
// What a member has with one destination: a ring, blocks of its own arena that frames lie in, and,
// once the destination has answered, its index and its hints. One thread.
//
// A frame may also refer to memory of the arena that its packet borrows: the packet is kept until
// the destination has let go of the frame, or the memory is taken back.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <vector>

#include "base/fd.h"
#include "base/time.h"
#include "packet/packet.h"
#include "port/shm/arena.h"
#include "port/shm/counters.h"
#include "port/shm/handshake.h"
#include "port/shm/ring.h"
#include "ring/wake_flag.h"

namespace tideline::port::shm {

// Where a frame is to be written: in a slot of a ring, or in a block.
struct Place {
  std::span<std::byte> bytes;
  std::optional<Block> block;
};

class SendLink {
 public:
  struct Parts {
    Region ring;
    UniqueFd socket;
    std::uint64_t incarnation = 0;  // of the destination
  };
  struct Limits {
    std::uint32_t ring_slots = 0;
    // The index is read as soon as this many blocks of a class are out, so that the sender goes
    // round few blocks, which stay in the caches.
    std::array<std::uint32_t, 2> blocks_in_flight{};
  };

  // `blocks` and `arena` are those of the member.
  SendLink(Parts parts, const Limits& limits, Arena& blocks, std::span<std::byte> arena);
  SendLink(const SendLink&) = delete;
  SendLink& operator=(const SendLink&) = delete;
  // All blocks and packets go back. Without revoke() before, the arena is not written to any more.
  ~SendLink();
  // Takes all memory back that the destination may still read.
  void revoke();

  int socket() const { return parts_.socket.get(); }
  std::uint64_t incarnation() const { return parts_.incarnation; }

  // The destination has answered; `own` is the sender's slot.
  void accept(Acceptance acceptance, unsigned own);
  bool is_accepted() const { return answer_.has_value(); }

  // A place for a frame of at most kMaxFrame bytes. kDropRingFull, kDropNoBlock; kRefusedIndex: the
  // destination's index is false, and the link must be closed.
  std::expected<Place, Event> prepare(std::size_t length);
  // How many frames of any length prepare() finds a place for now: `wanted` at least, if the
  // destination has consumed enough.
  std::size_t room(std::size_t wanted);
  // The frame has been written to the place that was prepared last.
  void commit(const Place& place, const OffloadWords& offload);
  // Sends a packet whose bytes behind its first segment all lie in the arena's memory, and keeps
  // it. False: `packet` must be copied to a place.
  bool refer(packet::PacketPtr& packet, const OffloadWords& offload, Instant now);
  // Packets that are kept.
  std::size_t kept() const { return kept_; }
  // Since when the oldest of them is; kNever if there is none.
  Instant oldest() const;
  // Drops those that the destination has let go of. Returns how many.
  std::size_t drop_returned();
  // Drops those sent before `before` that borrow from `memory`, and tells the destination.
  void withdraw(std::span<const std::byte> memory, Instant before);
  // Tells an accepted destination of committed frames: sets its hint, wakes it if it sleeps.
  void announce(unsigned own);

 private:
  // What an accepting destination shows.
  struct Answer {
    Acceptance pages;
    ring::Notifier notifier;
  };
  // What a frame in the ring lies in, or refers to.
  struct Sent {
    std::optional<Block> block;
    packet::PacketPtr packet;
    Instant since{};
    bool by_reference = false;  // still true when the packet was withdrawn
  };
  // What the destination still reads, though the frame is consumed.
  struct Lent {
    Sent sent;
    std::uint32_t slot = 0;
    std::uint32_t sequence = 0;
  };

  bool reclaim();
  bool make_room() { return ring_.has_room() || (reclaim() && ring_.has_room()); }
  bool is_lent(std::uint32_t slot, std::uint32_t sequence) const;
  void reclaim_lent();
  void give_back(Sent& sent);
  std::uint32_t slot_of(std::uint64_t position) const {
    return static_cast<std::uint32_t>(position & (limits_.ring_slots - 1));
  }
  void mark_withdrawn(std::uint32_t slot, std::uint32_t sequence);
  // Calls `visit(Sent&, slot, sequence)` for all that is out, the consumed last.
  template <typename Visit>
  void for_each_out(const Visit& visit);

  Parts parts_;
  Limits limits_;
  Arena& arena_;
  std::span<std::byte> memory_;
  std::optional<Answer> answer_;
  const std::atomic<std::uint32_t>* loans_ = nullptr;  // of the destination, for this member
  RingProducer ring_;
  std::vector<Sent> sent_;  // by slot of the ring, in private memory
  std::vector<Lent> lent_;
  // Of each slot: something of an earlier round is lent. It takes no reference until that is back,
  // for a withdrawal names one sequence.
  std::array<bool, kLendableSlots> slot_is_lent_{};
  std::size_t kept_ = 0;
  std::uint64_t reclaimed_ = 0;
  BlocksHeld held_{};
};

}  // namespace tideline::port::shm
