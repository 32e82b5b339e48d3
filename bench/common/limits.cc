// SPDX-License-Identifier: Apache-2.0
#include "common/limits.h"

#include <array>
#include <atomic>
#include <cstring>
#include <span>
#include <vector>

#include "base/bits.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/mapping.h"
#include "common/process.h"

namespace bench {
namespace {

using tideline::Duration;
using tideline::Mapping;

constexpr std::size_t kPipeSlots = 16;
constexpr int kBatch = 64;  // copies between two looks at the clock

struct alignas(tideline::kCacheLine) Line {
  std::atomic<std::uint64_t> value{0};
};

struct PipeControl {
  Line produced;
  Line consumed;
  Line stop;
};

double gigabits(double bytes, std::uint64_t ticks) {
  return bytes * 8 * tideline::tsc_hz() / static_cast<double>(ticks) / 1e9;
}

// The compiler must not drop copies whose result nobody reads.
void keep(const void* memory) { asm volatile("" : : "r"(memory) : "memory"); }

int fill_pipe(PipeControl& control, std::byte* slots, std::size_t bytes) {
  pin_to_core(0);
  const std::vector<std::byte> source(bytes, std::byte{1});
  for (std::uint64_t i = 0; control.stop.value.load(std::memory_order_relaxed) == 0; ++i) {
    while (i - control.consumed.value.load(std::memory_order_acquire) >= kPipeSlots) {
      if (control.stop.value.load(std::memory_order_relaxed) != 0) return 0;
    }
    std::memcpy(slots + i % kPipeSlots * bytes, source.data(), bytes);
    control.produced.value.store(i + 1, std::memory_order_release);
  }
  return 0;
}

double drain_pipe(PipeControl& control, const std::byte* slots, std::size_t bytes,
                  Duration duration) {
  std::vector<std::byte> target(bytes);
  std::uint64_t i = 0;
  const auto drain_until = [&](std::uint64_t deadline) {
    const std::uint64_t from = i;
    while (tideline::tsc_now() < deadline) {
      for (int n = 0; n < kBatch; ++n, ++i) {
        while (control.produced.value.load(std::memory_order_acquire) <= i) {
        }
        std::memcpy(target.data(), slots + i % kPipeSlots * bytes, bytes);
        keep(target.data());
        control.consumed.value.store(i + 1, std::memory_order_release);
      }
    }
    return i - from;
  };
  const std::uint64_t ticks = tideline::tsc_ticks(duration);
  drain_until(tideline::tsc_now() + ticks / 4);
  const std::uint64_t start = tideline::tsc_now();
  const std::uint64_t copies = drain_until(start + ticks);
  const double rate = gigabits(static_cast<double>(copies * bytes), tideline::tsc_now() - start);
  control.stop.value.store(1, std::memory_order_relaxed);
  return rate;
}

}  // namespace

double memcpy_rate(std::size_t bytes, Duration duration) {
  pin_to_core(0);
  const std::vector<std::byte> source(bytes, std::byte{1});
  std::vector<std::byte> target(bytes);
  const std::uint64_t start = tideline::tsc_now();
  const std::uint64_t deadline = start + tideline::tsc_ticks(duration);
  std::uint64_t copies = 0;
  for (; tideline::tsc_now() < deadline; copies += kBatch) {
    for (int i = 0; i < kBatch; ++i) {
      std::memcpy(target.data(), source.data(), bytes);
      keep(target.data());
    }
  }
  const double rate = gigabits(static_cast<double>(copies * bytes), tideline::tsc_now() - start);
  unpin();
  return rate;
}

double two_copy_pipe_rate(std::size_t bytes, Duration duration) {
  const auto memory = Mapping::anonymous_shared(
      tideline::align_up(sizeof(PipeControl) + kPipeSlots * bytes, tideline::kPageSize));
  CHECK(memory.has_value());
  PipeControl& control = *new (memory->data()) PipeControl;
  std::byte* slots = memory->data() + sizeof(PipeControl);
  Child producer = Child::run([&] { return fill_pipe(control, slots, bytes); });
  pin_to_core(1);
  const double rate = drain_pipe(control, slots, bytes, duration);
  unpin();
  CHECK(producer.succeeded());
  return rate;
}

LatencySamples cache_line_round_trips(std::uint64_t count, Duration at_most) {
  constexpr std::uint64_t kEnd = UINT64_MAX;
  const auto memory = Mapping::anonymous_shared(tideline::kPageSize);
  CHECK(memory.has_value());
  Line& line = *new (memory->data()) Line;
  Child echo = Child::run([&] {
    pin_to_core(1);
    for (std::uint64_t i = 0;; ++i) {
      std::uint64_t seen = 0;
      while ((seen = line.value.load(std::memory_order_acquire)) != 2 * i + 1) {
        if (seen == kEnd) return 0;
      }
      line.value.store(2 * i + 2, std::memory_order_release);
    }
  });
  pin_to_core(0);
  LatencySamples samples(count);
  const std::uint64_t deadline = tideline::tsc_now() + tideline::tsc_ticks(at_most);
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t start = tideline::tsc_now();
    if (start > deadline) break;
    line.value.store(2 * i + 1, std::memory_order_release);
    while (line.value.load(std::memory_order_acquire) != 2 * i + 2) {
    }
    samples.add_ticks(tideline::tsc_now() - start);
  }
  line.value.store(kEnd, std::memory_order_release);
  unpin();
  CHECK(echo.succeeded());
  return samples;
}

}  // namespace bench
