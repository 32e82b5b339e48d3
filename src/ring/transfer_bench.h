// SPDX-License-Identifier: Apache-2.0
// How long an item takes through a queue between two cores: what ring_bench.cc measures, and with
// it the programs of bench/ground that measure the queues of others.
//
// The measuring thread pushes on core 0 and another pops on core 1; the queue is bounded, so the
// time per item is that of the slower end. With fewer than two cores the figures mean little.
#pragma once

#include <benchmark/benchmark.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>

#include "base/check.h"
#include "base/clock.h"

namespace tideline::ring {

inline constexpr std::size_t kCapacity = 1024;
inline constexpr std::size_t kMaxBurst = 32;

inline void pin_to_core(unsigned core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core % std::max(1U, std::thread::hardware_concurrency()), &set);
  CHECK(pthread_setaffinity_np(pthread_self(), sizeof(set), &set) == 0, "core {}", core);
}

// Queue: push and pop of spans of 8-byte items, which return how many they took.
template <typename Queue>
void transfer(benchmark::State& state) {
  const auto burst = static_cast<std::size_t>(state.range(0));
  pin_to_core(0);
  Queue queue;
  std::atomic<bool> stop{false};
  std::uint64_t received = 0;
  std::jthread consumer([&] {
    pin_to_core(1);
    std::array<std::uint64_t, kMaxBurst> items{};
    for (;;) {
      const bool last = stop.load(std::memory_order_acquire);
      const std::size_t popped = queue.pop({items.data(), burst});
      received += popped;
      if (popped > 0) continue;
      if (last) break;
      cpu_relax();
    }
  });
  std::array<std::uint64_t, kMaxBurst> items{};
  std::uint64_t sent = 0;
  for (auto _ : state) {
    for (std::size_t done = 0; done < burst;) {
      const std::size_t pushed = queue.push({items.data() + done, burst - done});
      done += pushed;
      if (pushed == 0) cpu_relax();
    }
    sent += burst;
  }
  stop.store(true, std::memory_order_release);
  consumer.join();
  CHECK(received == sent, "{} of {}", received, sent);
  state.SetItemsProcessed(static_cast<std::int64_t>(sent));
}

}  // namespace tideline::ring
