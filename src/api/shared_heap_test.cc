// SPDX-License-Identifier: Apache-2.0
#include "api/shared_heap.h"

#include <gtest/gtest.h>

#include <vector>

namespace tideline::api {
namespace {

constexpr std::size_t kGrain = SharedHeap::kGrain;

TEST(SharedHeap, GivesOutWhatIsFreeInOnePiece) {
  std::vector<std::byte> memory(4 * kGrain);
  SharedHeap heap(memory);
  const auto first = heap.take(kGrain + 1);  // two grains
  const auto second = heap.take(100);
  EXPECT_EQ(first.data(), memory.data());
  EXPECT_EQ(first.size(), kGrain + 1);
  EXPECT_EQ(second.data(), memory.data() + 2 * kGrain);
  EXPECT_TRUE(heap.take(2 * kGrain).empty());
  EXPECT_TRUE(heap.take(0).empty());
  EXPECT_FALSE(heap.take(kGrain).empty());
  EXPECT_TRUE(heap.take(1).empty());
  EXPECT_TRUE(heap.give(second));
  EXPECT_TRUE(heap.take(kGrain + 1).empty());
  EXPECT_TRUE(heap.give(first));
  EXPECT_EQ(heap.take(3 * kGrain).data(), memory.data());
}

TEST(SharedHeap, KnowsWhatIsItsOwn) {
  std::vector<std::byte> memory(2 * kGrain);
  std::vector<std::byte> other(kGrain);
  SharedHeap heap(memory);
  EXPECT_FALSE(heap.give(other));
  EXPECT_FALSE(heap.give({}));
  SharedHeap none;
  EXPECT_TRUE(none.take(1).empty());
  EXPECT_FALSE(none.give(other));
}

}  // namespace
}  // namespace tideline::api
