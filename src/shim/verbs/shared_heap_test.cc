// SPDX-License-Identifier: Apache-2.0
// The shared heap as allocator, and what a forked child has of it.
#include "shim/verbs/shared_heap.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "base/bits.h"

namespace tideline::shim::verbs {
namespace {

class SharedHeap : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    EXPECT_EQ(allocate_shared(4096, 4096), nullptr) << "not open yet";
    open_shared_heap();
    open_shared_heap();  // a program may open its device again
  }
};

// Whether it is so in a forked child.
template <typename Function>
bool in_child(Function is_so) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(is_so() ? 0 : 1);
  int status = 0;
  return ::waitpid(child, &status, 0) == child && status == 0;
}

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

// As of private memory: what it had when it was made, whatever its parent does since.
TEST_F(SharedHeap, AChildsCopyIsItsOwnWhateverTheParentDoes) {
  auto* written = static_cast<char*>(allocate_shared(4096, 8192));
  auto* freed = static_cast<char*>(allocate_shared(4096, 8192));
  auto* untouched = static_cast<char*>(allocate_shared(4096, 8192));
  std::strcpy(written, "before");
  std::strcpy(freed + 4096, "before");
  std::array<int, 2> go{};
  ASSERT_EQ(::pipe(go.data()), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    char byte = 0;
    const bool told = ::read(go[0], &byte, 1) == 1;
    ::_exit(told && std::strcmp(written, "before") == 0 &&
                    std::strcmp(freed + 4096, "before") == 0 && is_zero(untouched, 8192)
                ? 0
                : 1);
  }
  std::strcpy(written, "after");
  std::strcpy(untouched, "after");
  free_shared(freed);
  void* again = allocate_shared(4096, 8192);
  std::memset(again, 0xff, 8192);
  ASSERT_EQ(::write(go[1], "", 1), 1);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  ::close(go[0]);
  ::close(go[1]);
  for (void* memory : {static_cast<void*>(written), static_cast<void*>(untouched), again}) {
    free_shared(memory);
  }
}

TEST_F(SharedHeap, AGrandchildHasWhatItsParentHad) {
  auto* memory = static_cast<char*>(allocate_shared(4096, 8192));
  std::strcpy(memory, "parent");
  EXPECT_TRUE(in_child([&] {
    std::strcpy(memory, "child");
    return in_child([&] { return std::strcmp(memory, "child") == 0; }) &&
           std::strcmp(memory, "child") == 0;
  }));
  EXPECT_STREQ(memory, "parent");
  free_shared(memory);
}

TEST_F(SharedHeap, FreeingPreservesErrno) {
  void* memory = allocate_shared(4096, 8192);
  errno = EXDEV;
  free_shared(memory);
  EXPECT_EQ(errno, EXDEV);
}

TEST_F(SharedHeap, EndsBeforeTheSystemsMappingsDo) {
  std::vector<void*> blocks;
  while (void* memory = allocate_shared(4096, 4096)) {
    blocks.push_back(memory);
    ASSERT_LE(blocks.size(), 10'000U);
  }
  EXPECT_GE(blocks.size(), 4000U);
  for (void* memory : blocks) free_shared(memory);
  void* memory = allocate_shared(4096, 4096);
  EXPECT_NE(memory, nullptr);
  free_shared(memory);
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
