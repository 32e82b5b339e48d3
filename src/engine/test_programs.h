// SPDX-License-Identifier: Apache-2.0
// Two programs with sockets, in either placement, in real time. `app`: their engines run in them,
// joined by a wire in memory. `frontend`: they are at two front ends, joined likewise. For tests.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "client/queue_sockets.h"
#include "engine/app_sockets.h"
#include "engine/queue_server.h"
#include "port/memory.h"

namespace tideline::engine::test {

using client::Endpoint;
using client::Failure;
using client::Sharing;
using client::Socket;
using client::SocketType;

inline constexpr wire::Ipv6Address kAny;
inline constexpr wire::Ipv6Address kLeft(0x20010db800000000, 1);
inline constexpr wire::Ipv6Address kRight(0x20010db800000000, 2);
// The same hosts in IPv4.
inline constexpr wire::Ipv6Address kLeft4 = wire::Ipv6Address::mapped({198, 18, 0, 1});
inline constexpr wire::Ipv6Address kRight4 = wire::Ipv6Address::mapped({198, 18, 0, 2});

enum class Placement : std::uint8_t { kApp, kFrontEnd };

// A worker on a thread of its own, and its server.
class FrontEnd final : private Task {
 public:
  explicit FrontEnd(std::unique_ptr<Worker> worker) : worker_(std::move(worker)) {
    UniqueFd listening(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    // In a folder: programs attach by a path.
    char folder[] = "/tmp/tideline-sockets-test-XXXXXX";
    EXPECT_NE(::mkdtemp(folder), nullptr);
    folder_ = folder;
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    path().copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(::bind(listening.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(::listen(listening.get(), 8), 0);
    auto server = QueueServer::create(*worker_, std::move(listening),
                                      [](const ucred&) { return ClientPolicy{.admitted = true}; });
    EXPECT_TRUE(server.has_value());
    server_ = std::move(*server);
    worker_->set_service(&*server_);
    worker_->pool().disown();
    thread_ = std::thread([this] {
      worker_->pool().adopt();
      worker_->run(*this);
      worker_->pool().disown();
    });
  }
  ~FrontEnd() {
    worker_->stop();
    thread_.join();
    worker_->pool().adopt();
    worker_->set_service(nullptr);
    ::unlink(path().c_str());
    ::rmdir(folder_.c_str());
    worker_.reset();
  }
  std::string path() const { return folder_ + "/attach"; }
  Worker& worker() { return *worker_; }

 private:
  Instant next_deadline() const override { return kNever; }
  void run_timers(Instant /*now*/) override {}
  bool is_done() const override { return false; }

  std::string folder_;
  std::unique_ptr<QueueServer> server_;
  std::unique_ptr<Worker> worker_;
  std::thread thread_;
};

struct Program {
  std::unique_ptr<AppEngine> engine;
  std::unique_ptr<AppSockets> app;
  std::unique_ptr<FrontEnd> front_end;
  std::unique_ptr<client::QueueSockets> attached;
  client::Sockets* sockets = nullptr;

  ~Program() {
    engine.reset();
    // Never freed once it serves: its thread looks at it.
    // NOLINTNEXTLINE(bugprone-unhandled-exception-at-new): a test may end by it
    static auto& kept = *new std::vector<client::QueueSockets*>;
    kept.push_back(attached.release());
    front_end.reset();
  }
  bool look(const std::function<void(Worker&)>& with) {
    if (front_end != nullptr) {
      return front_end->worker().ask([&](Instant) { with(front_end->worker()); },
                                     std::chrono::seconds(1));
    }
    engine->exclusively([&](Worker& worker, Instant /*now*/) { with(worker); },
                        AppEngine::Turn::kNone);
    return true;
  }
};

class TwoPrograms : public ::testing::TestWithParam<Placement> {
 protected:
  void SetUp() override {
    auto wire = port::MemoryPort::create_pair({});
    ASSERT_TRUE(wire.has_value());
    start(left_, std::move(wire->left), kLeft, kLeft4);
    start(right_, std::move(wire->right), kRight, kRight4);
  }

  // Packets change hands on this wire: none may be under way when a pool goes.
  void TearDown() override {
    if (GetParam() == Placement::kFrontEnd && left_.front_end == nullptr) return;
    EXPECT_TRUE(until([this] { return is_quiet(left_) && is_quiet(right_); }));
  }
  static bool is_quiet(Program& program) {
    bool quiet = false;
    program.look([&](Worker& worker) { quiet = worker.pool().in_use() == 0; });
    return quiet;
  }

  static void start(Program& program, std::unique_ptr<port::Port> port,
                    const wire::Ipv6Address& address, const wire::Ipv6Address& address4) {
    auto pool = packet::Pool::create({.segments = 2048, .loans = 1024, .huge_pages = false});
    ASSERT_TRUE(pool.has_value());
    auto worker = Worker::create(std::move(*pool), std::move(port), address.low());
    ASSERT_TRUE(worker.has_value());
    ASSERT_TRUE((*worker)->add_host({.ipv4 = {{address4.mapped_ipv4(), 24}},
                                     .ipv6 = {{address, 64}},
                                     .leased_addresses = true}));
    if (GetParam() == Placement::kFrontEnd) {
      program.front_end = std::make_unique<FrontEnd>(std::move(*worker));
      auto attached = client::QueueSockets::attach(program.front_end->path(), "test");
      ASSERT_TRUE(attached.has_value()) << attached.error().message();
      program.attached = std::move(*attached);
      program.sockets = &*program.attached;
      return;
    }
    auto engine = AppEngine::start(std::move(*worker));
    ASSERT_TRUE(engine.has_value());
    program.engine = std::move(*engine);
    program.app = std::make_unique<AppSockets>(*program.engine);
    program.sockets = &*program.app;
  }

  // Drives both until `done`; false if it does not come to pass in 20 seconds.
  template <typename Done>
  bool until(Done done) {
    const Instant end = monotonic_now() + std::chrono::seconds(20);
    while (!done()) {
      if (monotonic_now() > end) return false;
      left_.sockets->poll();
      right_.sockets->poll();
      std::this_thread::yield();
    }
    return true;
  }

  static Socket* open(Program& program, SocketType type = SocketType::kStream) {
    auto socket = program.sockets->open(type);
    EXPECT_TRUE(socket.has_value());
    return *socket;
  }

  static client::Outcome<std::size_t> send(Socket* socket, std::string_view text) {
    const iovec part{.iov_base = const_cast<char*>(text.data()), .iov_len = text.size()};
    return socket->send({&part, 1}, std::nullopt);
  }
  static std::string receive(Socket* socket, std::size_t most = 4096, bool peek = false) {
    std::string text(most, '\0');
    const iovec part{.iov_base = text.data(), .iov_len = text.size()};
    const auto got = socket->receive({&part, 1}, peek);
    text.resize(got ? got->size : 0);
    return text;
  }

  // A listener on the right, and a connection to it.
  void join() {
    listener_ = open(right_);
    ASSERT_TRUE(listener_->bind({.address = kAny, .port = 80}, Sharing::kNone));
    ASSERT_TRUE(listener_->listen(4));
    near_ = open(left_);
    EXPECT_EQ(near_->connect(Endpoint{kRight, 80}).error(), Failure::kInProgress);
    ASSERT_TRUE(until([&] {
      return near_->readiness(POLLOUT) == POLLOUT && listener_->readiness(POLLIN) == POLLIN;
    }));
    auto accepted = listener_->accept();
    ASSERT_TRUE(accepted.has_value());
    far_ = *accepted;
  }

  Program left_;
  Program right_;
  Socket* listener_ = nullptr;
  Socket* near_ = nullptr;
  Socket* far_ = nullptr;
};

}  // namespace tideline::engine::test
