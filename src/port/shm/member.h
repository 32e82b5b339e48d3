// SPDX-License-Identifier: Apache-2.0
// A member of the segment: owns a slot, sends frames to other slots, receives what they send. One
// thread. After a fork the child destroys its copy of the object and may join as a member of its
// own: the slot stays with the parent.
//
//   sender                                                   receiver
//     prepare(), commit()                                      front(): where the frame lies
//       --> block of own arena --> own ring [slot] ~~~~~~~~~>  pop(): it is copied out
//     flush() ----> hint bit, doorbell ------------------->    which ring to look at; wakes
//     blocks come back <----------------------------------- its index, a line per source
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/time.h"
#include "port/shm/arena.h"
#include "port/shm/counters.h"
#include "port/shm/handshake.h"
#include "port/shm/lease.h"
#include "port/shm/peers.h"
#include "port/shm/receive_link.h"
#include "port/shm/send_link.h"

namespace tideline::port::shm {

enum class ArenaPages : std::uint8_t {
  kNormal,
  kCollapsed,  // 2 MiB pages made of normal ones, if the kernel has them at this moment
  kReserved,   // 2 MiB pages from the reserved pool
};

struct MemberConfig {
  std::string meeting_point;  // a directory
  unsigned slots = kMaxMembers;
  ClaimOrder claim{};
  bool promiscuous = false;  // asks all others for a copy of all that they send
  std::uint32_t ring_slots = 256;
  ArenaShape arena{.small_blocks = 1024, .large_blocks = 95};
  // Behind the blocks: memory that frames may refer to. What others map is bounded
  // (kMaxArenaBytes).
  std::size_t shared_bytes = 0;
  ArenaPages arena_pages = ArenaPages::kCollapsed;
  // A receiver stores its index after so many frames; after every one that lies in a large block,
  // and when the ring is empty.
  std::uint32_t index_lag = 64;
  std::array<std::uint32_t, 2> blocks_in_flight = {128, 8};  // see SendLink::Limits
  Peers* peers = nullptr;                                    // outlives the member
  bool prefetch = true;  // ask for the next slot while a frame is copied
};

enum class SendVerdict : std::uint8_t { kSent, kDropped };

// A frame that has come. Its source may change the bytes at any time: copy, then parse.
struct Arrived {
  unsigned source = 0;
  std::span<const std::byte> bytes;  // all of it, or the head of a frame in pieces
  OffloadWords offload;
  bool is_inline = false;
  std::uint8_t piece_count = 0;
  std::array<std::span<const std::byte>, kMaxPieces> pieces{};

  std::size_t size() const {
    std::size_t size = bytes.size();
    for (const auto& piece : std::span(pieces).first(piece_count)) size += piece.size();
    return size;
  }
};

class Member {
 public:
  struct Memory {
    Region arena;
    Region index;
    Region hints;
    bool arena_is_huge = false;
  };

  static Result<std::unique_ptr<Member>> join(const MemberConfig& config, Instant now);
  // For join().
  Member(MemberConfig config, MeetingPoint meeting_point, Lease lease, Memory memory,
         UniqueFd listener, UniqueFd events);
  ~Member();
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;

  unsigned slot() const { return lease_.slot(); }
  const Counters& counters() const { return counters_; }
  // Whether 2 MiB pages serve this member's arena.
  bool arena_is_huge() const { return memory_.arena_is_huge; }

  // Bit per slot: another member is or was there. Reads the directory, but not more than once in a
  // service interval.
  std::uint64_t others(Instant now);
  // Bit per slot: it asks for a copy of all frames.
  std::uint64_t promiscuous() const { return promiscuous_; }

  // A place for a frame of `length` bytes. The first frame to a destination makes its ring and
  // connects. On failure, why; it is counted.
  std::expected<Place, Event> prepare(unsigned destination, std::size_t length);
  // How many frames of any length there is a place for, `wanted` at most, on the way to the station
  // that a place was last prepared for; one that does not exist has room, for what is sent there is
  // lost in any case.
  std::size_t room(std::size_t wanted);
  // The frame that was written to the place prepared last is sent.
  void commit(unsigned destination, const Place& place, const OffloadWords& offload = {});
  // Sends a packet whose bytes, but for those of its first segment, lie in shared_memory(), and
  // keeps it. False: it must be copied to a place.
  bool refer(unsigned destination, packet::PacketPtr& packet, const OffloadWords& offload,
             Instant now);
  // Tells the destinations of what was committed, and let go of, since the last call.
  void flush();

