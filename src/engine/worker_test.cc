// SPDX-License-Identifier: Apache-2.0
// Workers in real time: two hosts on one wire, sleeping, and being stopped.
#include "engine/worker.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "base/clock.h"
#include "port/dgram.h"

namespace tideline::engine {
namespace {

using wire::Ipv4Address;
using wire::Ipv6Address;

constexpr Ipv4Address kLeft4(192, 0, 2, 1);
constexpr Ipv4Address kRight4(192, 0, 2, 2);
constexpr Ipv6Address kLeft6(0x20010db800000000, 1);
constexpr Ipv6Address kRight6(0x20010db800000000, 2);

// One of two ends, 1 and 2, of a wire of datagrams.
std::unique_ptr<Worker> make_worker(std::uint8_t end) {
  auto pool = packet::Pool::create({.segments = 1024, .loans = 512, .huge_pages = false});
  EXPECT_TRUE(pool.has_value());
  const auto path = [](int which) {
    return testing::TempDir() + "worker-" + std::to_string(::getpid()) + "-" +
           std::to_string(which);
  };
  auto port = port::DgramPort::open(path(end), path(3 - end), pool->get(),
                                    {.mac = wire::MacAddress({2, 0, 0, 0, 0, end})});
  EXPECT_TRUE(port.has_value());
  auto worker = Worker::create(std::move(*pool), std::move(*port), end);
  EXPECT_TRUE(worker.has_value());
  return std::move(*worker);
}

class Endless final : public Task {
 public:
  Instant next_deadline() const override { return kNever; }
  void run_timers(Instant /*now*/) override {}
  bool is_done() const override { return false; }
};

// Asks once for an echo when its host is ready, and again every 100 ms.
class PingTask final : public Task, private ip::EchoHandler {
 public:
  PingTask(Worker& worker, const Ipv6Address& peer, std::size_t size)
      : worker_(worker), peer_(peer), size_(size), due_(monotonic_now()) {
    EXPECT_TRUE(worker.host()->stack().open_echo(7, *this));
  }
  ~PingTask() { worker_.host()->stack().close_echo(7); }

  Instant next_deadline() const override { return due_; }
  void run_timers(Instant now) override {
    due_ = now + std::chrono::milliseconds(100);
    if (!worker_.host()->is_ready()) return;
    packet::PacketPtr data = worker_.pool().get_chain(size_);
    ASSERT_NE(data, nullptr);
    (void)worker_.host()->stack().ping(std::move(data), peer_, 7, ++sequence_, now);
  }
  bool is_done() const override { return answered_; }

 private:
  void echo_replied(ip::EchoReply reply, Instant /*now*/) override {
    answered_ = reply.data->size() == size_;
  }
  void echo_failed(const ip::PathError& /*error*/, Instant /*now*/) override {}

  Worker& worker_;
  Ipv6Address peer_;
  std::size_t size_;
  Instant due_;
  std::uint16_t sequence_ = 0;
  bool answered_ = false;
};

TEST(Worker, AnswersItsPeerOnAnotherThread) {
  auto left = make_worker(1);
  ASSERT_TRUE(left->add_host({.ipv4 = {{kLeft4, 24}}, .ipv6 = {{kLeft6, 64}}}));
  std::atomic<Worker*> started{nullptr};
  std::atomic<bool> stop_returned{false};
  std::jthread peer([&] {
    auto right = make_worker(2);
    EXPECT_TRUE(right->add_host({.ipv4 = {{kRight4, 24}}, .ipv6 = {{kRight6, 64}}}));
    started = right.get();
    started.notify_one();
    Endless endless;
    right->run(endless);
    stop_returned.wait(false);  // the worker outlives the call that stops it
  });
  started.wait(nullptr);
  for (const Ipv6Address& to : {Ipv6Address::mapped(kRight4), kRight6}) {
    for (const std::size_t size : {1U, 1400U, 8000U}) {
      PingTask asker(*left, to, size);
      left->run(asker);
      EXPECT_TRUE(asker.is_done());
    }
  }
  EXPECT_TRUE(left->host()->is_ready());
  EXPECT_FALSE(left->host()->conflict().has_value());
  started.load()->stop();
  stop_returned = true;
  stop_returned.notify_one();
}

TEST(Worker, NoticesThatItsAddressIsTaken) {
  auto left = make_worker(1);
  auto right = make_worker(2);
  ASSERT_TRUE(left->add_host({.ipv4 = {{kLeft4, 24}}}));
  ASSERT_TRUE(right->add_host({.ipv4 = {{kLeft4, 24}}}));
  class Once final : public Task {
   public:
    Instant next_deadline() const override { return Instant{}; }
    void run_timers(Instant /*now*/) override { done_ = true; }
    bool is_done() const override { return done_; }

   private:
    bool done_ = false;
  };
  Once first;
  right->run(first);  // its announcement leaves
  Once second;
  left->run(second);
  ASSERT_TRUE(left->host()->conflict().has_value());
  EXPECT_NE(left->host()->conflict()->what.find("192.0.2.1"), std::string::npos);
}

TEST(Worker, SleepsUntilItIsStopped) {
  auto worker = make_worker(1);
  std::jthread stopper([&] { worker->stop(); });
  Endless endless;
  worker->run(endless);
  EXPECT_TRUE(worker->is_stopped());
}

// Has work when another thread rings it, which it does only while the worker is about to sleep.
class Rung final : public Service, public Task {
 public:
  Instant next_deadline() const override { return kNever; }
  bool run(Instant /*now*/) override {
    runs_ += work_.exchange(false) ? 1 : 0;
    return false;
  }
  bool has_work(Instant /*now*/) override { return work_; }
  int fd() const override { return bell_.fd(); }
  void arm() override {
    armed_ = true;
    armed_.notify_one();
  }
  void disarm() override {
    armed_ = false;
    bell_.silence();
  }
  void run_timers(Instant /*now*/) override {}
  bool is_done() const override { return runs_ == 3; }

  void give_work() {
    armed_.wait(false);
    work_ = true;
    bell_.ring();
    while (work_) std::this_thread::yield();
  }

 private:
  const ring::EventBell bell_ = *ring::EventBell::create();
  std::atomic<bool> armed_{false};
  std::atomic<bool> work_{false};
  int runs_ = 0;
};

TEST(Worker, SleepsOnItsServiceToo) {
  auto worker = make_worker(1);
  Rung service;
  worker->set_service(&service);
  std::jthread giver([&] {
    for (int i = 0; i < 3; ++i) service.give_work();
  });
  worker->run(service);
  EXPECT_TRUE(service.is_done());
}

}  // namespace
}  // namespace tideline::engine
