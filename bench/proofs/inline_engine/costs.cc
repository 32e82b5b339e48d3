// SPDX-License-Identifier: Apache-2.0
// What an inline poll costs, and its parts: the lock, the descriptor check, the helper beside it.
#include <fcntl.h>
#include <fmt/core.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "common/latency.h"
#include "common/process.h"
#include "proofs/inline_engine/figures.h"
#include "proofs/inline_engine/pair.h"

namespace proofs::inline_engine {
namespace {

// Nanoseconds per call of `body`.
template <typename Body>
double time_of(int calls, Body&& body) {
  const std::uint64_t start = tideline::tsc_now();
  for (int i = 0; i < calls; ++i) body();
  return static_cast<double>(tideline::tsc_duration(tideline::tsc_now() - start).count()) / calls;
}

// Medians of interleaved repetitions of several bodies.
class Comparison {
 public:
  template <typename Body>
  void run(std::size_t index, int calls, Body&& body) {
    if (times_.size() <= index) times_.resize(index + 1);
    times_[index].push_back(time_of(calls, body));
  }
  double ns(std::size_t index) const { return bench::median(times_[index]); }

 private:
  std::vector<std::vector<double>> times_;
};

// Keeps the compiler from dropping or merging the loops.
void barrier() { asm volatile("" ::: "memory"); }

struct NothingToDo {
  void run() { barrier(); }
  static bool ready() { return true; }
  void execute(const Work& /*work*/) {}
};

void measure_poll(const bench::Options& options, bench::Report& report) {
  const Pair pair({});
  const auto gate = std::make_unique<Gate>();
  gate->open();
  NothingToDo nothing;
  std::atomic<std::uint32_t> lock{0};
  Comparison times;
  const int calls = options.quick ? 20'000 : 400'000;
  for (int repetition = 0; repetition < (options.quick ? 3 : 11); ++repetition) {
    times.run(0, calls, [&] { pair.runtime().poll(); });
    times.run(1, calls, [] { barrier(); });
    times.run(2, calls, [] {
      tideline::tsc_now();
      barrier();
    });
    times.run(3, calls / 10, [] { ::syscall(SYS_getppid); });
    times.run(4, calls, [&] { gate->enter(nothing); });
    times.run(5, calls, [&] {  // exchange, and a fence before the look at the list
      if (lock.exchange(1, std::memory_order_acquire) == 0) {
        lock.store(0, std::memory_order_release);
        std::atomic_thread_fence(std::memory_order_seq_cst);
        barrier();
      }
    });
  }
  report.figure("inline poll, nothing to do", times.ns(0), "ns", "system call", times.ns(3));
  report.figure("  reading the TSC", times.ns(2), "ns", "empty loop", times.ns(1));
  report.figure("  lock word: cmpxchg in, cmpxchg out", times.ns(4), "ns",
                "exchange in; store, fence out", times.ns(5));
}

void measure_contention(const bench::Options& options, bench::Report& report) {
  const Pair pair({});
  const int calls = options.quick ? 20'000 : 300'000;
  std::vector<double> polls;
  std::vector<double> submits;
  for (int repetition = 0; repetition < 5; ++repetition) {
    std::atomic<bool> stop{false};
    const std::jthread other([&] {
      bench::pin_to_core(1);
      while (!stop.load(std::memory_order_relaxed)) pair.runtime().poll();
    });
    bench::pin_to_core(0);
    polls.push_back(time_of(calls, [&] { pair.runtime().poll(); }));
    submits.push_back(time_of(calls / 10, [&] {
      pair.runtime().submit({1});
      pair.discard_answers();
    }));
    stop.store(true);
  }
  bench::unpin();
  report.figure("inline poll, another thread polls without pause", bench::median(polls), "ns");
  report.figure("handing over or sending one message, the same", bench::median(submits), "ns");
}

void measure_descriptors(const bench::Options& options, bench::Report& report) {
  const tideline::UniqueFd bell(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  const tideline::UniqueFd again(::fcntl(bell.get(), F_DUPFD_CLOEXEC, 1000));
  const Pair pair({});
  Comparison times;
  const int calls = options.quick ? 5'000 : 50'000;
  const pid_t self = ::getpid();
  const pid_t helper = pair.runtime().helper_tid();
  for (int repetition = 0; repetition < 5; ++repetition) {
    times.run(0, calls, [&] { ::eventfd_write(bell.get(), 1); });
    times.run(1, calls, [&] { pair.runtime().fds().ring(EngineFile::kPeerBell); });
    times.run(2, calls, [&] { same_file(bell.get(), again.get()); });
    times.run(3, calls, [&] { ::syscall(SYS_kcmp, self, helper, 0, bell.get(), 3); });
    struct stat status{};
    times.run(4, calls, [&] { ::fstat(bell.get(), &status); });
    times.run(5, calls, [&] { ::syscall(SYS_getppid); });
  }
  report.figure("ringing a bell that nobody sleeps on, checked", times.ns(1), "ns", "unchecked",
                times.ns(0));
  report.figure("  F_DUPFD_QUERY", times.ns(2), "ns", "system call", times.ns(5));
  report.figure("  kcmp with the helper's table", times.ns(3), "ns", "fstat", times.ns(4));
}

double vfork_us(int rounds) {
  return time_of(rounds,
                 [] {
                   // NOLINTNEXTLINE(bugprone-unsafe-functions): it is what is measured
                   const pid_t pid = ::vfork();
                   if (pid == 0) ::_exit(0);
                   ::waitpid(pid, nullptr, 0);
                 }) /
         1000;
}

// A table is as long as its highest number, and every fork, vfork and posix_spawn copies it.
void measure_table_length(const bench::Options& options, bench::Report& report) {
  const int rounds = options.quick ? 100 : 800;
  for (const int number : {1024, 4096, 16'384, 19'900}) {
    std::vector<double> without;
    std::vector<double> with;
    for (int repetition = 0; repetition < 5; ++repetition) {
      without.push_back(vfork_us(rounds));
      const tideline::UniqueFd high(::fcntl(0, F_DUPFD_CLOEXEC, number));
      with.push_back(vfork_us(rounds));
    }
    report.figure("vfork and exit, highest descriptor " + std::to_string(number),
                  bench::median(with), "us", "low numbers", bench::median(without));
  }
}

// What a second thread costs a program of one: system calls on descriptors take a reference when
// the table is shared. A thread with a table of its own does not.
void measure_shared_table(const bench::Options& options, bench::Report& report) {
  const int calls = options.quick ? 50'000 : 500'000;
  const tideline::UniqueFd bell(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  Comparison times;
  for (int repetition = 0; repetition < 7; ++repetition) {
    times.run(0, calls, [&] { ::eventfd_write(bell.get(), 1); });
    {
      const Pair pair({});
      times.run(1, calls, [&] { ::eventfd_write(bell.get(), 1); });
    }
    std::atomic<bool> stop{false};
    const std::jthread sharing([&] { stop.wait(false); });
    times.run(2, calls, [&] { ::eventfd_write(bell.get(), 1); });
    stop.store(true);
    stop.notify_all();
  }
  report.figure("the program's own write(), helper with a private table", times.ns(1), "ns",
                "without a helper", times.ns(0));
  report.figure("the program's own write(), helper sharing the table", times.ns(2), "ns",
                "without a helper", times.ns(0));
}

double cpu_ns_of_thread(pid_t tid) {
  // CLOCK of a thread of this process: clock_getcpuclockid's encoding of a thread id.
  const auto clock = static_cast<clockid_t>((~static_cast<unsigned>(tid) << 3U) | 6U);
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

void measure_ticks(const bench::Options& options, bench::Report& report) {
  const Pair pair({});
  const pid_t helper = pair.runtime().helper_tid();
  const auto time = std::chrono::milliseconds(options.quick ? 300 : 2000);
  const auto share = [&](auto&& body) {
    const double before = cpu_ns_of_thread(helper);
    const std::uint64_t start = tideline::tsc_now();
    const std::uint64_t until = start + tideline::tsc_ticks(time);
    while (tideline::tsc_now() < until) body();
    const auto wall =
        static_cast<double>(tideline::tsc_duration(tideline::tsc_now() - start).count());
    return 100 * (cpu_ns_of_thread(helper) - before) / wall;
  };
  const std::uint64_t ticks = pair.runtime().control().ticks.load();
  // Frames keep the helper from sleeping through: the first one rings, and it finds the program
  // back.
  const double ticking = share([&] {
    pair.send_frame();
    for (int i = 0; i < 1000; ++i) pair.runtime().poll();
    pair.discard_answers();
  });
  const auto count = static_cast<double>(pair.runtime().control().ticks.load() - ticks);
  report.figure("helper while the program polls", ticking, "% core");
  report.figure("  ticks per second", count * 1000 / static_cast<double>(time.count()), "/s");
  share([] {});
  const std::uint64_t asleep = pair.runtime().control().ticks.load();
  const double idle = share([] {});
  report.figure("helper while the program computes and no frame comes", idle, "% core");
  report.check("a helper that has taken over does not tick",
               pair.runtime().control().ticks.load() == asleep, "counted over the same time");
}

// The ways to sleep for a tick, on a core that has nothing else to do: processor time per tick, and
// how late it comes.
void measure_tick_primitives(const bench::Options& options, bench::Report& report) {
  using std::chrono::milliseconds;
  constexpr timespec kTick{0, 1'000'000};
  const tideline::UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  const itimerspec every_tick{kTick, kTick};
  std::uint32_t word = 0;
  const tideline::UniqueFd quiet(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  pollfd idle[] = {{quiet.get(), POLLIN, 0}, {quiet.get(), POLLIN, 0}, {quiet.get(), POLLIN, 0}};
  const auto measure = [&](const char* name, auto&& tick) {
    ::prctl(PR_SET_TIMERSLACK, 1UL);
    const int ticks = options.quick ? 200 : 2000;
    bench::LatencySamples late(static_cast<std::size_t>(ticks));
    const auto self = static_cast<pid_t>(::syscall(SYS_gettid));
    const double before = cpu_ns_of_thread(self);
    for (int i = 0; i < ticks; ++i) {
      const std::uint64_t start = tideline::tsc_now();
      tick();
      const std::uint64_t due = start + tideline::tsc_ticks(milliseconds(1));
      late.add_ticks(std::max(tideline::tsc_now(), due) - due);
    }
    report.figure(fmt::format("a tick by {}", name), (cpu_ns_of_thread(self) - before) / ticks,
                  "ns");
    report.figure("  late, p99", late.quantile_ns(0.99) / 1000, "us");
  };
  std::jthread([&] {
    measure("clock_nanosleep", [&] { ::clock_nanosleep(CLOCK_MONOTONIC, 0, &kTick, nullptr); });
    measure("futex with a time-out",
            [&] { ::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &kTick, nullptr, 0); });
    measure("ppoll on three descriptors", [&] { ::ppoll(idle, 3, &kTick, nullptr); });
    ::timerfd_settime(timer.get(), 0, &every_tick, nullptr);
    measure("timerfd", [&] {
      std::uint64_t count = 0;
      [[maybe_unused]] const ssize_t size = ::read(timer.get(), &count, sizeof(count));
    });
  }).join();
}

}  // namespace

void measure_costs(const bench::Options& options, bench::Report& report) {
  measure_table_length(options, report);
  measure_poll(options, report);
  measure_contention(options, report);
  measure_descriptors(options, report);
  measure_shared_table(options, report);
  measure_ticks(options, report);
  measure_tick_primitives(options, report);
}

}  // namespace proofs::inline_engine
