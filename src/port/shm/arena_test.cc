// SPDX-License-Identifier: Apache-2.0
#include "port/shm/arena.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/bits.h"
#include "base/random.h"

namespace tideline::port::shm {
namespace {

TEST(Arena, BlocksDoNotOverlapAndStayInside) {
  const ArenaShape shape{.small_blocks = 20, .large_blocks = 5};
  Arena arena(shape);
  std::vector<BlocksHeld> held(64);  // one block each: the threshold never bites
  std::vector<bool> used(shape.bytes());
  std::size_t taken = 0;
  for (const std::size_t length : {std::size_t{1400}, std::size_t{65536}}) {
    const std::size_t bytes = kBlockBytes[static_cast<std::size_t>(Arena::class_for(length))];
    while (const auto block = arena.take(length, held.at(taken))) {
      ++taken;
      for (std::size_t at = block->offset; at < block->offset + bytes; ++at) {
        ASSERT_FALSE(used.at(at));
        used[at] = true;
      }
    }
  }
  EXPECT_EQ(taken, 25U);
}

TEST(Arena, BlocksGoInTheChosenOrder) {
  for (const BlockOrder order : {BlockOrder::kLongestFreedFirst, BlockOrder::kLastFreedFirst}) {
    Arena arena({.small_blocks = 4, .large_blocks = 0, .order = order});
    BlocksHeld held{};
    const auto first = arena.take(100, held);
    ASSERT_TRUE(first);
    arena.give_back(*first, held);
    int takes = 1;
    while (arena.take(100, held)->offset != first->offset) {
      held = {};
      ++takes;
    }
    EXPECT_EQ(takes, order == BlockOrder::kLastFreedFirst ? 1 : 4);
  }
}

TEST(Arena, DestinationsThatNeverConsumeLeaveRoomForOthers) {
  Arena arena({.small_blocks = 64, .large_blocks = 0});
  std::vector<BlocksHeld> stuck(3);
  for (BlocksHeld& held : stuck) {
    while (arena.take(100, held)) {
    }
  }
  // Halves of what is left: 32, 16, 8 are held, 8 remain.
  EXPECT_EQ(arena.free_blocks(BlockClass::kSmall), 8U);
  BlocksHeld live{};
  EXPECT_TRUE(arena.take(100, live));
}

TEST(Arena, RoomIsWhatCanBeTaken) {
  for (const std::uint32_t blocks : {1U, 2U, 7U, 64U}) {
    for (unsigned others = 0; others < blocks; ++others) {
      Arena arena({.small_blocks = 2 * blocks, .large_blocks = blocks});
      BlocksHeld other{};
      for (unsigned i = 0; i < others && arena.take(65536, other); ++i) {
      }
      BlocksHeld held{};
      for (std::size_t room = arena.room(held); room > 0; --room) {
        ASSERT_EQ(arena.room(held), room);
        ASSERT_TRUE(arena.take(65536, held));
      }
      EXPECT_FALSE(arena.take(65536, held));
    }
  }
}

TEST(Arena, RandomUseLosesNothing) {
  Arena arena({.small_blocks = 32, .large_blocks = 8});
  Rng rng(1);
  BlocksHeld held{};
  std::vector<Block> taken;
  for (int i = 0; i < 10'000; ++i) {
    if (rng.below(2) == 0) {
      if (const auto block = arena.take(rng.below(65536), held)) taken.push_back(*block);
    } else if (!taken.empty()) {
      std::swap(taken[rng.below(taken.size())], taken.back());
      arena.give_back(taken.back(), held);
      taken.pop_back();
    }
  }
  for (const Block block : taken) arena.give_back(block, held);
  EXPECT_EQ(arena.free_blocks(BlockClass::kSmall), 32U);
  EXPECT_EQ(arena.free_blocks(BlockClass::kLarge), 8U);
  EXPECT_EQ(held, BlocksHeld{});
}

TEST(ArenaShape, WholePagesOfTheLargestKindThatFits) {
  EXPECT_EQ((ArenaShape{.small_blocks = 1, .large_blocks = 0}.bytes()), kPageSize);
  EXPECT_EQ((ArenaShape{.small_blocks = 0, .large_blocks = 33}.bytes()), 2 * kHugePageSize);
}

}  // namespace
}  // namespace tideline::port::shm
