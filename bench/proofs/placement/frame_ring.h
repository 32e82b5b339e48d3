// SPDX-License-Identifier: Apache-2.0
// Placement by frames: what remains where the kernel forbids direct placement. The initiator copies
// the payload into a ring in its own memory; a helper thread of the target, which sleeps on an
// eventfd, checks each frame as DirectPath would and copies it to the region. Two passes per byte.
//
// Every page is written by one process and read-only to the other, which copies before it checks.
//   initiator's memfd: FramePage, payload slots      target's memfd: HelperPage
// Threads: FrameSender the initiating thread; FrameHelper makes its own.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <thread>

#include "base/bits.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/mapping.h"
#include "proofs/placement/region_table.h"

namespace proofs::placement {

inline constexpr std::size_t kFrameSlots = 16;
inline constexpr std::size_t kFrameSize = 65536;

struct FrameDescriptor {
  std::atomic<std::uint64_t> address;
  std::atomic<std::uint32_t> length;
  std::atomic<std::uint32_t> rkey;
};

struct FramePage {
  alignas(tideline::kCacheLine) std::atomic<std::uint64_t> produced;
  std::atomic<std::uint32_t> sender_sleeps;
  alignas(tideline::kCacheLine) std::array<FrameDescriptor, kFrameSlots> descriptors;
};
static_assert(sizeof(FramePage) <= tideline::kPageSize);
inline constexpr std::size_t kFrameRingSize = tideline::kPageSize + kFrameSlots * kFrameSize;

struct HelperPage {
  alignas(tideline::kCacheLine) std::atomic<std::uint64_t> consumed;
  std::array<std::atomic<Outcome>, kFrameSlots> outcomes;
  alignas(tideline::kCacheLine) std::atomic<std::uint32_t> need_wakeup;
};
static_assert(sizeof(HelperPage) <= tideline::kPageSize);

// What the sender does while it waits for the helper.
enum class WaitMode : std::uint8_t { kSpin, kYield, kSleep };

class FrameSender {
 public:
  // `ring` is this process's writable mapping; `helper` the target's page, read-only;
  // writing to `wake_helper` (an eventfd or a pipe) wakes the
  // helper, `done` (an eventfd) this thread.
  FrameSender(tideline::Mapping ring, tideline::Mapping helper, tideline::UniqueFd wake_helper,
              tideline::UniqueFd done, const RegionTableView* target, WaitMode mode);

  // Puts the payload into frames; returns before they are placed, waits only for free slots.
  Outcome post(const Request& request, const void* source);
  // Waits until everything that was posted is placed or refused; the first refusal since the last
  // call.
  Outcome finish();
  Outcome write(const Request& request, const void* source);

 private:
  // Waits until at most `outstanding` frames are; false if the target is gone.
  bool wait_until(std::uint64_t outstanding);
  void sleep_until_done(std::uint64_t outstanding);
  void collect();

  tideline::Mapping ring_;
  tideline::Mapping helper_;
  tideline::UniqueFd wake_helper_;
  tideline::UniqueFd done_;
  const RegionTableView* target_;
  WaitMode mode_;
  std::uint64_t produced_ = 0;
  std::uint64_t collected_ = 0;
  Outcome first_refusal_ = Outcome::kPlaced;
};

// How the helper thread is made to run soon when both cores spin.
struct HelperTuning {
  std::optional<int> core;
  std::optional<int> nice;
  std::uint64_t slice_ns = 0;  // sched_setattr(2) sched_runtime of SCHED_OTHER; 0: the default
  // By a pipe, whose writes the scheduler takes for "I shall sleep soon", not by an eventfd.
  bool wake_by_pipe = false;
};

// What the helper sleeps on, and what wakes it: one eventfd, or the ends of a pipe.
struct WakeFds {
  int sleep_on = -1;
  int ring = -1;
};

class FrameHelper {
 public:
  // `table` is the target's own; `domain` that of the connection. All pages must outlive this.
  FrameHelper(tideline::Mapping ring, HelperPage* page, WakeFds wake, int done,
              const RegionTableView* table, std::uint32_t domain, HelperTuning tuning);
  FrameHelper(const FrameHelper&) = delete;
  FrameHelper& operator=(const FrameHelper&) = delete;
  ~FrameHelper();

  // For RegionTable::remove.
  const InFlight* in_flight() const { return &in_flight_; }

 private:
  void run();
  bool serve();
  Outcome place(std::size_t slot);
  void sleep();

  tideline::Mapping ring_;
  HelperPage* page_;
  WakeFds wake_;
  int done_;
  const RegionTableView* table_;
  std::uint32_t domain_;
  HelperTuning tuning_;
  std::uint64_t consumed_ = 0;
  InFlight in_flight_{};
  std::atomic<bool> stop_{false};
  std::atomic<bool> ready_{false};
  std::thread thread_;
};

}  // namespace proofs::placement
