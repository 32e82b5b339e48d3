// SPDX-License-Identifier: Apache-2.0
// Proof: an Ethernet segment among processes in shared memory, its frames measured against the
// machine's limits. docs/adr/0001-shared-segment.md holds the outcome.
#include <fmt/core.h>

#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "common/cli.h"
#include "common/latency.h"
#include "common/limits.h"
#include "common/process.h"
#include "common/report.h"
#include "proofs/segment/exchange.h"
#include "proofs/segment/traffic.h"

namespace proofs::segment {
namespace {

using tideline::Duration;

// A busy machine gives fewer samples, not a longer run.
constexpr Duration kLatencyTime = std::chrono::seconds(1);

// The pool of 2 MiB pages, grown for the run if it has too few to spare, and put back afterwards.
class HugePagePool {
 public:
  static constexpr const char* kPath = "/proc/sys/vm/nr_hugepages";

  explicit HugePagePool(int pages) {
    const int missing = pages - to_spare();
    if (missing > 0) {
      int before = 0;
      if (std::ifstream(kPath) >> before) {
        before_ = before;
        std::ofstream(kPath) << before + missing;
      }
    }
    available_ = to_spare() >= pages;
  }
  ~HugePagePool() {
    if (before_) std::ofstream(kPath) << *before_;
  }
  HugePagePool(const HugePagePool&) = delete;
  HugePagePool& operator=(const HugePagePool&) = delete;

  bool available() const { return available_; }

 private:
  // Pages that nobody uses and that are promised to nobody.
  static int to_spare() {
    std::ifstream file("/proc/meminfo");
    std::string word;
    int free = 0;
    int promised = 0;
    while (file >> word) {
      if (word == "HugePages_Free:") file >> free;
      if (word == "HugePages_Rsvd:") file >> promised;
    }
    return free - promised;
  }

  std::optional<int> before_;  // nothing if the pool was left alone
  bool available_ = false;
};

// A rate, the limit that it is held against, and the repetitions of both. The limit is measured
// right before each repetition, for the cores of a virtual machine come nearer and go apart within
// seconds.
struct Series {
  std::string name;
  std::string unit;
  std::function<double()> measure;
  std::string limit_name{};
  std::function<double()> limit{};
  std::vector<std::pair<double, double>> values{};  // of the rate and its limit
};

class Figures {
 public:
  explicit Figures(Duration duration) : duration_(duration) {}

  void add_streams(bool reserved_pages) {
    const MemberConfig base;
    for (const std::size_t bytes : kPayloads) {
      series_.push_back(
          {.name = fmt::format("memcpy on one core, {} B", bytes),
           .unit = "Gb/s",
           .measure = [this, bytes] { return bench::memcpy_rate(bytes, duration_); }});
    }
    add_frames("64 B inline", base, 64);
    MemberConfig variant = base;
    variant.prefetch = false;
    add_frames("64 B inline, no prefetch", variant, 64);
    variant = base;
    variant.index_lag = 1;
    add_frames("64 B inline, index after every frame", variant, 64);
    variant = base;
    variant.ring_slots = 1024;
    add_frames("64 B inline, 1024 slots", variant, 64);
    for (const std::size_t bytes : kPayloads) {
      add_stream("", base, bytes, Production::kCopied);
      add_stream(" written in place", base, bytes, Production::kInPlace);
      add_stream(" header written", base, bytes, Production::kHeader);
      variant = base;
      variant.arena_pages = ArenaPages::kNormal;
      add_stream(", 4 KiB pages", variant, bytes, Production::kCopied);
      if (reserved_pages) {
        variant.arena_pages = ArenaPages::kReserved;
        add_stream(", reserved 2 MiB pages", variant, bytes, Production::kCopied);
      }
      variant = base;
      variant.blocks_in_flight = {UINT32_MAX, UINT32_MAX};
      add_stream(", index read when no block is left", variant, bytes, Production::kCopied);
      variant = base;
      variant.arena.order = BlockOrder::kLastFreedFirst;
      add_stream(", last freed block first", variant, bytes, Production::kCopied);
      variant = base;
      variant.arena.small_blocks = 256;
      variant.arena.large_blocks = 24;
      add_stream(", a quarter of the arena", variant, bytes, Production::kCopied);
      variant = base;
      add_stream(", out by rep movsb", variant, bytes, Production::kCopied, copy_by_rep_movsb);
      add_stream(", out by memcpy", variant, bytes, Production::kCopied, copy_by_memcpy);
    }
  }

  void measure_once() {
    for (Series& series : series_) {
      const double limit = series.limit ? series.limit() : 1;
      series.values.emplace_back(series.measure(), limit);
    }
  }

  void report(bench::Report& report) const {
    for (const Series& series : series_) {
      if (series.limit) {
        report.figure(series.name, series.values, series.unit, series.limit_name);
        continue;
      }
      std::vector<double> values;
      values.reserve(series.values.size());
      for (const auto& [value, limit] : series.values) values.push_back(value);
      report.figure(series.name, bench::median(std::move(values)), series.unit);
    }
  }

