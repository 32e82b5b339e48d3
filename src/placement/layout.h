// SPDX-License-Identifier: Apache-2.0
// What a process shows to those on its machine that may place bytes in its memory: one memfd, which
// it alone writes (sealed: base/memfd.h) and all its peers map read-only.
//
//   0       header: who, with which addresses; lives; is placing; how often something was hidden
//   4 KiB   regions, a slot per key (rdma::RegionTable::slot_of)
//   + 4 MiB queue pairs, a slot per number
//
// The slots are sparse: what was never used has no memory. So a reader may fault on any of them,
// and reads all but the header by guarded copies. An entry is a seqlock: its sequence is odd while
// its owner writes it.
//
// Taking back is that of a hazard pointer. Who places makes its `placing` odd, then looks at the
// entry; who hides an entry clears it, then waits until every `placing` that it finds odd has
// changed. Both are sequentially consistent, so one of the two sees the other.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/bits.h"
#include "base/owner_word.h"
#include "rdma/address.h"
#include "rdma/regions.h"

namespace tideline::placement {

inline constexpr std::uint64_t kMagic = 0x31'30'65'63'61'6c'70'74;  // "tplace01" in memory

struct Header {
  std::uint64_t magic;
  std::uint64_t nonce;          // random: proves that a process is the one that it is taken for
  std::uint64_t nonce_address;  // of `nonce` in that process
  std::uint32_t gid_count;
  std::array<std::uint64_t, 2 * rdma::kGidTableSize> gids;  // upper and lower half of each

  alignas(kCacheLine) OwnerWord owner;
  alignas(kCacheLine) std::atomic<std::uint64_t> placing;  // odd while it moves bytes
  alignas(kCacheLine) std::atomic<std::uint64_t> hidden;   // counts: mappings may be out of date
};
static_assert(sizeof(Header) <= kPageSize);

// An entry without its sequence. Key 0: nothing.
struct Region {
  std::uint32_t key = 0;
  std::uint32_t domain = 0;
  std::uint32_t access = 0;  // rdma::Access
  // A file that the memory is a shared mapping of: descriptor in the process, -1 if there is none.
  std::int32_t file = -1;
  std::uint64_t inode = 0;
  std::uint64_t file_offset = 0;  // of the region's first byte
  std::uint64_t base = 0;         // as peers name that byte
  std::uint64_t length = 0;
  std::uint64_t address = 0;  // of that byte in the process
};

// Number 0: nothing.
struct QueuePair {
  std::uint32_t number = 0;
  std::uint32_t domain = 0;
  std::uint32_t access = 0;       // what it lets its peer do
  std::uint32_t peer_number = 0;  // whom it is connected to
  std::uint64_t peer_high = 0;
  std::uint64_t peer_low = 0;
};

template <typename Value>
struct alignas(kCacheLine) Entry {
  std::atomic<std::uint32_t> sequence;
  Value value;
};
static_assert(sizeof(Entry<Region>) == kCacheLine && sizeof(Entry<QueuePair>) == kCacheLine);

inline constexpr std::uint32_t kRegionSlots = rdma::RegionTable::kMostSlots;
inline constexpr std::uint32_t kQueuePairSlots = 32768;
inline constexpr std::size_t kRegionsAt = kPageSize;
inline constexpr std::size_t kQueuePairsAt = kRegionsAt + kRegionSlots * sizeof(Entry<Region>);
inline constexpr std::size_t kTableSize =
    kQueuePairsAt + kQueuePairSlots * sizeof(Entry<QueuePair>);

}  // namespace tideline::placement
