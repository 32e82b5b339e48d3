// SPDX-License-Identifier: Apache-2.0
// Allocation of frame blocks in a member's own arena. All bookkeeping is in private memory: no
// other process can damage it. No block is ever freed by another member; its owner frees it when
// the destination's index has passed the frame, or when the destination is gone. One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "port/shm/layout.h"

namespace tideline::port::shm {

// Which kind of block a frame of a given length needs.
enum class BlockClass : std::uint8_t { kSmall, kLarge };
// A large one holds the longest frame; blocks that were a power of two apart would meet in the same
// sets of the caches.
inline constexpr std::array<std::size_t, 2> kBlockBytes = {2048, 65536 + 128};
static_assert(kBlockBytes[1] >= kMaxFrame);

// Which free block goes next. The last freed is warm, but in the reader's cache, from where the
// writer must fetch each line; the longest freed has had time to sink to the shared cache.
enum class BlockOrder : std::uint8_t { kLongestFreedFirst, kLastFreedFirst };

struct ArenaShape {
  std::uint32_t small_blocks = 0;
  std::uint32_t large_blocks = 0;
  BlockOrder order = BlockOrder::kLongestFreedFirst;

  // A multiple of the page size; of 2 MiB if there is as much.
  std::size_t bytes() const;
};

struct Block {
  std::uint64_t offset = 0;
  BlockClass kind = BlockClass::kSmall;
};

// How many blocks of each class one destination holds.
using BlocksHeld = std::array<std::uint32_t, 2>;

class Arena {
 public:
  explicit Arena(const ArenaShape& shape);

  static BlockClass class_for(std::size_t length) {
    return length <= kBlockBytes[0] ? BlockClass::kSmall : BlockClass::kLarge;
  }

  // A block for a frame to a destination that holds `held`. None if there is none, or if the
  // destination would hold more than is left over: k destinations that never consume leave the
  // others one part in k + 1 (dynamic thresholds, Choudhury and Hahne 1998).
  std::optional<Block> take(std::size_t length, BlocksHeld& held);
  void give_back(Block block, BlocksHeld& held);
  // How many blocks of either class, whichever are fewer, take() gives one after the other now.
  std::size_t room(const BlocksHeld& held) const;

  std::size_t size() const { return free_[0].offsets.size() + free_[1].offsets.size(); }
  std::size_t free_blocks(BlockClass kind) const {
    return free_[static_cast<std::size_t>(kind)].count;
  }

 private:
  // Offsets of free blocks in the order of their release, in a circle of fixed size.
  struct FreeList {
    std::vector<std::uint64_t> offsets;
    std::size_t first = 0;
    std::size_t count = 0;

    std::uint64_t take(BlockOrder order);
    void put(std::uint64_t offset);
  };

  BlockOrder order_;
  std::array<FreeList, 2> free_;
};

}  // namespace tideline::port::shm
