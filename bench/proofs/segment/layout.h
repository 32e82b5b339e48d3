// SPDX-License-Identifier: Apache-2.0
// What members of a shared segment see of each other's memory, and say to each other when they
// meet. Data only; both ends of every ring and the handshake use it. Thread: any.
//
// Every member owns four kinds of memfd, sealed in size. Only the hint page may be written by
// others:
//
//   arena   [2 KiB block][2 KiB block]..[64 KiB block][64 KiB block]..      others read
//   ring    one per destination, made when the first frame is sent to it    that destination reads
//           [slot 0][slot 1] .. [slot n-1], n a power of two
//   index   one cache line per source: how many of its frames are consumed  the sources read
//   hint    one bit per source: "my ring has frames"                        the sources write
//
//   slot    0        4        8                 16                                   128
//           | seq    | length | offset          | the frame, if length <= 112         |
//           '-- one 64-bit word, stored last --'
//
// The frame at position p of a ring lies in slot p % n and is there when seq == low 32 bits of
// p + 1: the consumer polls the slot itself, and no index crosses on the fast path. A longer frame
// lies in the arena at `offset`. Whoever reads takes each word of the header once, by an atomic
// load, and checks its own copy.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/bits.h"

namespace proofs::segment {

inline constexpr unsigned kMaxMembers = 64;  // bits of the hint word
inline constexpr std::size_t kMaxFrame = std::size_t{64} << 10;
inline constexpr std::size_t kSlotBytes = 128;
inline constexpr std::size_t kInlineBytes = kSlotBytes - 16;

struct alignas(kSlotBytes) Slot {
  std::atomic<std::uint64_t> head;  // sequence in the low half, length in the high half
  std::atomic<std::uint64_t> offset;
  std::array<std::byte, kInlineBytes> frame;
};
static_assert(sizeof(Slot) == kSlotBytes);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

constexpr std::uint32_t sequence_at(std::uint64_t position) {
  return static_cast<std::uint32_t>(position + 1);
}

struct alignas(tideline::kCacheLine) IndexLine {
  std::atomic<std::uint64_t> consumed;
};

struct IndexPage {
  std::array<IndexLine, kMaxMembers> of_source;
};
static_assert(sizeof(IndexPage) == tideline::kPageSize);

struct alignas(tideline::kPageSize) HintPage {
  std::atomic<std::uint64_t> sources;
};
static_assert(sizeof(HintPage) == tideline::kPageSize);

// Bounds of what a member maps on another's word.
inline constexpr std::uint32_t kMinRingSlots = 8;
inline constexpr std::uint32_t kMaxRingSlots = 1U << 16;
inline constexpr std::uint64_t kMaxArenaBytes = std::uint64_t{1} << 30;

inline constexpr std::uint32_t kMagic = 0x53'45'47'54;  // "TGES" in memory
inline constexpr std::uint32_t kVersion = 1;

// From the sender to the listener of the destination, with the descriptors of ring and arena.
struct Hello {
  std::uint32_t magic = kMagic;
  std::uint32_t version = kVersion;
  std::uint32_t source = 0;  // the sender's slot in the segment
  std::uint32_t ring_slots = 0;
  std::uint64_t incarnation = 0;  // which owner of that slot
  std::uint64_t arena_bytes = 0;
};

// The destination's answer, with the descriptors of index and hint if `accepted`.
struct Welcome {
  std::uint32_t magic = kMagic;
  std::uint32_t version = kVersion;
  std::uint32_t accepted = 0;
  std::uint32_t reserved = 0;
};

}  // namespace proofs::segment
