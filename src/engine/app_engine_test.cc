// SPDX-License-Identifier: Apache-2.0
// Engines in a program, in real time: driven by its calls, by the helper, and by both in turn.
#include "engine/app_engine.h"

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "port/memory.h"

namespace tideline::engine {
namespace {

using wire::Ipv6Address;

constexpr Ipv6Address kLeftHost(0x20010db800000000, 1);
constexpr Ipv6Address kRightHost(0x20010db800000000, 2);

struct Engines {
  std::unique_ptr<AppEngine> left;
  std::unique_ptr<AppEngine> right;
};

std::unique_ptr<AppEngine> start(std::unique_ptr<port::Port> port, const Ipv6Address& address) {
  auto pool = packet::Pool::create({.segments = 1024, .loans = 512, .huge_pages = false});
  EXPECT_TRUE(pool.has_value());
  auto worker = Worker::create(std::move(*pool), std::move(port), address.low());
  EXPECT_TRUE(worker.has_value());
  EXPECT_TRUE((*worker)->add_host({.ipv6 = {{address, 64}}}));
  auto engine = AppEngine::start(std::move(*worker));
  EXPECT_TRUE(engine.has_value());
  return std::move(*engine);
}

Engines start_pair() {
  auto wire = port::MemoryPort::create_pair({});
  EXPECT_TRUE(wire.has_value());
  return {start(std::move(wire->left), kLeftHost), start(std::move(wire->right), kRightHost)};
}

// Asks the right engine's host for echoes, from the left engine.
class Asker final : private ip::EchoHandler {
 public:
  explicit Asker(AppEngine& engine) : engine_(engine) {
    engine_.exclusively([this](Worker& worker, Instant /*now*/) {
      EXPECT_TRUE(worker.host()->stack().open_echo(7, *this));
    });
  }
  ~Asker() {
    engine_.exclusively(
        [](Worker& worker, Instant /*now*/) { worker.host()->stack().close_echo(7); });
  }

  bool ready() {
    bool ready = false;
    engine_.exclusively(
        [&](Worker& worker, Instant /*now*/) { ready = worker.host()->is_ready(); });
    return ready;
  }
  void ask() {
    engine_.exclusively([this](Worker& worker, Instant now) {
      packet::PacketPtr data = worker.pool().get_chain(64);
      ASSERT_NE(data, nullptr);
      (void)worker.host()->stack().ping(std::move(data), kRightHost, 7, ++sequence_, now);
    });
  }
  int answers() const { return answers_.load(); }

 private:
  void echo_replied(ip::EchoReply /*reply*/, Instant /*now*/) override { ++answers_; }
  void echo_failed(const ip::PathError& /*error*/, Instant /*now*/) override {}

  AppEngine& engine_;
  std::uint16_t sequence_ = 0;
  std::atomic<int> answers_{0};
};

void wait_ready(Asker& asker) {
  while (!asker.ready()) std::this_thread::yield();
}

TEST(AppEngine, HelpersServeWhileNobodyCalls) {
  Engines engines = start_pair();
  Asker asker(*engines.left);
  wait_ready(asker);  // control calls do not drive the other engine: its helper answered the NDP
  for (int i = 1; i <= 20; ++i) {
    asker.ask();
    while (asker.answers() < i) ::usleep(100);
  }
  EXPECT_GT(engines.left->take_overs(), 0U);
  EXPECT_GT(engines.right->take_overs(), 0U);
}

TEST(AppEngine, CallsDriveItWhileTheyPoll) {
  Engines engines = start_pair();
  Asker asker(*engines.left);
  wait_ready(asker);
  for (int i = 1; i <= 1000; ++i) {
    asker.ask();
    while (asker.answers() < i) {
      EXPECT_NE(engines.left->poll(), ring::Entry::kClosed);
      EXPECT_NE(engines.right->poll(), ring::Entry::kClosed);
    }
  }
}

// Polls and pauses in turn: each hand-over between program and helper is a chance to lose a frame's
// wake-up, and a lost one would hang the test.
TEST(AppEngine, ServesAcrossHandOvers) {
  Engines engines = start_pair();
  Asker asker(*engines.left);
  wait_ready(asker);
  for (int i = 1; i <= 200; ++i) {
    asker.ask();
    if (i % 3 == 0) engines.left->hand_to_helper();
    while (asker.answers() < i) {
      if (i % 2 == 0) {
        engines.left->poll();
      } else {
        ::usleep(50);
      }
    }
    if (i % 10 == 0) ::usleep(2000);  // both helpers take over
  }
}

TEST(AppEngine, WorkOfManyThreadsIsDoneOnceEach) {
  constexpr int kThreads = 4;
  constexpr int kEach = 5000;
  Engines engines = start_pair();
  std::uint64_t done = 0;  // not atomic: a second holder would show in the sum
  const AppWork work{
      .run = [](void* object, Instant /*now*/) { ++*static_cast<std::uint64_t*>(object); },
      .object = &done};
  {
    std::vector<std::jthread> threads;
    threads.reserve(kThreads);
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < kEach; ++i) {
          while (engines.left->submit(work) == ring::Entry::kFull) engines.left->poll();
        }
      });
    }
  }
  std::uint64_t seen = 0;
  EXPECT_TRUE(engines.left->exclusively([&](Worker& /*worker*/, Instant /*now*/) { seen = done; }));
  EXPECT_EQ(seen, std::uint64_t{kThreads} * kEach);
}

TEST(AppEngine, IsClosedInAForkedChild) {
  Engines engines = start_pair();
  const pid_t child = ::fork();
  if (child == 0) {
    const bool closed = engines.left->poll() == ring::Entry::kClosed &&
                        engines.left->submit({}) == ring::Entry::kClosed &&
                        !engines.left->exclusively([](Worker& /*worker*/, Instant /*now*/) {}) &&
                        engines.left->state() == ring::GateState::kForked;
    ::_exit(closed ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  ring::Entry entry = ring::Entry::kBusy;  // while the helper is at it
  while ((entry = engines.left->poll()) == ring::Entry::kBusy) std::this_thread::yield();
  EXPECT_EQ(entry, ring::Entry::kRan);
}

}  // namespace
}  // namespace tideline::engine
