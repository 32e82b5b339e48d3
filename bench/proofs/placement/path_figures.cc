// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "common/latency.h"
#include "common/process.h"
#include "proofs/placement/figures.h"
#include "proofs/placement/stream.h"

namespace proofs::placement {

using tideline::CopyResult;
using tideline::tideline_copy_avx;
using tideline::tideline_copy_sse;
using tideline::tideline_copy_string;
namespace {

constexpr int kTargetCore = 0;
constexpr int kInitiatorCore = 1;

CopyResult plain_copy(void* to, const void* from, std::size_t size) noexcept {
  std::memcpy(to, from, size);
  return {.copied = size, .fault_address = 0};
}

// What nobody may do; shows that an early last byte is seen.
CopyResult last_byte_first(void* to, const void* from, std::size_t size) noexcept {
  std::memcpy(static_cast<std::byte*>(to) + size - 1,
              static_cast<const std::byte*>(from) + size - 1, 1);
  std::atomic_signal_fence(std::memory_order_seq_cst);  // the compiler may not swap the two
  return plain_copy(to, from, size - 1);
}

struct Variant {
  std::string name;
  Stream stream;
  bench::LatencySamples round_trips{};
  std::vector<double> gbps{};
  std::uint64_t stale_blocks = 0;
  std::uint64_t blocks = 0;
};

Variant variant(std::string name, const Stream& stream) {
  return {.name = std::move(name), .stream = stream};
}

Stream pinned(Stream stream) {
  stream.target_core = kTargetCore;
  stream.initiator_core = kInitiatorCore;
  return stream;
}

// Interleaved repetitions of every variant.
void run_all(std::vector<Variant>& variants, int repetitions, bench::Report& report) {
  for (int repetition = 0; repetition < repetitions; ++repetition) {
    for (Variant& v : variants) {
      const StreamResult result = run_stream(v.stream);
      if (!result.good) report.check(v.name, false, "a placement was refused, or the target died");
      v.round_trips.merge(result.round_trips);
      v.gbps.push_back(result.gbps(v.stream.size));
      v.stale_blocks += result.stale_blocks;
      v.blocks += result.blocks;
    }
  }
}

// The first variant is the limit of all.
void report_round_trips(std::vector<Variant>& variants, std::string_view what,
                        bench::Report& report) {
  for (Variant& v : variants) {
    for (const auto& [label, q] :
         {std::pair{"p50", 0.5}, std::pair{"p99", 0.99}, std::pair{"p99.9", 0.999}}) {
      report.figure(fmt::format("{}: {}, {}", what, v.name, label), v.round_trips.quantile_ns(q),
                    "ns", variants.front().name, variants.front().round_trips.quantile_ns(q));
    }
  }
}

void report_throughput(std::vector<Variant>& variants, std::string_view what,
                       bench::Report& report) {
  const double limit = bench::median(variants.front().gbps);
  for (const Variant& v : variants) {
    report.figure(fmt::format("{}: {}", what, v.name), bench::median(v.gbps), "Gb/s",
                  variants.front().name, limit);
  }
}

std::vector<Variant> all_paths(const Stream& base, bool with_copies) {
  Stream s = base;
  std::vector<Variant> variants;
  const auto add = [&](std::string name, Path path, auto raw_copy) {
    s.path = path;
    s.raw_copy = raw_copy;
    variants.push_back(variant(std::move(name), s));
  };
  add("bare memcpy", Path::kRaw, plain_copy);
  if (with_copies) {
    add("bare 16 B stores", Path::kRaw, tideline_copy_sse);
    if (__builtin_cpu_supports("avx")) add("bare 32 B stores", Path::kRaw, tideline_copy_avx);
    add("bare rep movsb", Path::kRaw, tideline_copy_string);
  }
  add("shared mapping", Path::kDirect, nullptr);
  add("process_vm_writev", Path::kProcessVm, nullptr);
  if (with_copies) {
    add("process_vm_writev, last byte not apart", Path::kProcessVmOneElement, nullptr);
  }
  add("frames", Path::kFrames, nullptr);
  return variants;
}

double system_call_ns() {
  constexpr int kCount = 100000;
  const std::uint64_t before = tideline::tsc_now();
  for (int i = 0; i < kCount; ++i) ::syscall(SYS_getppid);
  return static_cast<double>(tideline::tsc_now() - before) / tideline::tsc_hz() * 1e9 / kCount;
}

}  // namespace

namespace {

void measure_windows(bench::Report& report, int repetitions, tideline::Duration limit,
                     std::size_t size, bool is_pinned, const std::string& where) {
  for (const bool verify : {false, true}) {
    if (verify && size != 65536) continue;
    Stream s{.size = size, .window = 16, .verify = verify, .count = 1 << 24, .limit = limit};
    if (is_pinned) s = pinned(s);
    auto streams = all_paths(s, size == 65536 && is_pinned);
    run_all(streams, repetitions, report);
    report_throughput(
        streams,
        fmt::format("window 16, {} B{}, {}", size, verify ? ", target reads all" : "", where),
        report);
  }
}

}  // namespace

void measure_paths(bench::Report& report, bool quick) {
  report.figure("a system call", system_call_ns(), "ns");
  const int repetitions = quick ? 2 : 5;
  const auto limit = std::chrono::milliseconds(quick ? 50 : 100);
  for (const bool is_pinned : {true, false}) {
    const std::string where = is_pinned ? "a core each" : "unpinned";
    for (const std::size_t size : {8U, 4096U, 65536U}) {
      Stream s{.size = size, .count = 20000, .limit = limit};
      if (is_pinned) s = pinned(s);
      auto trips = all_paths(s, false);
      run_all(trips, repetitions, report);
      report_round_trips(trips, fmt::format("there and back, {} B, {}", size, where), report);
    }
    for (const std::size_t size : {8U, 4096U, 65536U}) {
      measure_windows(report, repetitions, limit, size, is_pinned, where);
    }
  }
}

void measure_helper(bench::Report& report, bool quick) {
  const Stream base = pinned({.path = Path::kFrames,
                              .size = 8,
                              .count = 20000,
                              .limit = std::chrono::milliseconds(quick ? 50 : 200)});
  std::vector<Variant> variants;
  const auto add = [&](std::string name, WaitMode wait, HelperTuning tuning) {
    Stream s = base;
    s.wait = wait;
    s.helper = tuning;
    variants.push_back(variant(std::move(name), s));
  };
  constexpr std::uint64_t kShortSlice = 100'000;  // the least that the kernel takes, in ns
  add("initiator spins", WaitMode::kSpin, {});
  add("helper with a short slice", WaitMode::kSpin, {.slice_ns = kShortSlice});
  if (::geteuid() == 0) add("helper nice -20", WaitMode::kSpin, {.nice = -20});
  add("helper on the target's core", WaitMode::kSpin, {.core = kTargetCore});
  add("helper on the initiator's core", WaitMode::kSpin, {.core = kInitiatorCore});
  add("initiator yields", WaitMode::kYield, {});
  add("initiator yields, helper on its core", WaitMode::kYield, {.core = kInitiatorCore});
  add("initiator yields, helper on its core, short slice", WaitMode::kYield,
      {.core = kInitiatorCore, .slice_ns = kShortSlice});
  add("initiator yields, woken by a pipe", WaitMode::kYield, {.wake_by_pipe = true});
  add("initiator sleeps", WaitMode::kSleep, {});
  add("initiator sleeps, helper on its core", WaitMode::kSleep, {.core = kInitiatorCore});
  add("initiator sleeps, woken by a pipe", WaitMode::kSleep, {.wake_by_pipe = true});
  run_all(variants, quick ? 2 : 5, report);
  report_round_trips(variants, "8 B by frames", report);
}

void measure_order(bench::Report& report, bool quick) {
  const auto limit = std::chrono::milliseconds(quick ? 50 : 200);
  for (const std::size_t size : {8U, 4096U, 65536U}) {
    auto variants =
        all_paths(pinned({.size = size, .verify = true, .count = 1 << 20, .limit = limit}), true);
    Stream wrong = variants.front().stream;
    wrong.raw_copy = last_byte_first;
    variants.push_back(variant("control, the last byte first", wrong));
    run_all(variants, 1, report);
    if (size == 65536) {
      report.check(
          "an early last byte is noticed", variants.back().stale_blocks > 0,
          fmt::format("{} of {} blocks", variants.back().stale_blocks, variants.back().blocks));
    }
    for (const Variant& v : variants) {
      const bool promised = v.stream.path != Path::kProcessVmOneElement &&
                            v.stream.raw_copy != plain_copy && v.stream.raw_copy != last_byte_first;
      const std::string name = fmt::format("last byte last, {} B: {}", size, v.name);
      if (promised) {
        report.check(name, v.stale_blocks == 0, fmt::format("{} blocks", v.blocks));
      } else {
        report.note(
            fmt::format("{}: {} of {} blocks seen incomplete", name, v.stale_blocks, v.blocks));
      }
    }
  }
}

}  // namespace proofs::placement
