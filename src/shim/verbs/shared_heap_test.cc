// SPDX-License-Identifier: Apache-2.0
// The shared heap as allocator, and what a forked child has of it.
#include "shim/verbs/shared_heap.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <random>
#include <thread>

#include "base/bits.h"

namespace tideline::shim::verbs {
namespace {

class SharedHeap : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    EXPECT_EQ(allocate_shared(4096, 4096), nullptr) << "not open yet";
    open_shared_heap();
  }
};

bool is_zero(const void* memory, std::size_t size) {
  const auto* bytes = static_cast<const char*>(memory);
  return *bytes == 0 && std::memcmp(bytes, bytes + 1, size - 1) == 0;
}

TEST_F(SharedHeap, BlocksAreAlignedApartAndEmpty) {
  std::map<std::uintptr_t, std::size_t> blocks;
  std::mt19937 random(1);
  for (int i = 0; i < 1000; ++i) {
    if (!blocks.empty() && random() % 3 == 0) {
      const auto victim = std::next(blocks.begin(), static_cast<int>(random() % blocks.size()));
      free_shared(reinterpret_cast<void*>(victim->first));  // NOLINT(performance-no-int-to-ptr)
      blocks.erase(victim);
      continue;
    }
    const std::size_t alignment = std::size_t{1} << random() % 22;
    const std::size_t size = 1 + random() % 300'000;
    void* memory = allocate_shared(alignment, size);
    ASSERT_NE(memory, nullptr);
    const auto begin = reinterpret_cast<std::uintptr_t>(memory);
    ASSERT_EQ(begin % alignment, 0U);
    ASSERT_TRUE(is_shared(memory));
    ASSERT_GE(shared_size(memory), size);
    ASSERT_TRUE(is_zero(memory, size)) << "what was here before shows";
    std::memset(memory, 0xff, size);
    const auto [at, is_new] = blocks.emplace(begin, size);
    ASSERT_TRUE(is_new);
    const bool first = at == blocks.begin();
    const bool last = std::next(at) == blocks.end();
    ASSERT_TRUE(first || std::prev(at)->first + std::prev(at)->second <= begin);
    ASSERT_TRUE(last || begin + size <= std::next(at)->first);
  }
  for (const auto& [begin, size] : blocks) {
    free_shared(reinterpret_cast<void*>(begin));  // NOLINT(performance-no-int-to-ptr)
  }
}

TEST_F(SharedHeap, RefusesWhatItCannotServe) {
  EXPECT_EQ(allocate_shared(4096, 0), nullptr);
  EXPECT_EQ(allocate_shared(4096, SIZE_MAX), nullptr);
  EXPECT_EQ(allocate_shared(std::size_t{1} << 40, 4096), nullptr);
  int own = 0;
  EXPECT_FALSE(is_shared(&own));
  EXPECT_FALSE(is_shared(nullptr));
  void* memory = allocate_shared(4096, 8192);
  free_shared(static_cast<std::byte*>(memory) + 4096);  // nothing begins there
  EXPECT_EQ(shared_size(memory), 8192U);
  free_shared(memory);
  free_shared(memory);
}

// A child may write and free what it has, as it may with private memory; the parent sees nothing.
TEST_F(SharedHeap, AForkedChildHasACopy) {
  auto* first = static_cast<char*>(allocate_shared(4096, 8192));
  auto* second = static_cast<char*>(allocate_shared(4096, 8192));
  std::strcpy(first, "parent");
  std::strcpy(second, "parent");
  const pid_t child = ::fork();
  if (child == 0) {
    const bool same = std::strcmp(first, "parent") == 0;
    std::strcpy(first, "child");
    free_shared(second);
    ::_exit(same && allocate_shared(4096, 8192) == nullptr ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_STREQ(first, "parent");
  EXPECT_STREQ(second, "parent");
  free_shared(first);
  free_shared(second);
}

TEST_F(SharedHeap, ThreadsShareIt) {
  std::array<std::thread, 4> threads;
  for (auto& thread : threads) {
    thread = std::thread([] {
      for (int i = 0; i < 300; ++i) {
        void* memory = allocate_shared(4096, 70'000);
        ASSERT_NE(memory, nullptr);
        ASSERT_TRUE(is_zero(memory, 70'000)) << "another thread has it, too";
        std::memset(memory, 1, 70'000);
        free_shared(memory);
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace tideline::shim::verbs