 private:
  static constexpr std::array<std::size_t, 2> kPayloads = {1400, 65536};

  void add_frames(std::string name, const MemberConfig& config, std::size_t bytes) {
    series_.push_back(
        {.name = std::move(name),
         .unit = "M/s",
         .measure =
             [this, config, bytes] {
               return stream(config, bytes, Production::kCopied, duration_).frames_per_second / 1e6;
             },
         .limit_name = "two-copy pipe",
         .limit =
             [this, bytes] {
               const double bits = static_cast<double>(bytes) * 8;
               return bench::two_copy_pipe_rate(bytes, duration_) * 1e9 / bits / 1e6;
             }});
  }
  void add_stream(const std::string& what, const MemberConfig& config, std::size_t bytes,
                  Production production, CopyRoutine copy_out = copy_by_vectors) {
    series_.push_back(
        {.name = fmt::format("{} B by reference{}", bytes, what),
         .unit = "Gb/s",
         .measure =
             [this, config, bytes, production, copy_out] {
               return stream(config, bytes, production, duration_, copy_out).gigabits_per_second;
             },
         .limit_name = "two-copy pipe",
         .limit = [this, bytes] { return bench::two_copy_pipe_rate(bytes, duration_); }});
  }

  Duration duration_;
  std::vector<Series> series_;
};

void measure_latency(bench::Report& report, int repetitions, std::uint64_t count) {
  bench::LatencySamples hop;
  bench::LatencySamples small;
  bench::LatencySamples medium;
  for (int i = 0; i < repetitions; ++i) {
    hop.merge(bench::cache_line_round_trips(count, kLatencyTime));
    small.merge(ping_pong({}, 64, count, kLatencyTime));
    medium.merge(ping_pong({}, 1400, count, kLatencyTime));
  }
  for (const double quantile : {0.5, 0.99}) {
    const std::string name = fmt::format("p{:.0f}", quantile * 100);
    const double limit = hop.quantile_ns(quantile);
    report.figure("cache line there and back, " + name, limit, "ns");
    report.figure("64 B there and back, " + name, small.quantile_ns(quantile), "ns",
                  "cache line there and back", limit);
    report.figure("1400 B there and back, " + name, medium.quantile_ns(quantile), "ns",
                  "cache line there and back", limit);
  }
}

// Returns whether the kernel gave 2 MiB pages; it may refuse to collapse, but nothing else.
bool check_pages(bench::Report& report, const std::string& name, ArenaPages pages) {
  MemberConfig config;
  config.arena_pages = pages;
  const Exchange result = exchange(config, 200);
  const bool as_asked = pages == ArenaPages::kCollapsed
                            ? result.mapped_huge == result.said_huge
                            : result.mapped_huge == (pages == ArenaPages::kReserved);
  report.check(fmt::format("frames between two processes arrive whole, {}", name),
               result.intact && as_asked,
               fmt::format("{} frames of 64 B, 1400 B and 64 KiB there and back; the arena is on "
                           "{} pages",
                           result.round_trips, result.mapped_huge ? "2 MiB" : "4 KiB"));
  return result.mapped_huge;
}

void measure_all(bench::Report& report, bool quick) {
  // Twice what two members take: pages of those that have just ended come back a little later.
  const HugePagePool pool(32);
  check_pages(report, "4 KiB pages", ArenaPages::kNormal);
  const bool collapsed = check_pages(report, "collapsed 2 MiB pages", ArenaPages::kCollapsed);
  report.note(collapsed ? "arenas are on 2 MiB pages by MADV_COLLAPSE unless stated otherwise"
                        : "MADV_COLLAPSE is refused: arenas are on 4 KiB pages");
  if (pool.available()) {
    check_pages(report, "reserved 2 MiB pages", ArenaPages::kReserved);
  } else {
    report.note("not tried: reserved 2 MiB pages, for no pool of them can be had");
  }
  const int repetitions = quick ? 3 : 15;
  Figures figures(std::chrono::milliseconds(quick ? 20 : 60));
  figures.add_streams(pool.available());
  for (int i = 0; i < repetitions; ++i) figures.measure_once();
  figures.report(report);
  measure_latency(report, repetitions, quick ? 5'000 : 30'000);
}

}  // namespace
}  // namespace proofs::segment

int main(int argc, char** argv) {
  const bench::Options options = bench::parse_options(
      argc, argv, "Proof: an Ethernet segment among processes in shared memory");
  bench::Report report("segment", "Can processes share an Ethernet segment that none can harm?");
  if (bench::usable_cores() < 2) {
    report.note("one core only: rates between two cores cannot be measured");
  } else {
    proofs::segment::measure_all(report, options.quick);
  }
  return report.finish(options.json);
}
