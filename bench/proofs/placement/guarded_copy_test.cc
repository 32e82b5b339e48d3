// SPDX-License-Identifier: Apache-2.0
#include "base/guarded_copy.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "base/bits.h"
#include "base/fault_handler.h"
#include "base/mapping.h"
#include "base/memfd.h"
#include "base/random.h"
#include "common/process.h"

namespace proofs::placement {

using tideline::CopyResult;
using tideline::fault_handlers_in_place;
using tideline::fault_side;
using tideline::FaultSide;
using tideline::guarded_copy;
using tideline::install_fault_handlers;
using tideline::program_sigaction;
using tideline::tideline_copy_avx;
using tideline::tideline_copy_sse;
using tideline::tideline_copy_string;
using tideline::unblock_fault_signals;

namespace {

using tideline::kPageSize;
using CopyFunction = CopyResult (*)(void*, const void*, std::size_t) noexcept;

struct Candidate {
  const char* name;
  CopyFunction copy;
};

std::vector<Candidate> candidates() {
  std::vector<Candidate> all{{"sse", tideline_copy_sse}, {"string", tideline_copy_string}};
  if (__builtin_cpu_supports("avx")) all.push_back({"avx", tideline_copy_avx});
  return all;
}

// Two writable pages between two that nobody may touch.
class Fenced {
 public:
  static constexpr std::size_t kSize = 2 * kPageSize;

  Fenced() : memory_(tideline::Mapping::anonymous_shared(kSize + 2 * kPageSize).value()) {
    ::mprotect(memory_.data(), kPageSize, PROT_NONE);
    ::mprotect(end(), kPageSize, PROT_NONE);
  }
  std::byte* begin() const { return memory_.data() + kPageSize; }
  std::byte* end() const { return begin() + kSize; }

 private:
  tideline::Mapping memory_;
};

class GuardedCopy : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(install_fault_handlers()); }
};

TEST_F(GuardedCopy, CopiesEverySizeAtEveryAlignmentAndNothingElse) {
  std::array<unsigned char, 512> source{};
  for (std::size_t i = 0; i < source.size(); ++i) source.at(i) = static_cast<unsigned char>(i + 1);
  for (const Candidate& candidate : candidates()) {
    for (std::size_t size = 0; size <= 300; ++size) {
      for (std::size_t shift = 0; shift < 64; ++shift) {
        alignas(64) std::array<unsigned char, 512> destination{};
        std::array<unsigned char, 512> expected{};
        std::memcpy(expected.data() + 32 + shift, source.data() + shift % 7, size);
        const CopyResult result =
            candidate.copy(destination.data() + 32 + shift, source.data() + shift % 7, size);
        ASSERT_EQ(result.copied, size) << candidate.name;
        ASSERT_EQ(destination, expected) << candidate.name << ' ' << size << '+' << shift;
      }
    }
  }
}

TEST_F(GuardedCopy, SaysTheExactByteThatFaultedAndWhoseItWas) {
  const Fenced good;
  std::vector<std::byte> buffer(Fenced::kSize, std::byte{7});
  for (const Candidate& candidate : candidates()) {
    for (const std::size_t before :
         {0U, 1U, 7U, 8U, 15U, 16U, 17U, 63U, 64U, 100U, 4095U, 4096U, 5000U}) {
      for (const std::size_t beyond : {1U, 8U, 15U, 200U, 3000U}) {
        const std::size_t size = before + beyond;
        std::byte* edge = good.end() - before;
        const CopyResult store = candidate.copy(edge, buffer.data(), size);
        ASSERT_EQ(store.copied, before) << candidate.name << ' ' << size;
        ASSERT_EQ(fault_side(store, edge, buffer.data(), size), FaultSide::kDestination);
        for (std::size_t i = 0; i < before; ++i) ASSERT_EQ(edge[i], std::byte{7});

        const CopyResult load = candidate.copy(buffer.data(), edge, size);
        ASSERT_EQ(load.copied, before) << candidate.name << ' ' << size;
        ASSERT_EQ(fault_side(load, buffer.data(), edge, size), FaultSide::kSource);
      }
    }
  }
}

