// SPDX-License-Identifier: Apache-2.0
// Transfer of 8-byte items between two pinned cores, one at a time and in bursts of 32: the SPSC
// ring, the MPMC ring, and a naive queue (mutex and deque) that does the same.
//
// The measuring thread pushes on core 0 and another pops on core 1; the ring is bounded, so the
// time per item is that of the slower end. With fewer than two cores the figures mean little.
#include <benchmark/benchmark.h>
#include <pthread.h>
#include <sched.h>

#include <array>
#include <atomic>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "ring/mpmc_ring.h"
#include "ring/spsc_ring.h"

namespace tideline::ring {
namespace {

constexpr std::size_t kCapacity = 1024;
constexpr std::size_t kMaxBurst = 32;

void pin_to_core(unsigned core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core % std::max(1U, std::thread::hardware_concurrency()), &set);
  CHECK(pthread_setaffinity_np(pthread_self(), sizeof(set), &set) == 0, "core {}", core);
}

struct alignas(kCacheLine) Line {
  std::array<std::byte, kCacheLine> bytes;
};

class Spsc {
 public:
  std::size_t push(std::span<const std::uint64_t> items) { return producer_.push_burst(items); }
  std::size_t pop(std::span<std::uint64_t> items) { return consumer_.pop_burst(items); }

 private:
  using Ring = SpscRing<std::uint64_t>;
  std::vector<Line> memory_ = std::vector<Line>(Ring::bytes(kCapacity) / kCacheLine);
  Ring ring_ = Ring::create(reinterpret_cast<std::byte*>(memory_.data()), kCapacity);
  alignas(kCacheLine) SpscProducer<std::uint64_t> producer_{ring_};
  alignas(kCacheLine) SpscConsumer<std::uint64_t> consumer_{ring_};
};

class Mpmc {
 public:
  std::size_t push(std::span<const std::uint64_t> items) { return ring_.push_burst(items); }
  std::size_t pop(std::span<std::uint64_t> items) { return ring_.pop_burst(items); }

 private:
  using Ring = MpmcRing<std::uint64_t>;
  std::vector<Line> memory_ = std::vector<Line>(Ring::bytes(kCapacity) / kCacheLine);
  Ring ring_ = Ring::create(reinterpret_cast<std::byte*>(memory_.data()), kCapacity);
};

class MutexDeque {
 public:
  std::size_t push(std::span<const std::uint64_t> items) {
    const std::lock_guard lock(mutex_);
    const std::size_t count = std::min(items.size(), kCapacity - items_.size());
    for (std::size_t i = 0; i < count; ++i) items_.push_back(items[i]);
    return count;
  }
  std::size_t pop(std::span<std::uint64_t> items) {
    const std::lock_guard lock(mutex_);
    const std::size_t count = std::min(items.size(), items_.size());
    for (std::size_t i = 0; i < count; ++i) {
      items[i] = items_.front();
      items_.pop_front();
    }
    return count;
  }

 private:
  std::mutex mutex_;
  std::deque<std::uint64_t> items_;
};

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

BENCHMARK(transfer<Spsc>)->ArgName("burst")->Arg(1)->Arg(kMaxBurst)->UseRealTime();
BENCHMARK(transfer<Mpmc>)->ArgName("burst")->Arg(1)->Arg(kMaxBurst)->UseRealTime();
BENCHMARK(transfer<MutexDeque>)->ArgName("burst")->Arg(1)->Arg(kMaxBurst)->UseRealTime();

}  // namespace
}  // namespace tideline::ring
