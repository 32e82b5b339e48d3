// SPDX-License-Identifier: Apache-2.0
// What client/sockets.h promises, in both placements, in real time. `app`: two programs whose
// engines run in them, joined by a wire in memory. `frontend`: two programs at two front ends,
// joined likewise.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "client/queue_sockets.h"
#include "engine/app_sockets.h"
#include "engine/queue_server.h"
#include "port/memory.h"

// A forked child attaches, and with that starts a thread, which ThreadSanitizer takes for a
// mistake. NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming): its name for
// it
extern "C" const char* __tsan_default_options() { return "die_after_fork=0"; }

namespace tideline::engine {
namespace {

using client::Endpoint;
using client::Failure;
using client::Sharing;
using client::Socket;
using client::SocketType;

constexpr wire::Ipv6Address kAny;
constexpr wire::Ipv6Address kLeft(0x20010db800000000, 1);
constexpr wire::Ipv6Address kRight(0x20010db800000000, 2);

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

class SocketsTest : public ::testing::TestWithParam<Placement> {
 protected:
  void SetUp() override {
    auto wire = port::MemoryPort::create_pair({});
    ASSERT_TRUE(wire.has_value());
    start(left_, std::move(wire->left), kLeft);
    start(right_, std::move(wire->right), kRight);
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
                    const wire::Ipv6Address& address) {
    auto pool = packet::Pool::create({.segments = 2048, .loans = 1024, .huge_pages = false});
    ASSERT_TRUE(pool.has_value());
    auto worker = Worker::create(std::move(*pool), std::move(port), address.low());
    ASSERT_TRUE(worker.has_value());
    ASSERT_TRUE((*worker)->add_host({.ipv6 = {{address, 64}}, .leased_addresses = true}));
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

TEST_P(SocketsTest, AStreamCarriesBytesBothWaysAndItsEnd) {
  join();
  EXPECT_EQ(far_->remote(), near_->local());
  EXPECT_EQ(near_->remote(), (Endpoint{kRight, 80}));
  EXPECT_EQ(near_->take_error(), Failure::kNone);
  EXPECT_EQ(send(near_, "question").value(), 8U);
  ASSERT_TRUE(until([&] { return far_->readable_bytes() == 8; }));
  EXPECT_EQ(receive(far_, 4, true), "ques");
  EXPECT_EQ(receive(far_, 4), "ques");
  EXPECT_EQ(receive(far_), "tion");
  EXPECT_EQ(far_->receive({}, false).value().size, 0U);
  EXPECT_EQ(send(far_, "answer").value(), 6U);
  ASSERT_TRUE(far_->shut_down(false, true));
  EXPECT_EQ(send(far_, "more").error(), Failure::kShutDown);
  ASSERT_TRUE(until([&] { return near_->readiness(POLLRDHUP) == POLLRDHUP; }));
  EXPECT_EQ(receive(near_), "answer");
  EXPECT_EQ(receive(near_), "");
  EXPECT_EQ(near_->readiness(POLLIN), POLLIN);
  near_->close(false);
  far_->close(false);
  listener_->close(false);
}

TEST_P(SocketsTest, AFullBufferSaysSoAndTellsWhenThereIsRoom) {
  join();
  auto waiter = left_.sockets->take_waiter();
  near_->watch(**waiter, 7);
  const std::string block(100'000, 'x');
  std::size_t sent = 0;
  // What is on its way makes room again where it arrives.
  Instant full_since = monotonic_now();
  ASSERT_TRUE(until([&] {
    const auto size = send(near_, block);
    sent += size.value_or(0);
    if (size) full_since = monotonic_now();
    return monotonic_now() - full_since > std::chrono::milliseconds(50);
  }));
  EXPECT_EQ(near_->readiness(POLLOUT), 0U);
  (*waiter)->take_hints([](unsigned /*hint*/) {});
  std::size_t received = 0;
  ASSERT_TRUE(until([&] {
    received += receive(far_, 1 << 20).size();
    return received == sent;
  }));
  ASSERT_TRUE(until([&] { return near_->readiness(POLLOUT) == POLLOUT; }));
  unsigned hint = 0;
  (*waiter)->take_hints([&](unsigned number) { hint = number; });
  EXPECT_EQ(hint, 7U);
  near_->close(false);
  left_.sockets->give_waiter(std::move(*waiter));
}

TEST_P(SocketsTest, UnreadBytesMakeACloseAReset) {
  join();
  ASSERT_TRUE(send(near_, "unread"));
  ASSERT_TRUE(until([&] { return far_->readable_bytes() == 6; }));
  far_->close(false);
  ASSERT_TRUE(until([&] { return (near_->readiness(0) & POLLERR) != 0; }));
  EXPECT_EQ(send(near_, "x").error(), Failure::kReset);
  EXPECT_EQ(send(near_, "x").error(), Failure::kShutDown);
  EXPECT_EQ(near_->receive({}, false).value().size, 0U);
}

TEST_P(SocketsTest, AClosedPortRefusesAndTheSocketCanTryAgain) {
  Socket* socket = open(left_);
  EXPECT_EQ(socket->connect(Endpoint{kRight, 81}).error(), Failure::kInProgress);
  ASSERT_TRUE(until([&] { return socket->readiness(POLLOUT) != 0; }));
  EXPECT_EQ(socket->take_error(), Failure::kRefused);
  listener_ = open(right_);
  ASSERT_TRUE(listener_->bind({.address = kAny, .port = 81}, Sharing::kNone));
  ASSERT_TRUE(listener_->listen(1));
  EXPECT_EQ(socket->connect(Endpoint{kRight, 81}).error(), Failure::kInProgress);
  ASSERT_TRUE(until([&] { return socket->readiness(POLLOUT) == POLLOUT; }));
  EXPECT_EQ(socket->take_error(), Failure::kNone);
}

TEST_P(SocketsTest, APortIsTakenUntilItsSocketCloses) {
  Socket* first = open(left_);
  ASSERT_TRUE(first->bind({.address = kAny, .port = 80}, Sharing::kAddress));
  Socket* second = open(left_);
  EXPECT_EQ(second->bind({.address = kAny, .port = 80}, Sharing::kNone).error(),
            Failure::kAddressInUse);
  EXPECT_EQ(second->bind({.address = kLeft, .port = 80}, Sharing::kNone).error(),
            Failure::kAddressInUse);
  ASSERT_TRUE(second->bind({.address = kAny, .port = 80}, Sharing::kAddress));
  ASSERT_TRUE(first->listen(1));
  EXPECT_EQ(second->listen(1).error(), Failure::kAddressInUse);
  first->close(false);
  EXPECT_TRUE(second->listen(1));
}

TEST_P(SocketsTest, DatagramsComeWholeOneByOne) {
  Socket* server = open(right_, SocketType::kDatagram);
  ASSERT_TRUE(server->bind({.address = kAny, .port = 53}, Sharing::kNone));
  Socket* asker = open(left_, SocketType::kDatagram);
  EXPECT_EQ(send(asker, "to nobody").error(), Failure::kNoDestination);
  ASSERT_TRUE(asker->connect(Endpoint{kRight, 53}));
  ASSERT_TRUE(send(asker, std::string(20'000, 'a')));
  ASSERT_TRUE(send(asker, ""));
  ASSERT_TRUE(send(asker, "third"));
  ASSERT_TRUE(until([&] { return server->readable_bytes() == 20'000; }));
  std::string buffer(10, '\0');
  const iovec part{.iov_base = buffer.data(), .iov_len = buffer.size()};
  auto got = server->receive({&part, 1}, true);
  EXPECT_EQ(got->whole, 20'000U);
  got = server->receive({&part, 1}, false);
  EXPECT_EQ(got->size, 10U);
  EXPECT_EQ(got->from, asker->local());
  ASSERT_TRUE(until([&] { return server->readiness(POLLIN) == POLLIN; }));
  EXPECT_EQ(server->receive({&part, 1}, false)->whole, 0U);
  ASSERT_TRUE(until([&] { return server->readable_bytes() == 5; }));
  EXPECT_EQ(receive(server), "third");
  server->close(false);
  ASSERT_TRUE(send(asker, "anybody?"));
  ASSERT_TRUE(until([&] { return (asker->readiness(0) & POLLERR) != 0; }));
  EXPECT_EQ(asker->take_error(), Failure::kRefused);
}

// A thread writes, another reads, each in its own program; helpers serve meanwhile.
TEST_P(SocketsTest, MegabytesArriveAsTheyWereSentBetweenThreads) {
  join();
  constexpr std::size_t kTotal = 8 << 20;
  std::thread reader([&] {
    std::size_t at = 0;
    std::vector<unsigned char> bytes(70'000);
    while (at < kTotal) {
      const iovec part{.iov_base = bytes.data(), .iov_len = bytes.size()};
      const auto got = far_->receive({&part, 1}, false);
      if (!got) {
        right_.sockets->poll();
        std::this_thread::yield();
        continue;
      }
      ASSERT_GT(got->size, 0U);
      for (std::size_t i = 0; i < got->size; ++i) {
        ASSERT_EQ(bytes[i], static_cast<unsigned char>((at + i) * 7 >> 3));
      }
      at += got->size;
    }
  });
  std::vector<unsigned char> all(kTotal);
  for (std::size_t i = 0; i < kTotal; ++i) all[i] = static_cast<unsigned char>(i * 7 >> 3);
  for (std::size_t sent = 0; sent < kTotal;) {
    const iovec part{.iov_base = all.data() + sent,
                     .iov_len = std::min<std::size_t>(kTotal - sent, 300'000)};
    const auto size = near_->send({&part, 1}, std::nullopt);
    if (size) {
      sent += *size;
    } else {
      left_.sockets->poll();
      std::this_thread::yield();
    }
  }
  reader.join();
}

TEST_P(SocketsTest, AForkedChildOfAnEngineIsRefusedAndTheParentGoesOn) {
  if (GetParam() != Placement::kApp) GTEST_SKIP() << "its children have an engine";
  join();
  const pid_t child = ::fork();
  if (child == 0) {
    const bool refused = !left_.sockets->is_alive() && !left_.sockets->open(SocketType::kStream) &&
                         send(near_, "x").error() == Failure::kForked;
    ::_exit(refused ? 0 : 1);
  }
  int status = 1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  ASSERT_TRUE(send(near_, "parent"));
  ASSERT_TRUE(until([&] { return receive(far_) == "parent"; }));
}

// The connection lives until the last of both has let go of it.
TEST_P(SocketsTest, AForkedChildOfAFrontEndsSharesItsParentsSockets) {
  if (GetParam() != Placement::kFrontEnd) GTEST_SKIP() << "its children have no engine";
  join();
  left_.sockets->before_fork();
  const pid_t child = ::fork();
  if (child == 0) {
    bool good = left_.sockets->after_fork_in_child();
    good &= send(near_, "child").has_value();
    Socket* own = open(left_);
    good &= own->bind({.address = kAny, .port = 90}, Sharing::kNone).has_value();
    near_->close(false);
    ::_exit(good ? 0 : 1);
  }
  left_.sockets->after_fork_in_parent();
  int status = 1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  ASSERT_TRUE(until([&] { return receive(far_) == "child"; }));
  ASSERT_TRUE(send(near_, "parent"));
  ASSERT_TRUE(until([&] { return receive(far_) == "parent"; }));
  // What the child had alone is closed with it.
  Socket* own = open(left_);
  EXPECT_TRUE(
      until([&] { return own->bind({.address = kAny, .port = 90}, Sharing::kNone).has_value(); }));
}

TEST_P(SocketsTest, ATokenStandsForASocket) {
  join();
  auto token = near_->token();
  if (GetParam() == Placement::kApp) {
    EXPECT_EQ(token.error(), Failure::kNotSupported);
    return;
  }
  ASSERT_TRUE(token.has_value());
  near_->close(false);
  const auto adopted = left_.sockets->adopt(token->get());
  ASSERT_TRUE(adopted.has_value());
  token->reset();
  EXPECT_EQ(adopted->type, SocketType::kStream);
  EXPECT_EQ(adopted->socket->local(), far_->remote());
  ASSERT_TRUE(send(adopted->socket, "adopted"));
  ASSERT_TRUE(until([&] { return receive(far_) == "adopted"; }));
  adopted->socket->close(false);
  EXPECT_TRUE(until([&] { return far_->readiness(POLLRDHUP) != 0; }));
  EXPECT_FALSE(left_.sockets->adopt(STDIN_FILENO).has_value());
}

TEST_P(SocketsTest, AFrontEndThatGoesIsToldToAll) {
  if (GetParam() != Placement::kFrontEnd) GTEST_SKIP() << "the engine goes with the program";
  join();
  auto waiter = left_.sockets->take_waiter();
  near_->watch(**waiter, 3);
  (*waiter)->arm();
  left_.front_end.reset();
  pollfd bell{.fd = (*waiter)->doorbell(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&bell, 1, 10'000), 1);
  EXPECT_NE(near_->readiness(0) & POLLHUP, 0U);
  const iovec nothing{};
  EXPECT_EQ(send(near_, "x").error(), Failure::kReset);
  EXPECT_FALSE(near_->receive({&nothing, 0}, false).has_value());
  EXPECT_EQ(left_.sockets->open(SocketType::kStream).error(), Failure::kReset);
  far_->close(true);
  right_.front_end.reset();
  left_.sockets->give_waiter(std::move(*waiter));
}

// Both sides sleep before each message: on the wire where they may, on their doorbells otherwise.
void play(client::Sockets& sockets, Socket& socket, int rounds, bool begins, bool drives) {
  auto waiter = sockets.take_waiter();
  ASSERT_TRUE(waiter.has_value());
  socket.watch(**waiter, 0);
  char byte = 'x';
  const iovec part{.iov_base = &byte, .iov_len = 1};
  for (int i = 0; i < rounds; ++i) {
    if (begins || i > 0) {
      ASSERT_TRUE(socket.send({&part, 1}, std::nullopt));
    }
    client::Outcome<client::Received> got;
    while (!(got = socket.receive({&part, 1}, false))) {
      ASSERT_EQ(got.error(), Failure::kWouldBlock);
      (*waiter)->arm();
      const client::Sockets::Sleep sleep = sockets.begin_sleep(drives);
      if (!(*waiter)->has_hints()) {
        pollfd fds[2] = {{.fd = (*waiter)->doorbell(), .events = POLLIN, .revents = 0},
                         {.fd = sleep.descriptor, .events = POLLIN, .revents = 0}};
        // Far longer than a lost wake-up would go unnoticed.
        const timespec patience{.tv_sec = 10, .tv_nsec = 0};
        ASSERT_GT(::ppoll(fds, 2, &patience, nullptr), 0) << "round " << i;
        std::uint64_t rings = 0;
        if (fds[0].revents != 0) {
          ASSERT_GT(::read((*waiter)->doorbell(), &rings, sizeof(rings)), 0);
        }
      }
      (*waiter)->disarm();
      (*waiter)->take_hints([](unsigned /*hint*/) {});
      sockets.end_sleep(sleep);
    }
  }
  if (!begins) {
    EXPECT_TRUE(socket.send({&part, 1}, std::nullopt));
  }
  socket.unwatch(**waiter, 0);
  sockets.give_waiter(std::move(*waiter));
}

TEST_P(SocketsTest, SleepersWakeEachOtherOverTheWireAndByDoorbell) {
  join();
  for (const auto& [near_drives, far_drives] :
       {std::pair(true, true), std::pair(false, false), std::pair(true, false)}) {
    std::thread far([&, drives = far_drives] { play(*right_.sockets, *far_, 300, false, drives); });
    play(*left_.sockets, *near_, 300, true, near_drives);
    far.join();
  }
}

// Another thread of the program calls all the time: it takes the wire from the sleeper, and tells
// it.
TEST_P(SocketsTest, ASleeperOnTheWireIsToldByThoseWhoCall) {
  join();
  std::atomic<bool> stop{false};
  std::thread caller([&] {
    while (!stop) {
      left_.sockets->poll();
      std::this_thread::yield();
    }
  });
  std::thread far([&] { play(*right_.sockets, *far_, 300, false, true); });
  play(*left_.sockets, *near_, 300, true, true);
  far.join();
  stop = true;
  caller.join();
}

TEST_P(SocketsTest, OptionsSetAfterListenAreForWhoIsAcceptedLater) {
  join();
  EXPECT_EQ(far_->info().congestion, client::Congestion::kCubic);
  listener_->set_options({.congestion = client::Congestion::kBbr});
  Socket* later = open(left_);
  EXPECT_EQ(later->connect(Endpoint{kRight, 80}).error(), Failure::kInProgress);
  ASSERT_TRUE(until([&] { return listener_->readiness(POLLIN) == POLLIN; }));
  const auto accepted = listener_->accept();
  ASSERT_TRUE(accepted.has_value());
  EXPECT_EQ((*accepted)->info().congestion, client::Congestion::kBbr);
  EXPECT_GT((*accepted)->info().pacing_rate, 0U);
  EXPECT_EQ(far_->info().congestion, client::Congestion::kCubic);
}

TEST_P(SocketsTest, FinishSendsWhatWasWritten) {
  join();
  ASSERT_TRUE(send(near_, "last words"));
  std::thread peer([&] {
    EXPECT_TRUE(until([&] { return far_->readiness(POLLRDHUP) != 0; }));
    EXPECT_EQ(receive(far_), "last words");
  });
  left_.sockets->finish(std::chrono::seconds(5));
  // A front end closes what its program leaves open when that has gone.
  if (GetParam() == Placement::kFrontEnd) near_->close(false);
  peer.join();
}

INSTANTIATE_TEST_SUITE_P(Placements, SocketsTest,
                         ::testing::Values(Placement::kApp, Placement::kFrontEnd),
                         [](const auto& each) {
                           return each.param == Placement::kApp ? "app" : "frontend";
                         });

}  // namespace
}  // namespace tideline::engine
