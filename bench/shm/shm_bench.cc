// SPDX-License-Identifier: Apache-2.0
// The shm port between two cores: how fast, beside what bounds it (a two-copy pipe, a cache line
// there and back) and what one would write in an afternoon.
#include <fmt/core.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "common/cli.h"
#include "common/latency.h"
#include "common/limits.h"
#include "common/process.h"
#include "common/report.h"
#include "shm/naive.h"
#include "shm/port_traffic.h"

namespace bench::shm {
namespace {

using tideline::Duration;

constexpr Duration kLatencyTime = std::chrono::seconds(1);  // at most, per repetition

struct Series {
  std::string name;
  std::string unit;
  std::function<double()> measure;
  std::string limit_name;
  std::function<double()> limit;
  std::vector<std::pair<double, double>> values{};
};

double gigabits(double frames_per_second, std::size_t length) {
  return frames_per_second * static_cast<double>(length) * 8 / 1e9;
}

class Streams {
 public:
  Streams(int repetitions, Duration duration) : repetitions_(repetitions), duration_(duration) {}

  void run(Report& report) {
    add_frames(64);
    for (const std::size_t length : {std::size_t{1400}, std::size_t{65536}}) add_bytes(length);
    for (int i = 0; i < repetitions_; ++i) {
      for (Series& s : series_) {
        const double limit = s.limit();
        s.values.emplace_back(s.measure(), limit);
      }
    }
    for (const Series& s : series_) report.figure(s.name, s.values, s.unit, s.limit_name);
    for (const auto& [name, passes] : passes_) report.figure(name, passes, "passes/byte");
  }

 private:
  void add_frames(std::size_t length) {
    const auto port = [this, length] {
      return port_stream(length, Receive::kDropped, duration_).frames_per_second / 1e6;
    };
    series_.push_back(
        {.name = fmt::format("{} B frames", length),
         .unit = "M/s",
         .measure = port,
         .limit_name = "queue under a mutex",
         .limit = [this, length] { return locked_queue_rate(length, duration_) / 1e6; }});
    // What small frames cost is the way of a line between the cores, which differs between runs.
    series_.push_back({.name = fmt::format("{} B frames, beside the way of a line", length),
                       .unit = "M/s",
                       .measure = port,
                       .limit_name = "one for each time a line goes there and back",
                       .limit = [] { return line_trips_per_second() / 1e6; }});
  }

  static double line_trips_per_second() {
    constexpr std::uint64_t kTrips = 5'000;
    return 1e9 / static_cast<double>(cache_line_round_trips(kTrips, kLatencyTime).quantile_ns(0.5));
  }

  void add_bytes(std::size_t length) {
    add_port(length, Receive::kDropped, "received and dropped", length);
    add_port(length, Receive::kCopied, "copied by the port, then by the receiver", length);
    if (length > 2048) {
      add_port(length, Receive::kBorrowedCopied, "lent by the port, copied by the receiver",
               length);
    }
    series_.push_back(
        {.name = fmt::format("{} B, queue under a mutex", length),
         .unit = "Gb/s",
         .measure = [this,
                     length] { return gigabits(locked_queue_rate(length, duration_), length); },
         .limit_name = "two-copy pipe",
         .limit = [this, length] { return two_copy_pipe_rate(length, duration_); }});
  }

  void add_port(std::size_t length, Receive receive, const char* what, std::size_t pipe) {
    const std::string name = fmt::format("{} B, {}", length, what);
    passes_.emplace_back(name, 0);
    series_.push_back({.name = name,
                       .unit = "Gb/s",
                       .measure =
                           [this, length, receive, at = passes_.size() - 1] {
                             const PortRate rate = port_stream(length, receive, duration_);
                             passes_[at].second = rate.passes_per_byte;
                             return rate.gigabits_per_second;
                           },
                       .limit_name = "two-copy pipe",
                       .limit = [this, pipe] { return two_copy_pipe_rate(pipe, duration_); }});
  }

  int repetitions_;
  Duration duration_;
  std::vector<Series> series_;
  std::vector<std::pair<std::string, double>> passes_;
};

void measure_latency(Report& report, int repetitions, std::uint64_t count) {
  LatencySamples line;
  LatencySamples naive;
  LatencySamples small;
  LatencySamples medium;
  for (int i = 0; i < repetitions; ++i) {
    line.merge(cache_line_round_trips(count, kLatencyTime));
    small.merge(port_round_trips(64, count, kLatencyTime));
    medium.merge(port_round_trips(1400, count, kLatencyTime));
    naive.merge(socketpair_round_trips(64, count, kLatencyTime));
  }
  for (const double quantile : {0.5, 0.99, 0.999}) {
    const std::string name = fmt::format("p{:g}", quantile * 100);
    const double limit = line.quantile_ns(quantile);
    const char* limit_name = "cache line there and back";
    report.figure(fmt::format("{}, {}", limit_name, name), limit, "ns");
    report.figure("64 B there and back, " + name, small.quantile_ns(quantile), "ns", limit_name,
                  limit);
    report.figure("1400 B there and back, " + name, medium.quantile_ns(quantile), "ns", limit_name,
                  limit);
    report.figure("64 B over a socketpair, " + name, naive.quantile_ns(quantile), "ns", limit_name,
                  limit);
  }
}

}  // namespace
}  // namespace bench::shm

int main(int argc, char** argv) {
  const bench::Options options = bench::parse_options(argc, argv, "The shm port between two cores");
  bench::Report report("shm", "How fast do frames pass between two programs?");
  if (bench::usable_cores() < 2) {
    report.note("one core only: rates between two cores cannot be measured");
  } else {
    const int repetitions = options.quick ? 3 : 11;
    bench::shm::Streams(repetitions, std::chrono::milliseconds(options.quick ? 30 : 60))
        .run(report);
    bench::shm::measure_latency(report, repetitions, options.quick ? 5'000 : 30'000);
  }
  return report.finish(options.json);
}
