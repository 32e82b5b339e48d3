// SPDX-License-Identifier: Apache-2.0
// Transfer of 8-byte items between two pinned cores, one at a time and in bursts of 32: the SPSC
// ring, the MPMC ring, and a naive queue (mutex and deque) that does the same.
#include <benchmark/benchmark.h>

#include <deque>
#include <mutex>
#include <vector>

#include "ring/mpmc_ring.h"
#include "ring/spsc_ring.h"
#include "ring/transfer_bench.h"

namespace tideline::ring {
namespace {

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

BENCHMARK(transfer<Spsc>)->ArgName("burst")->Arg(1)->Arg(kMaxBurst)->UseRealTime();
BENCHMARK(transfer<Mpmc>)->ArgName("burst")->Arg(1)->Arg(kMaxBurst)->UseRealTime();
BENCHMARK(transfer<MutexDeque>)->ArgName("burst")->Arg(1)->Arg(kMaxBurst)->UseRealTime();

}  // namespace
}  // namespace tideline::ring
