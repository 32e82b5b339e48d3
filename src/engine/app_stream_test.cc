// SPDX-License-Identifier: Apache-2.0
// How much a stream in placement `app` takes from its program, by how far its peer is. In real
// time, over a wire in memory that may be long.
#include "engine/app_stream.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <memory>
#include <string>
#include <thread>

#include "engine/app_sockets.h"
#include "port/impairment.h"
#include "port/memory.h"

namespace tideline::engine {
namespace {

using client::Endpoint;
using client::Failure;
using client::Socket;

constexpr wire::Ipv6Address kNearEnd(0x20010db800000000, 1);
constexpr wire::Ipv6Address kFarEnd(0x20010db800000000, 2);
constexpr std::size_t kMebibyte = std::size_t{1} << 20;

struct AppProgram {
  AppProgram(std::unique_ptr<port::Port> port, const wire::Ipv6Address& address, Duration delay) {
    auto pool = packet::Pool::create({.segments = 4096, .loans = 4096, .huge_pages = false});
    EXPECT_TRUE(pool.has_value());
    if (delay > Duration{}) {
      port = std::make_unique<port::ImpairedPort>(
          std::move(port), port::ImpairmentSpec{.delay = delay}, 1, port::QueuePools{pool->get()});
    }
    auto worker = Worker::create(std::move(*pool), std::move(port), address.low());
    EXPECT_TRUE(worker.has_value());
    EXPECT_TRUE((*worker)->add_host({.ipv6 = {{address, 64}}, .leased_addresses = true}));
    auto started = AppEngine::start(std::move(*worker));
    EXPECT_TRUE(started.has_value());
    engine = std::move(*started);
    sockets = std::make_unique<AppSockets>(*engine);
  }
  ~AppProgram() { engine.reset(); }

  bool is_quiet() const {
    bool quiet = false;
    engine->exclusively(
        [&](Worker& worker, Instant /*now*/) { quiet = worker.pool().in_use() == 0; },
        AppEngine::Turn::kNone);
    return quiet;
  }

  std::unique_ptr<AppEngine> engine;
  std::unique_ptr<AppSockets> sockets;
};

// Two programs, and a connection from the left one to the right one.
class AppPath {
 public:
  explicit AppPath(Duration delay) {
    auto wire = port::MemoryPort::create_pair({});
    EXPECT_TRUE(wire.has_value());
    left_ = std::make_unique<AppProgram>(std::move(wire->left), kNearEnd, delay);
    right_ = std::make_unique<AppProgram>(std::move(wire->right), kFarEnd, delay);
  }
  // Packets change hands on this wire: none may be under way when a pool goes.
  ~AppPath() {
    EXPECT_TRUE(until([this] { return left_->is_quiet() && right_->is_quiet(); }));
  }

  void connect(const client::Options& options = {}) {
    Socket* listener = open(*right_);
    listener->set_options(options);
    ASSERT_TRUE(listener->bind({.address = kFarEnd, .port = 80}, client::Sharing::kNone));
    ASSERT_TRUE(listener->listen(4));
    client = open(*left_);
    client->set_options(options);
    EXPECT_EQ(client->connect(Endpoint{kFarEnd, 80}).error(), Failure::kInProgress);
    ASSERT_TRUE(until([&] {
      return client->readiness(POLLOUT) == POLLOUT && listener->readiness(POLLIN) == POLLIN;
    }));
    server = *listener->accept();
  }

  // What `from` takes, and has sent as far as it can, while nobody reads.
  std::size_t fill(Socket* from) {
    const std::string block(100'000, 'x');
    const iovec part{.iov_base = const_cast<char*>(block.data()), .iov_len = block.size()};
    std::size_t taken = 0;
    Instant last = monotonic_now();
    EXPECT_TRUE(until([&] {
      const auto size = from->send({&part, 1}, std::nullopt);
      if (size) {
        taken += *size;
        last = monotonic_now();
      }
      return monotonic_now() - last > std::chrono::milliseconds(300);
    }));
    return taken;
  }

  void close() {
    client->close(true);
    server->close(true);
  }

  Socket* client = nullptr;
  Socket* server = nullptr;

 private:
  static Socket* open(AppProgram& program) {
    auto socket = program.sockets->open(client::SocketType::kStream);
    EXPECT_TRUE(socket.has_value());
    return *socket;
  }
  // Drives both until `done`; false if it does not come to pass in 30 seconds.
  template <typename Done>
  bool until(Done done) {
    const Instant end = monotonic_now() + std::chrono::seconds(30);
    while (!done()) {
      if (monotonic_now() > end) return false;
      left_->sockets->poll();
      right_->sockets->poll();
      std::this_thread::yield();
    }
    return true;
  }

  std::unique_ptr<AppProgram> left_;
  std::unique_ptr<AppProgram> right_;
};

// A window of the far one's size lies unread with the peer, and as much waits here.
TEST(AppStream, HoldsWhatAFarPathHolds) {
  AppPath path(std::chrono::milliseconds(5));
  path.connect();
  EXPECT_GT(path.fill(path.client), 7 * kMebibyte) << "of who connects";
  EXPECT_GT(path.fill(path.server), 7 * kMebibyte) << "of who accepts";
  path.close();
}

TEST(AppStream, OfAProgramThatChoseItsBuffersKeepsThem) {
  AppPath path(std::chrono::milliseconds(5));
  path.connect({.send_buffer = kMebibyte / 4, .receive_buffer = kMebibyte / 4});
  EXPECT_LE(path.fill(path.client), kMebibyte / 2);
  EXPECT_LE(path.fill(path.server), kMebibyte / 2);
  path.close();
}

}  // namespace
}  // namespace tideline::engine
