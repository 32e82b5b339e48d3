// SPDX-License-Identifier: Apache-2.0
// The descriptors that a program's own threads need to run the engine inline, in the program's
// descriptor table, where the program may close or replace them.
//
// Three lines of defence. They sit at high numbers, above the soft limit where there is room: dup2
// and open cannot choose those. The preload library (preload.cc) asks covers() and evict() before
// it closes or replaces anything. And what reaches them nevertheless (raw system calls) is noticed
// before each use: every file sits at two numbers, and F_DUPFD_QUERY (Linux 6.10; kcmp before)
// tells whether they are still the same file. What is lost is fetched again from the helper's own
// table, which no call of the program can reach (private_table.h).
//
// Lives in memory that a forked child reads as zeros: there it covers nothing. Any thread.
#pragma once

#include <sys/resource.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/error.h"

namespace proofs::inline_engine {

// The files that inline calls need.
enum class EngineFile : std::uint32_t { kPeerBell, kKick };
inline constexpr std::uint32_t kEngineFiles = 2;
// Numbers that the engine takes at most: two per file, and as many again while they move.
inline constexpr rlim_t kReservedNumbers = 16;
// A process's table is as long as its highest number, and fork copies it: not above this.
inline constexpr rlim_t kHighestBase = 4096;

struct NumberPlan {
  rlim_t base;        // take numbers from here upwards
  rlim_t soft_while;  // the soft limit while taking them
  rlim_t soft_after;  // the soft limit to leave
};

// Where the numbers go for the limits of a process.
NumberPlan plan_numbers(const rlimit& limits);

// Whether two numbers of this process are one open file. Where the kernel has neither call, it says
// yes if both are open.
bool same_file(int a, int b);

class HighFds {
 public:
  // Takes over `fd` (closed in any case): puts it at two high numbers.
  tideline::Status put(EngineFile file, int fd);

  // Writes 1 to the eventfd `file`. False if its numbers no longer hold that file: then nothing was
  // written.
  bool ring(EngineFile file);

  // Whether `fd` is one of the engine's. One comparison for ordinary numbers.
  bool covers(int fd) const {
    if (fd < lowest_.load(std::memory_order_relaxed)) return false;
    return covers_slowly(fd);
  }
  int lowest() const { return lowest_.load(std::memory_order_relaxed); }
  // Moves the engine's file away from `number`, which the program wants for itself.
  void evict(int number);
  // Calls `gap(first, last)` for the parts of [first, last] without the engine's numbers, in order,
  // until one does not return 0. Returns what the last one returned.
  template <typename Gap>
  int for_gaps(unsigned first, unsigned last, Gap&& gap) const {
    std::uint64_t next = first;
    while (next <= last) {
      const std::uint64_t engine_number = next_number(next);
      if (engine_number > last) return gap(static_cast<unsigned>(next), last);
      if (engine_number > next) {
        const int status =
            gap(static_cast<unsigned>(next), static_cast<unsigned>(engine_number - 1));
        if (status != 0) return status;
      }
      next = engine_number + 1;
    }
    return 0;
  }
  // All numbers, 0 where there is none.
  using List = std::array<int, std::size_t{2} * kEngineFiles>;
  List list() const;
  void close_all();

 private:
  // 0 means none: the engine's numbers are never that low.
  struct Numbers {
    std::atomic<int> use{0};
    std::atomic<int> witness{0};
  };

  bool covers_slowly(int fd) const;
  // The engine's lowest number from `first` upwards, kNoNumber if there is none.
  std::uint64_t next_number(std::uint64_t first) const;
  static constexpr std::uint64_t kNoNumber = UINT64_MAX;
  void lock();
  void unlock() { busy_.store(false, std::memory_order_release); }
  void note_lowest();

  std::array<Numbers, kEngineFiles> numbers_;
  std::atomic<int> lowest_{INT32_MAX};
  std::atomic<bool> busy_{false};
};

}  // namespace proofs::inline_engine