TEST_F(GuardedCopy, SurvivesEveryKindOfBadMemory) {
  std::array<std::byte, 64> buffer{};
  // A file that has become shorter than its mapping: SIGBUS.
  tideline::UniqueFd file =
      tideline::create_memfd("short", kPageSize, tideline::PageKind::kNormal).value();
  const auto mapped =
      tideline::Mapping::map(file.get(), kPageSize, tideline::Access::kReadWrite).value();
  ASSERT_EQ(::ftruncate(file.get(), 0), 0);
  // Memory that may be read only.
  const auto read_only = tideline::Mapping::anonymous_shared(kPageSize).value();
  ASSERT_EQ(::mprotect(read_only.data(), kPageSize, PROT_READ), 0);
  // Memory that is no longer there, null, and addresses outside user space.
  void* gone = ::mmap(nullptr, kPageSize, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_EQ(::munmap(gone, kPageSize), 0);
  const std::array<void*, 6> bad{mapped.data(),
                                 read_only.data(),
                                 gone,
                                 nullptr,
                                 reinterpret_cast<void*>(0x8000000000000000),   // NOLINT
                                 reinterpret_cast<void*>(0x0000900000000000)};  // NOLINT
  for (const Candidate& candidate : candidates()) {
    for (void* address : bad) {
      const CopyResult store = candidate.copy(address, buffer.data(), buffer.size());
      EXPECT_EQ(store.copied, 0) << candidate.name << ' ' << address;
      EXPECT_EQ(fault_side(store, address, buffer.data(), buffer.size()), FaultSide::kDestination)
          << address;
      if (address == read_only.data()) continue;
      const CopyResult load = candidate.copy(buffer.data(), address, buffer.size());
      EXPECT_EQ(load.copied, 0) << candidate.name << ' ' << address;
      EXPECT_EQ(fault_side(load, buffer.data(), address, buffer.size()), FaultSide::kSource)
          << address;
    }
  }
}

TEST_F(GuardedCopy, AtomicsReportMemoryThatIsNotThere) {
  alignas(8) std::uint64_t word = 5;
  const auto swapped = tideline::tideline_compare_swap(&word, 5, 7);
  EXPECT_EQ(swapped.done, 1U);
  EXPECT_EQ(swapped.former, 5U);
  const auto refused = tideline::tideline_compare_swap(&word, 5, 9);
  EXPECT_EQ(refused.done, 1U);
  EXPECT_EQ(refused.former, 7U);
  EXPECT_EQ(tideline::tideline_fetch_add(&word, 3).former, 7U);
  EXPECT_EQ(word, 10U);
  const Fenced fenced;
  EXPECT_EQ(tideline::tideline_compare_swap(fenced.end(), 0, 1).done, 0U);
  EXPECT_EQ(tideline::tideline_fetch_add(fenced.end(), 1).done, 0U);
}

TEST_F(GuardedCopy, WorksInASignalHandlerOnASmallStack) {
  static std::atomic<std::size_t> copied;
  bench::Child child = bench::Child::run([] {
    static std::array<std::byte, 65536> stack;
    const stack_t small{.ss_sp = stack.data(), .ss_flags = 0, .ss_size = stack.size()};
    if (::sigaltstack(&small, nullptr) != 0) return 2;
    struct sigaction action{};
    action.sa_flags = SA_ONSTACK;
    action.sa_handler = [](int) {
      std::byte byte{};
      copied = guarded_copy(&byte, nullptr, 1).copied + 100;
    };
    if (::sigaction(SIGUSR1, &action, nullptr) != 0) return 3;
    ::raise(SIGUSR1);
    while (copied == 0) ::sched_yield();  // ThreadSanitizer delays signals to a system call
    return copied == 100 ? 0 : 4;
  });
  EXPECT_TRUE(child.succeeded());
}

// What the program sees of faults of its own.

int g_signal;
void* g_address;
sigjmp_buf g_back;

void with_siginfo(int signal, siginfo_t* info, void*) {
  g_signal = signal;
  g_address = info->si_addr;
  ::siglongjmp(g_back, 1);
}

void without_siginfo(int signal) {
  g_signal = signal;
  g_address = nullptr;
  ::siglongjmp(g_back, 1);
}

void touch(const void* address) {
  if (sigsetjmp(g_back, 1) == 0) *static_cast<volatile const char*>(address);
}

TEST_F(GuardedCopy, AnInterposedHandlerIsCalledForTheProgramsOwnFaults) {
  bench::Child child = bench::Child::run([] {
    const Fenced fenced;
    struct sigaction first{};
    first.sa_sigaction = with_siginfo;
    first.sa_flags = SA_SIGINFO;
    if (program_sigaction(SIGSEGV, &first, nullptr) != 0) return 2;
    touch(fenced.end());
    if (g_signal != SIGSEGV || g_address != fenced.end()) return 3;

    struct sigaction second{};
    struct sigaction former{};
    second.sa_handler = without_siginfo;
    ::sigaddset(&second.sa_mask, SIGUSR2);
    if (program_sigaction(SIGSEGV, &second, &former) != 0) return 4;
    if (former.sa_sigaction != with_siginfo || (former.sa_flags & SA_SIGINFO) == 0) return 5;
    g_signal = 0;
    touch(fenced.end());
    if (g_signal != SIGSEGV || g_address != nullptr) return 6;
    if (program_sigaction(SIGSEGV, nullptr, &former) != 0) return 7;
    if (former.sa_handler != without_siginfo || ::sigismember(&former.sa_mask, SIGUSR2) != 1) {
      return 8;
    }

    g_signal = 0;
    std::byte byte{};
    if (guarded_copy(&byte, fenced.end(), 1).copied != 0 || g_signal != 0) return 9;
    return fault_handlers_in_place() ? 0 : 10;
  });
  EXPECT_EQ(WEXITSTATUS(child.wait()), 0);
}

// In a process where nobody has installed the handlers yet; run in a child of a fresh image is not
// needed: Child forks before this process's handlers matter, so the chain is rebuilt from `action`.
int dies_by(int signal, void (*handler)(int), void (*act)()) {
  bench::Child child = bench::Child::run([=] {
    struct sigaction action{};
    action.sa_handler = handler;
    program_sigaction(signal, &action, nullptr);
    act();
    return 0;
  });
  const int status = child.wait();
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

void fault() {
  // Past the sanitizers, which would report the null pointer first.
  asm volatile("movb (%0), %%al" : : "r"(nullptr) : "rax", "memory");
}

TEST_F(GuardedCopy, WithoutAHandlerTheProgramDiesAsItWouldHave) {
  EXPECT_EQ(dies_by(SIGSEGV, SIG_DFL, fault), SIGSEGV);
  EXPECT_EQ(dies_by(SIGSEGV, SIG_IGN, fault), SIGSEGV);
  EXPECT_EQ(dies_by(SIGSEGV, SIG_DFL, [] { ::raise(SIGSEGV); }), SIGSEGV);
  EXPECT_EQ(dies_by(SIGBUS, SIG_DFL, [] { ::raise(SIGBUS); }), SIGBUS);
  EXPECT_EQ(dies_by(SIGSEGV, SIG_IGN, [] { ::raise(SIGSEGV); }), 0);
}

TEST_F(GuardedCopy, AnActionForOneTimeIsForgottenAfterIt) {
  bench::Child child = bench::Child::run([] {
    struct sigaction once{};
    once.sa_handler = without_siginfo;
    once.sa_flags = static_cast<int>(SA_RESETHAND);
    program_sigaction(SIGSEGV, &once, nullptr);
    if (sigsetjmp(g_back, 1) == 0) fault();
    if (g_signal != SIGSEGV) return 1;
    fault();
    return 2;
  });
  const int status = child.wait();
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV) << status;
}

TEST_F(GuardedCopy, AHandlerInstalledBehindOurBackIsNoticed) {
  bench::Child child = bench::Child::run([] {
    if (!fault_handlers_in_place()) return 1;
    struct sigaction action{};
    action.sa_handler = without_siginfo;
    ::sigaction(SIGBUS, &action, nullptr);
    return fault_handlers_in_place() ? 2 : 0;
  });
  EXPECT_EQ(WEXITSTATUS(child.wait()), 0);
}

TEST_F(GuardedCopy, AThreadThatBlocksTheSignalsIsSafeOnlyAfterUnblocking) {
  const auto copy_with_all_blocked = [](bool unblock) {
    bench::Child child = bench::Child::run([unblock] {
      sigset_t all;
      ::sigfillset(&all);
      ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
      if (unblock) unblock_fault_signals();
      std::byte byte{};
      return guarded_copy(&byte, nullptr, 1).copied == 0 ? 0 : 1;
    });
    return child.wait();
  };
  EXPECT_EQ(WTERMSIG(copy_with_all_blocked(false)), SIGSEGV);
  EXPECT_EQ(copy_with_all_blocked(true), 0);
}

// A reader in ascending order of time, descending order of addresses: if it saw byte i of a new
// round, all bytes below must be of that round. Only the last byte's order is promised by all.
// What the reader and the writer of the test below share: `next` is the round's offset << 32 |
// size, zero between rounds.
struct Rounds {
  alignas(64) std::atomic<int> seen{0};
  std::atomic<std::size_t> violations{0};
  std::atomic<std::uint64_t> next{0};
};

// Waits for the last byte of each round, then counts bytes before it that are not there yet.
void read_rounds(const std::byte* shared, int count, Rounds& rounds) {
  for (int round = 1; round <= count; ++round) {
    std::uint64_t plan = 0;
    while ((plan = rounds.next.load(std::memory_order_acquire)) == 0) std::this_thread::yield();
    const std::byte* bytes = shared + (plan >> 32);
    const std::size_t size = plan & 0xffffffff;
    const auto value = static_cast<std::byte>(round % 255 + 1);
    const auto* last = reinterpret_cast<const char*>(bytes) + size - 1;
    // Spins, then yields: the writer may want this core.
    for (int spins = 0; static_cast<std::byte>(__atomic_load_n(last, __ATOMIC_ACQUIRE)) != value;
         ++spins) {
      if (spins > 2000) std::this_thread::yield();
    }
    for (std::size_t i = 0; i < size; ++i) rounds.violations += bytes[i] != value ? 1 : 0;
    rounds.next.store(0, std::memory_order_relaxed);
    rounds.seen.store(round, std::memory_order_release);
  }
}

TEST_F(GuardedCopy, TheLastByteBecomesVisibleLast) {
  constexpr int kRounds = 2000;
  tideline::Rng rng(1);
  for (const Candidate& candidate : candidates()) {
    const auto shared = tideline::Mapping::anonymous_shared(65536 + kPageSize).value();
    Rounds rounds;
    std::jthread reader([&] { read_rounds(shared.data(), kRounds, rounds); });
    std::vector<std::byte> source(65536);
    for (int round = 1; round <= kRounds; ++round) {
      const std::size_t size = 1 + rng.below(round % 4 == 0 ? 65536 : 200);
      const std::size_t offset = rng.below(kPageSize);
      std::memset(source.data(), round % 255 + 1, size);
      rounds.next.store(offset << 32 | size, std::memory_order_release);
      candidate.copy(shared.data() + offset, source.data(), size);
      while (rounds.seen.load(std::memory_order_acquire) != round) std::this_thread::yield();
    }
    reader.join();
    EXPECT_EQ(rounds.violations, 0) << candidate.name;
  }
}

}  // namespace
}  // namespace proofs::placement