  // The arena's part that frames may refer to; empty if there is none.
  std::span<std::byte> shared_memory() const;
  // Drops the packets that nobody reads any more. Returns how many.
  std::size_t drop_returned();
  bool keeps_packets() const { return keeping_ != 0; }
  // Since when the oldest is kept; kNever if there is none.
  Instant oldest_kept() const;
  // Drops those sent before `before` that borrow from `memory`: who still reads them will know.
  void withdraw(std::span<const std::byte> memory, Instant before);
  // Sends a copy of `frame` and tells.
  SendVerdict send(unsigned destination, std::span<const std::byte> frame);

  // The next frame; none if there is none. Sources take turns of kBurst frames.
  std::optional<Arrived> front();
  // Takes it off its ring. Nothing else is called in between but lend().
  void pop();
  // Whether the source has not taken the memory of the frame at the front back.
  bool front_stands() const { return from_[cursor_]->head_stands(); }
  // Bytes of the frame at the front, which is popped next, on loan: its block stays until the
  // release, which may come after the member's end. None if it must be copied. Of a frame in pieces
  // each one is lent.
  std::optional<packet::Loan> lend(std::span<const std::byte> bytes);

  // Connections, hang-ups, and a look at every ring, whatever the hints say: to be called all the
  // time; does something once per kServiceInterval, and when the member is armed.
  void service(Instant now);

  // Readable when there is something to do for an armed member. After arm() it must be served and
  // asked for frames once more before the caller sleeps.
  int fd() const { return events_.get(); }
  void arm();
  void disarm();

 private:
  // An accepted connection whose Hello has not come yet.
  struct Pending {
    UniqueFd socket;
    Instant deadline;
  };

  int own_descriptor() const { return config_.peers == nullptr ? -1 : config_.peers->descriptor(); }
  IndexPage& index() const { return *memory_.index.memory.at<IndexPage>(0); }
  HintPage& hints() const { return *memory_.hints.memory.at<HintPage>(0); }

  // Sending.
  SendLink* link_to(unsigned destination);
  Result<SendLink::Parts> open_link(unsigned destination);
  void close_send_link(unsigned destination);

  // Receiving.
  unsigned next_active(unsigned from) const;
  void rest(unsigned source);
  void close_receive_link(unsigned source);

  // Service.
  void handle_event(std::uint64_t token, Instant now);
  void hear(unsigned source);
  void hang_up(unsigned source);
  void accept_senders(Instant now);
  void serve_pending(std::size_t index);
  bool take_hello(UniqueFd& socket);
  void install(Arrival arrival, UniqueFd socket);
  void take_welcome(unsigned destination);
  void check_peers(Instant now);
  void expect_questions(Instant now);
  void watch(int socket, std::uint64_t token);
  void unwatch(int socket);

  MemberConfig config_;
  MeetingPoint meeting_point_;
  Lease lease_;
  Memory memory_;
  UniqueFd listener_;
  UniqueFd events_;  // epoll
  std::uint64_t owner_pid_;

  Arena blocks_;
  std::array<std::unique_ptr<SendLink>, kMaxMembers> to_;
  std::uint64_t connect_allowed_ = UINT64_MAX;  // bit per destination: try again at the next frame
  std::uint64_t told_ = 0;                      // bit per destination: flush() has work
  std::uint64_t keeping_ = 0;                   // bit per destination: it keeps packets
  unsigned latest_ = 0;                         // the destination of the last prepare()
  std::uint64_t others_ = 0;
  Instant others_expire_{};

  std::array<std::shared_ptr<ReceiveLink>, kMaxMembers> from_;
  std::uint64_t linked_ = 0;  // bit per source: from_ is there
  std::uint64_t active_ = 0;  // bit per source: its ring is polled
  std::uint64_t promiscuous_ = 0;
  std::uint64_t presumed_ = 0;  // of these: by their leases, they have not asked yet
  Instant presumption_ends_{};
  unsigned cursor_ = 0;  // the source whose turn it is
  unsigned turn_ = 0;    // frames left of that turn
  std::size_t front_length_ = 0;
  bool front_is_block_ = false;
  bool front_is_lent_ = false;

  std::array<Pending, 8> pending_;
  Instant next_service_{};
  Instant next_check_{};
  bool armed_ = false;
  Counters counters_;
};

}  // namespace tideline::port::shm
