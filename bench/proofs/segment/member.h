// SPDX-License-Identifier: Apache-2.0
// A member of the segment: owns a slot, sends frames to other slots, receives what they send. It
// polls; how to sleep is not its matter. One thread. After a fork the child destroys its copy of
// the object and may join as a member of its own: the slot stays with the parent.
//
//   sender                                                   receiver
//     send() --> block of own arena --> own ring [slot] ~~~~> receive(): copies out, moves on
//                                         own hint bit -----> which ring to look at
//     blocks come back <----------------------------------- its index, a line per source
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/time.h"
#include "proofs/segment/arena.h"
#include "proofs/segment/copy.h"
#include "proofs/segment/counters.h"
#include "proofs/segment/handshake.h"
#include "proofs/segment/ring.h"

namespace proofs::segment {

enum class ArenaPages : std::uint8_t {
  kNormal,
  kCollapsed,  // 2 MiB pages made of normal ones, if the kernel has them at this moment
  kReserved,   // 2 MiB pages from the reserved pool
};

struct MemberConfig {
  std::string meeting_point;  // a directory
  unsigned slots = kMaxMembers;
  std::uint32_t ring_slots = 256;
  ArenaShape arena{.small_blocks = 1024, .large_blocks = 96};
  ArenaPages arena_pages = ArenaPages::kCollapsed;
  // A receiver stores its index after so many frames; after every one that lies in a large block,
  // and when the ring is empty.
  std::uint32_t index_lag = 64;
  // A sender looks at the index as soon as this many blocks of a class are out, so that it goes
  // round few blocks, which stay in the caches.
  std::array<std::uint32_t, 2> blocks_in_flight = {128, 8};
  CopyRoutine copy_out = copy_by_vectors;  // of receive(), for frames in the arena
  bool prefetch = true;                    // ask for the next slot while a frame is copied
};

enum class SendVerdict : std::uint8_t { kSent, kDropped };

struct Received {
  unsigned source = 0;
  std::uint32_t length = 0;
};

class Member {
 public:
  struct Memory {
    Region arena;
    Region index;
    Region hints;
    bool arena_is_huge = false;
  };

  static tideline::Result<std::unique_ptr<Member>> join(const MemberConfig& config,
                                                        tideline::Instant now);
  // For join().
  Member(MemberConfig config, MeetingPoint meeting_point, Lease lease, Memory memory,
         tideline::UniqueFd listener, tideline::UniqueFd events);
  ~Member();
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;

  unsigned slot() const { return lease_.slot(); }
  const Counters& counters() const { return counters_; }
  // Whether 2 MiB pages serve this member's arena.
  bool arena_is_huge() const { return memory_.arena_is_huge; }

  // Sends a copy of `frame`. The first frame to a destination makes its ring and connects.
  SendVerdict send(unsigned destination, std::span<const std::byte> frame);

  // The same without the copy: the frame is written into a block, and the block is given away.
  std::optional<Block> reserve(unsigned destination, std::size_t length);
  std::span<std::byte> bytes_of(Block block) const {
    return memory_.arena.memory.bytes().subspan(block.offset,
                                                kBlockBytes[static_cast<std::size_t>(block.kind)]);
  }
  SendVerdict send_block(unsigned destination, Block block, std::uint32_t length);

  // Copies the next frame to `into`; none if there is none. Sources take turns of kBurst frames.
  std::optional<Received> receive(std::span<std::byte> into);

  // Connections, hang-ups, and a look at every ring, whatever the hints say: to be called all the
  // time; does something once per kServiceInterval.
  void service(tideline::Instant now);

 private:
  struct SendLink {
    Region ring_memory;
    tideline::UniqueFd socket;
    std::optional<Acceptance> accepted;
    RingProducer ring;
    // The block that each slot of the ring refers to, in private memory.
    std::vector<std::optional<Block>> blocks;
    std::uint64_t reclaimed = 0;
    std::uint64_t incarnation = 0;  // of the destination
  };
  struct ReceiveLink {
    tideline::UniqueFd socket;
    tideline::Mapping ring_memory;
    tideline::Mapping arena;
    RingConsumer ring;
    std::uint32_t empty_polls = 0;
  };
  // An accepted connection whose Hello has not come yet.
  struct Pending {
    tideline::UniqueFd socket;
    tideline::Instant deadline;
  };

  SendVerdict drop(Event reason) {
    counters_.count(reason);
    return SendVerdict::kDropped;
  }

  // Sending.
  SendLink* link_to(unsigned destination);
  tideline::Result<SendLink> open_link(unsigned destination);
  bool reclaim(unsigned destination);
  bool make_room(unsigned destination);
  std::optional<Block> take_block(unsigned destination, std::size_t length);
  void push(unsigned destination, std::optional<Block> block, std::span<const std::byte> frame,
            std::uint32_t length);
  void hint(const SendLink& link) const;
  void close_send_link(unsigned destination);

  // Receiving.
  unsigned next_active(unsigned from) const;
  std::optional<Received> deliver(ReceiveLink& link, const RingConsumer::Frame& frame,
                                  std::span<std::byte> into);
  void rest(unsigned source);
  void close_receive_link(unsigned source);

  // Service.
  void handle_event(std::uint64_t token, tideline::Instant now);
  void accept_senders(tideline::Instant now);
  void serve_pending(std::size_t index);
  bool take_hello(tideline::UniqueFd& socket);
  void install(Arrival arrival, tideline::UniqueFd socket);
  void take_welcome(unsigned destination);
  void check_peers(tideline::Instant now);
  void watch(int socket, std::uint64_t token);
  void unwatch(int socket);

  MemberConfig config_;
  MeetingPoint meeting_point_;
  Lease lease_;
  Memory memory_;
  tideline::UniqueFd listener_;
  tideline::UniqueFd events_;  // epoll
  std::uint64_t owner_pid_;

  Arena blocks_;
  std::array<BlocksHeld, kMaxMembers> held_{};
  std::array<std::unique_ptr<SendLink>, kMaxMembers> to_;
  std::uint64_t connect_allowed_ = UINT64_MAX;  // bit per destination: try again at the next frame

  std::array<std::unique_ptr<ReceiveLink>, kMaxMembers> from_;
  std::uint64_t linked_ = 0;  // bit per source: from_ is there
  std::uint64_t active_ = 0;  // bit per source: its ring is polled
  unsigned cursor_ = 0;       // the source whose turn it is
  unsigned turn_ = 0;         // frames left of that turn

  std::array<Pending, 8> pending_;
  tideline::Instant next_service_{};
  tideline::Instant next_check_{};
  Counters counters_;
};

}  // namespace proofs::segment
