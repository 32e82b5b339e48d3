// SPDX-License-Identifier: Apache-2.0
// What members of a shared segment see of each other's memory, and say to each other when they
// meet. Data only; both ends of every ring and the handshake use it. Thread: any.
//
// Every member owns four kinds of memfd, sealed in size. Only the hint page may be written by
// others:
//
//   arena   [2 KiB block][2 KiB block]..[large block][large block]..        others read
//           behind the blocks: memory that packets borrow from, and frames refer to
//   ring    one per destination, made when the first frame is sent to it    that destination reads
//           [slot 0][slot 1] .. [slot n-1], n a power of two; [references taken back]
//   index   whether its owner sleeps; per source, how many frames are       others read
//           consumed, and which of these keep their blocks
//   hint    one bit per source: "my ring has frames"                        the sources write
//
//   slot    0          4               8           16                                  128
//           | sequence | length, flags | offload   | the frame, if length <= 112, or   |
//           '-- one 64-bit word, stored last --'   | its block's offset (8 bytes), or  |
//                                                  | up to 3 pieces and the frame's    |
//                                                  | head, which the pieces follow     |
//
// The frame at position p of a ring lies in slot p % n and is there when sequence == low 32 bits of
// p + 1: the consumer polls the slot itself, and no index crosses on the fast path. Whoever reads
// takes each word of the header once, by an atomic load, and checks its own copy.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/bits.h"
#include "port/capabilities.h"
#include "ring/wake_flag.h"

namespace tideline::port::shm {

inline constexpr unsigned kMaxMembers = 64;  // bits of the hint word
constexpr std::uint64_t bit(unsigned member) { return std::uint64_t{1} << member; }

inline constexpr std::size_t kMaxFrame = kMaxGsoFrame;
inline constexpr std::size_t kSlotBytes = 128;
inline constexpr std::size_t kInlineBytes = kSlotBytes - 16;

struct alignas(kSlotBytes) Slot {
  std::atomic<std::uint64_t> head;  // sequence in the low half, length and flags in the high half
  std::atomic<std::uint64_t> offload;
  alignas(std::uint64_t) std::array<std::byte, kInlineBytes> frame;

  // In place of the frame's bytes: the offset of its block, or a piece of it.
  std::atomic<std::uint64_t>& word(std::size_t index = 0) {
    return *(reinterpret_cast<std::atomic<std::uint64_t>*>(frame.data()) + index);
  }
  const std::atomic<std::uint64_t>& word(std::size_t index = 0) const {
    return *(reinterpret_cast<const std::atomic<std::uint64_t>*>(frame.data()) + index);
  }
};
static_assert(sizeof(Slot) == kSlotBytes);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

// The upper half of Slot::head: the length below, flags (offload.h) above.
inline constexpr unsigned kLengthBits = 20;
static_assert(kMaxFrame < (std::size_t{1} << kLengthBits));

// A part of a frame that lies in the arena's memory for references: a word of the slot, the offset
// in its low half.
struct Piece {
  std::uint32_t offset = 0;
  std::uint32_t length = 0;
};
inline constexpr std::size_t kMaxPieces = 3;
// How many there are, 0 of a frame that lies in one place: above the flags of OffloadWords.
inline constexpr unsigned kOffloadFlagBits = 6;
inline constexpr std::uint32_t kOffloadFlags = (1U << kOffloadFlagBits) - 1;
static_assert(kLengthBits + kOffloadFlagBits + 2 <= 32);
// Bytes of the head that fit beside so many pieces.
constexpr std::size_t head_room(std::size_t pieces) {
  return kInlineBytes - pieces * sizeof(std::uint64_t);
}

// Offload metadata as it lies in a slot (offload.h says what the bits mean): flags that fit above
// the length, and Slot::offload.
struct OffloadWords {
  std::uint32_t flags = 0;
  std::uint64_t fields = 0;
};

constexpr std::uint32_t sequence_at(std::uint64_t position) {
  return static_cast<std::uint32_t>(position + 1);
}

// Bounds of what a member maps on another's word, and pays for.
inline constexpr std::uint32_t kMinRingSlots = 8;
inline constexpr std::uint32_t kMaxRingSlots = 1U << 12;
inline constexpr std::uint64_t kMaxArenaBytes = std::uint64_t{32} << 20;

// Frames in slots below this one may keep their blocks after they were consumed, or refer to
// memory.
inline constexpr std::uint32_t kLendableSlots = 256;

// Behind the slots of a ring. Per slot, the sequence of the frame whose memory its sender has taken
// back, or 0: who has copied from it looks here afterwards. Set before the memory is written to.
struct Withdrawals {
  std::array<std::atomic<std::uint32_t>, kLendableSlots> sequence;
};
constexpr std::size_t ring_bytes(std::uint32_t slots) {
  return align_up(slots * kSlotBytes + sizeof(Withdrawals), kPageSize);
}

struct alignas(kCacheLine) IndexLine {
  std::atomic<std::uint64_t> consumed;
};

struct alignas(kPageSize) IndexPage {
  ring::WakeFlag wake;  // of the owner
  alignas(kPageSize) std::array<IndexLine, kMaxMembers> of_source;
  // Per source and slot of its ring: the sequence of the consumed frame whose block is still read
  // here, or 0. It is set before the frame counts as consumed.
  std::array<std::array<std::atomic<std::uint32_t>, kLendableSlots>, kMaxMembers> loans;
};
static_assert(sizeof(IndexPage) % kPageSize == 0);

struct alignas(kPageSize) HintPage {
  std::atomic<std::uint64_t> sources;
};
static_assert(sizeof(HintPage) == kPageSize);

inline constexpr std::uint32_t kMagic = 0x53'45'47'54;  // "TGES" in memory
inline constexpr std::uint32_t kVersion = 3;

// From the sender to the listener of the destination, with the descriptors of ring and arena, and
// one for Peers if it has one.
struct Hello {
  std::uint32_t magic = kMagic;
  std::uint32_t version = kVersion;
  std::uint32_t source = 0;  // the sender's slot in the segment
  std::uint32_t ring_slots = 0;
  std::uint64_t incarnation = 0;  // which owner of that slot
  std::uint64_t arena_bytes = 0;
  std::uint32_t promiscuous = 0;  // 1: it asks for all frames, whoever they are for
  std::uint32_t reserved = 0;
};

// The destination's answer, with the descriptors of index and hint if `accepted`, and one for Peers
// if it has one.
struct Welcome {
  std::uint32_t magic = kMagic;
  std::uint32_t version = kVersion;
  std::uint32_t accepted = 0;
  std::uint32_t reserved = 0;
};

}  // namespace tideline::port::shm
