// SPDX-License-Identifier: Apache-2.0
#include "proofs/waiting/primitives.h"

#include <linux/membarrier.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <functional>
#include <string>

#include "base/bits.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/mapping.h"
#include "common/latency.h"
#include "common/process.h"
#include "ring/bell.h"
#include "ring/wake_flag.h"

namespace proofs::waiting {
namespace {

using bench::Child;
using tideline::Mapping;
using tideline::Result;
using tideline::Status;
using tideline::tsc_now;
using tideline::UniqueFd;
using tideline::ring::EventBell;
using tideline::ring::FutexBell;
using tideline::ring::kForever;
using tideline::ring::Notifier;
using tideline::ring::WakeFlag;

// The median over several runs of the mean cost of `body`.
template <typename Body>
double cost_ns(int iterations, Body&& body) {
  std::vector<double> runs;
  for (int run = 0; run < 7; ++run) {
    const std::uint64_t begin = tsc_now();
    for (int i = 0; i < iterations; ++i) body();
    runs.push_back(static_cast<double>(tideline::tsc_duration(tsc_now() - begin).count()) /
                   iterations);
  }
  return bench::median(runs);
}

// Ping-pong of a parent and a child: `send` and `receive` of either side. The median round trip.
struct Side {
  std::function<void()> send;
  std::function<void()> receive;
};

double round_trip_ns(const Side& near, const Side& far, int far_core, int rounds) {
  bench::pin_to_core(0);
  Child child = Child::run([&] {
    bench::pin_to_core(far_core);
    for (int i = 0; i < rounds; ++i) {
      far.receive();
      far.send();
    }
    return 0;
  });
  bench::LatencySamples samples(static_cast<std::size_t>(rounds));
  for (int i = 0; i < rounds; ++i) {
    const std::uint64_t begin = tsc_now();
    near.send();
    near.receive();
    samples.add_ticks(tsc_now() - begin);
  }
  child.wait();
  bench::unpin();
  return samples.quantile_ns(0.5);
}

Status measure_bells(bench::Report& report, int rounds) {
  auto memory = Mapping::anonymous_shared(tideline::kPageSize);
  if (!memory) return tideline::fail(memory.error());
  auto near_bell = EventBell::create();
  auto far_bell = EventBell::create();
  if (!near_bell || !far_bell) return tideline::fail({.what = "cannot create eventfds"});
  auto* words = memory->at<std::atomic<std::uint32_t>>(0);
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return tideline::fail_errno("cannot create a socketpair");
  }
  const UniqueFd near_end(ends[0]);
  const UniqueFd far_end(ends[1]);
  const auto put = [](const UniqueFd& fd) {
    const char byte = 1;
    [[maybe_unused]] const ssize_t size = ::write(fd.get(), &byte, 1);
  };
  const auto take = [](const UniqueFd& fd) {
    char byte = 0;
    [[maybe_unused]] const ssize_t size = ::read(fd.get(), &byte, 1);
  };

  for (const int far_core : {1, 0}) {
    const std::string where = far_core == 1 ? ", a core each" : ", on one core";
    report.figure("eventfd wake there and back" + where,
                  round_trip_ns({[&] { far_bell->ring(); }, [&] { near_bell->sleep(kForever); }},
                                {[&] { near_bell->ring(); }, [&] { far_bell->sleep(kForever); }},
                                far_core, rounds) /
                      1000,
                  "us");
    FutexBell near_futex(words[0]);
    FutexBell far_futex(words[16]);
    report.figure("futex wake there and back" + where,
                  round_trip_ns({[&] { far_futex.ring(); }, [&] { near_futex.sleep(kForever); }},
                                {[&] { near_futex.ring(); }, [&] { far_futex.sleep(kForever); }},
                                far_core, rounds) /
                      1000,
                  "us");
    report.figure("socketpair byte wake there and back" + where,
                  round_trip_ns({[&] { put(near_end); }, [&] { take(near_end); }},
                                {[&] { put(far_end); }, [&] { take(far_end); }}, far_core, rounds) /
                      1000,
                  "us");
  }
  return {};
}

}  // namespace

Result<double> cache_line_round_trip_ns() {
  auto memory = Mapping::anonymous_shared(tideline::kPageSize);
  if (!memory) return tideline::fail(memory.error());
  auto& near_line = *memory->at<std::atomic<std::uint64_t>>(0);
  auto& far_line = *memory->at<std::atomic<std::uint64_t>>(2 * tideline::kCacheLine);
  std::uint64_t sent = 0;
  std::uint64_t answered = 0;
  const Side near{[&] { near_line.store(++sent, std::memory_order_release); },
                  [&] {
                    while (far_line.load(std::memory_order_acquire) != sent) {
                    }
                  }};
  const Side far{[&] { far_line.store(answered, std::memory_order_release); },
                 [&] {
                   ++answered;
                   while (near_line.load(std::memory_order_acquire) != answered) {
                   }
                 }};
  return round_trip_ns(near, far, 1, 200'000);
}

Status measure_primitives(bench::Report& report, bool quick) {
  const int iterations = quick ? 100'000 : 1'000'000;
  auto hop = cache_line_round_trip_ns();
  if (!hop) return tideline::fail(hop.error());
  report.figure("cache line there and back, a core each", *hop, "ns");
  report.figure("system call", cost_ns(iterations, [] { ::syscall(SYS_getppid); }), "ns");

  WakeFlag flag;
  Notifier notifier(flag);
  bool ring = false;
  std::atomic<std::uint64_t> published{0};
  const auto publish = [&] {
    published.store(published.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  };
  const double bare = cost_ns(iterations, publish);
  const double asked = cost_ns(iterations, [&] {
    publish();
    ring = ring || notifier.should_ring();
  });
  report.figure("publish and ask whether to ring (fence and load)", asked, "ns", "publish alone",
                bare);
  report.figure("arm and disarm the wake flag",
                cost_ns(iterations,
                        [&] {
                          flag.arm();
                          flag.disarm();
                        }),
                "ns");
  report.figure("sched_getcpu (rseq)", cost_ns(iterations, [] { ::sched_getcpu(); }), "ns");
  report.figure("getrusage for involuntary switches",
                cost_ns(iterations / 10,
                        [] {
                          rusage usage{};
                          ::getrusage(RUSAGE_THREAD, &usage);
                        }),
                "ns");
  if (::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0) {
    report.figure("membarrier by the waiter, in place of the notifier's fence",
                  cost_ns(iterations / 100,
                          [] { ::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0); }),
                  "ns");
  } else {
    report.note("membarrier(2) is not to be had here");
  }
  return measure_bells(report, quick ? 5'000 : 50'000);
}

}  // namespace proofs::waiting
