// SPDX-License-Identifier: Apache-2.0
// How long a frame waits until it is served, from the peer's stamp to the engine's: while the
// program polls, computes, sleeps, or has just stopped polling; on idle and on busy cores; and with
// the helper scheduled in different ways.
#include <fmt/core.h>
#include <sys/eventfd.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "base/mapping.h"
#include "base/random.h"
#include "common/latency.h"
#include "common/process.h"
#include "proofs/inline_engine/figures.h"
#include "proofs/inline_engine/peer.h"
#include "proofs/inline_engine/runtime.h"
#include "ring/bell.h"

namespace proofs::inline_engine {
namespace {

constexpr int kPatienceMs = 10'000;

void sleep_us(std::uint64_t microseconds) {
  const timespec time{static_cast<time_t>(microseconds / 1'000'000),
                      static_cast<long>(microseconds % 1'000'000) * 1000};
  ::nanosleep(&time, nullptr);
}

void spin(tideline::Duration time) {
  for (const std::uint64_t until = tideline::tsc_now() + tideline::tsc_ticks(time);
       tideline::tsc_now() < until;) {
  }
}

enum class Program { kPolls, kComputes, kSleeps, kBursts };

struct Scenario {
  const char* name;
  Program program;
  RuntimeOptions options;       // the meeting point is filled in
  bool spinner = false;         // a second program spins on the other core
  tideline::Duration burst{0};  // how long it polls before it computes for 4 ms (kBursts)
};

// The program's life; it is killed in the end. It runs on core 0.
int live(const Scenario& scenario, const std::string& meeting_point) {
  bench::pin_to_core(0);
  RuntimeOptions options = scenario.options;
  options.meeting_point = meeting_point;
  const auto runtime = Runtime::start(options);
  if (!runtime) return 1;
  const std::uint64_t burst = tideline::tsc_ticks(scenario.burst);
  for (;;) {
    switch (scenario.program) {
      case Program::kPolls:
        (*runtime)->poll();
        break;
      case Program::kComputes:
        spin(std::chrono::seconds(1));
        break;
      case Program::kSleeps:
        sleep_us(1'000'000);
        break;
      case Program::kBursts:
        for (const std::uint64_t until = tideline::tsc_now() + burst;
             tideline::tsc_now() < until;) {
          (*runtime)->poll();
        }
        spin(std::chrono::milliseconds(4));
        break;
    }
  }
}

bench::Child spinner() {
  return bench::Child::run([]() -> int {
    bench::pin_to_core(1);
    for (;;) spin(std::chrono::seconds(1));
  });
}

struct Delays {
  bench::LatencySamples all;
  std::size_t by_helper = 0;
};

Delays measure(const Scenario& scenario, int frames, std::uint64_t seed) {
  tideline::Result<MeetingPoint> point = MeetingPoint::create();
  CHECK(point, "{}", point.error().message());
  const std::optional<bench::Child> other =
      scenario.spinner ? std::optional(spinner()) : std::nullopt;
  const bench::Child program = bench::Child::run([&] { return live(scenario, point->path()); });
  tideline::Result<Member> member = point->accept(kPatienceMs);
  CHECK(member, "{}", member.error().message());
  tideline::Rng rng(seed);
  bench::pin_to_core(1);
  sleep_us(20'000);
  Delays delays{.all = bench::LatencySamples(static_cast<std::size_t>(frames))};
  for (int i = 0; i < frames; ++i) {
    sleep_us(500 + rng.below(3000));
    CHECK(member->send(static_cast<std::uint64_t>(i)));
    std::optional<Frame> frame;
    while (!(frame = member->receive())) {
      CHECK(!member->hung_up(0));
      sleep_us(200);
    }
    delays.all.add_ticks(frame->served_tsc - std::min(frame->sent_tsc, frame->served_tsc));
    if (frame->server == Server::kHelper) ++delays.by_helper;
  }
  bench::unpin();
  return delays;
}

// The limit: from a write to an eventfd until its sleeper runs, on the same cores.
bench::LatencySamples eventfd_wake(int wakes, bool busy, std::uint64_t seed) {
  auto memory = tideline::Mapping::anonymous_shared(4096);
  auto bell = tideline::ring::EventBell::create();
  CHECK(memory && bell);
  auto& woken = *memory->at<std::atomic<std::uint64_t>>(0);
  const std::optional<bench::Child> other = busy ? std::optional(spinner()) : std::nullopt;
  const std::optional<bench::Child> same = busy ? std::optional(bench::Child::run([]() -> int {
    bench::pin_to_core(0);
    for (;;) spin(std::chrono::seconds(1));
  }))
                                                : std::nullopt;
  const bench::Child sleeper = bench::Child::run([&]() -> int {
    for (;;) {
      if (bell->sleep(tideline::ring::kForever)) woken.store(tideline::tsc_now());
    }
  });
  bench::pin_to_core(1);
  tideline::Rng rng(seed);
  bench::LatencySamples samples(static_cast<std::size_t>(wakes));
  sleep_us(10'000);
  for (int i = 0; i < wakes; ++i) {
    sleep_us(500 + rng.below(3000));
    woken.store(0);
    const std::uint64_t start = tideline::tsc_now();
    bell->ring();
    while (woken.load() == 0) sleep_us(200);
    samples.add_ticks(woken.load() - start);
  }
  bench::unpin();
  return samples;
}

void print(bench::Report& report, const std::string& name, bench::LatencySamples& samples,
           bench::LatencySamples* limit) {
  for (const auto& [label, quantile] :
       {std::pair{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1.0}}) {
    const double value = samples.quantile_ns(quantile) / 1000;
    const std::string full = fmt::format("{}, {}", name, label);
    if (limit == nullptr) {
      report.figure(full, value, "us");
    } else {
      report.figure(full, value, "us", "eventfd wake", limit->quantile_ns(quantile) / 1000);
    }
  }
}

}  // namespace

void measure_delays(const bench::Options& options, bench::Report& report) {
  using std::chrono::microseconds;
  const RuntimeOptions anywhere{.helper_on_all_cores = true};
  const Scenario scenarios[] = {
      {"program polls", Program::kPolls, anywhere},
      {"program sleeps", Program::kSleeps, anywhere},
      {"program computes, helper on the other core", Program::kComputes, anywhere},
      {"program computes, helper bound to the same core", Program::kComputes, {}},
      {"the same, helper's slice 100 us", Program::kComputes, {.helper_slice = microseconds(100)}},
      {"both cores spin", Program::kComputes, anywhere, true},
      {"both cores spin, helper's slice 100 us",
       Program::kComputes,
       {.helper_slice = microseconds(100), .helper_on_all_cores = true},
       true},
      {"both cores spin, helper nice -20",
       Program::kComputes,
       {.helper_nice = -20, .helper_on_all_cores = true},
       true},
      {"both cores spin, slice and nice",
       Program::kComputes,
       {.helper_slice = microseconds(100), .helper_nice = -20, .helper_on_all_cores = true},
       true},
      {"program polls 50 us, computes 4 ms, in turn", Program::kBursts, anywhere, false,
       microseconds(50)},
      {"program polls 4 ms, computes 4 ms, in turn", Program::kBursts, anywhere, false,
       microseconds(4000)},
  };
  const int frames = options.quick ? 60 : 1500;
  bench::LatencySamples idle = eventfd_wake(frames, false, options.seed);
  bench::LatencySamples busy = eventfd_wake(frames, true, options.seed);
  for (const Scenario& scenario : scenarios) {
    Delays delays = measure(scenario, frames, options.seed);
    bench::LatencySamples* limit = scenario.spinner ? &busy : &idle;
    print(report, scenario.name, delays.all, scenario.program == Program::kPolls ? nullptr : limit);
    report.note(fmt::format("{}: {} of {} frames by the helper", scenario.name, delays.by_helper,
                            delays.all.count()));
  }
}

}  // namespace proofs::inline_engine
