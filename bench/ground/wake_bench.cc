// SPDX-License-Identifier: Apache-2.0
// A wake-up there and back between two threads on two cores: what the kernel offers, used plainly,
// beside the project's wait, both asleep each time and with its budget of looking first.
#include <benchmark/benchmark.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <thread>

#include "base/check.h"
#include "base/fd.h"
#include "ring/bell.h"
#include "ring/spin_budget.h"
#include "ring/transfer_bench.h"
#include "ring/waiter.h"
#include "ring/wake_flag.h"

namespace tideline::ring {
namespace {

class Pipe {
 public:
  Pipe() {
    std::array<int, 2> ends{};
    CHECK(::pipe(ends.data()) == 0);
    read_ = UniqueFd(ends[0]);
    write_ = UniqueFd(ends[1]);
  }
  void wake() {
    const char byte = 0;
    CHECK(::write(write_.get(), &byte, 1) == 1);
  }
  void wait() {
    char byte = 0;
    CHECK(::read(read_.get(), &byte, 1) == 1);
  }

 private:
  UniqueFd read_;
  UniqueFd write_;
};

class Eventfd {
 public:
  void wake() {
    const std::uint64_t one = 1;
    CHECK(::write(fd_.get(), &one, sizeof(one)) == sizeof(one));
  }
  void wait() {
    std::uint64_t count = 0;
    CHECK(::read(fd_.get(), &count, sizeof(count)) == sizeof(count));
  }

 private:
  UniqueFd fd_{::eventfd(0, EFD_CLOEXEC)};
};

// The C++ library's: it looks for a while, then sleeps on a futex.
class AtomicWait {
 public:
  void wake() {
    turn_.fetch_add(1, std::memory_order_release);
    turn_.notify_one();
  }
  void wait() {
    turn_.wait(seen_, std::memory_order_acquire);
    ++seen_;
  }

 private:
  std::atomic<std::uint32_t> turn_{0};
  std::uint32_t seen_ = 0;
};

struct NoSpin {
  std::uint64_t limit(std::uint64_t /*now*/) { return 0; }
  void relax() {}
  bool interrupted(std::uint64_t /*now*/, std::uint64_t /*ticks*/) { return false; }
  void spun() {}
  void slept() {}
};

template <typename Budget>
class Tideline {
 public:
  void wake() {
    work_.fetch_add(1, std::memory_order_release);
    if (notifier_.should_ring()) bell_.ring();
  }
  void wait() {
    const auto ready = [&] { return work_.load(std::memory_order_acquire) != seen_; };
    while (!waiter_.wait(ready, [&] { bell_.sleep(kForever); })) {
    }
    ++seen_;
  }

 private:
  static EventBell make_bell() {
    auto bell = EventBell::create();
    CHECK(bell.has_value());
    return std::move(*bell);
  }

  alignas(kCacheLine) std::atomic<std::uint32_t> work_{0};
  std::uint32_t seen_ = 0;
  WakeFlag flag_;
  Notifier notifier_{flag_};
  Waiter<Budget> waiter_{flag_, Budget()};
  EventBell bell_ = make_bell();
};

template <typename Wake>
void round_trip(benchmark::State& state) {
  pin_to_core(0);
  Wake there;
  Wake back;
  std::atomic<bool> stop{false};
  std::jthread peer([&] {
    pin_to_core(1);
    for (;;) {
      there.wait();
      if (stop.load(std::memory_order_acquire)) return;
      back.wake();
    }
  });
  for (auto _ : state) {
    there.wake();
    back.wait();
  }
  stop.store(true, std::memory_order_release);
  there.wake();
}

BENCHMARK(round_trip<Pipe>)->UseRealTime();
BENCHMARK(round_trip<Eventfd>)->UseRealTime();
BENCHMARK(round_trip<AtomicWait>)->UseRealTime();
BENCHMARK(round_trip<Tideline<NoSpin>>)->Name("round_trip<Asleep>")->UseRealTime();
BENCHMARK(round_trip<Tideline<SpinBudget>>)->Name("round_trip<SpinBudget>")->UseRealTime();

}  // namespace
}  // namespace tideline::ring
