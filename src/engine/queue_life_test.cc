// SPDX-License-Identifier: Apache-2.0
// Who holds sockets behind queue pairs: forks, tokens, deaths; and an engine that sleeps.
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <array>
#include <atomic>
#include <fstream>
#include <string>
#include <thread>

#include "engine/queue_test_client.h"

namespace tideline::engine {
namespace {

using client::Failure;
using client::SocketType;
using queue::Op;

std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count;
}

std::size_t mappings_of(const std::string& name) {
  std::ifstream maps("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);) {
    count += line.find(name) == std::string::npos ? 0 : 1;
  }
  return count;
}

class QueueLifeTest : public ::testing::Test {
 protected:
  // Through TCP; others go past it.
  TestEngine engine_{{.admitted = true}, false};
  RawClient left_{engine_};
  RawClient right_{engine_};

  void greet_both() {
    ASSERT_TRUE(left_.greet());
    ASSERT_TRUE(right_.greet());
  }
  bool until_idle() {
    return engine_.until([&] { return engine_.server().is_idle(); });
  }
};

TEST_F(QueueLifeTest, AChildHoldsWhatItsParentHeld) {
  greet_both();
  const auto [listener, near, far] = left_.join(right_, 80);
  const auto child = right_.fork();
  ASSERT_NE(child, nullptr);
  EXPECT_NE(child->welcome.channel, right_.welcome.channel);
  EXPECT_EQ(child->welcome.family, right_.welcome.family);
  // The parent lets go: the connection stays, for the child has it.
  EXPECT_EQ(right_.close(far), Failure::kNone);
  EXPECT_EQ(right_.close(listener), Failure::kNone);
  left_.write(near, "to the child");
  ASSERT_TRUE(engine_.until([&] { return far.in().readable() == 12; }));
  EXPECT_EQ(child->read(far), "to the child");
  child->write(far, "from the child");
  ASSERT_TRUE(engine_.until([&] { return near.in().readable() == 14; }));
  // And so does the listener.
  const auto second = left_.open();
  EXPECT_EQ(left_.connect_to(second, 80), Failure::kInProgress);
  ASSERT_TRUE(engine_.until([&] { return listener.page->waiting.load() == 1; }));
  EXPECT_EQ(child->failure_of_call({.op = Op::kAccept, .handle = listener.handle}), Failure::kNone);
  child->die();
  ASSERT_TRUE(engine_.until([&] { return near.has(queue::kPeerClosed | queue::kEnded); }));
}

TEST_F(QueueLifeTest, AChildThatNeverBeginsHoldsNothing) {
  greet_both();
  const auto [listener, near, far] = left_.join(right_, 80);
  EXPECT_EQ(right_.close(far), Failure::kNone);
  ASSERT_TRUE(right_.tell(queue::WishMessage{.wish = queue::Wish::kFork}));
  queue::Welcome welcome;
  EXPECT_EQ(right_.hear(welcome).size(), 3U);  // and all are closed again
  ASSERT_TRUE(engine_.until([&] { return engine_.server().clients() == 2; }));
  EXPECT_EQ(right_.close(listener), Failure::kNone);
  EXPECT_EQ(left_.connect_to(left_.open(), 80), Failure::kInProgress);
}

// Its locks are opened and its watchers forgotten, so that the others can go on.
TEST_F(QueueLifeTest, ADeathOpensLocks) {
  greet_both();
  const auto [listener, near, far] = left_.join(right_, 80);
  const auto child = left_.fork();
  ASSERT_NE(child, nullptr);
  near.page->sending = child->welcome.channel + 1U;
  near.page->receiving = left_.welcome.channel + 1U;
  near.page->watchers[2] = queue::WatcherSlot::make(child->welcome.channel, 0, 1);
  near.page->watchers[3] = queue::WatcherSlot::make(left_.welcome.channel, 0, 1);
  const std::uint64_t kept = near.page->watchers[3];
  child->die();
  ASSERT_TRUE(engine_.until([&] { return engine_.server().clients() == 2; }));
  EXPECT_EQ(near.page->sending.load(), 0U);
  EXPECT_EQ(near.page->receiving.load(), left_.welcome.channel + 1U);
  EXPECT_EQ(near.page->watchers[2].load(), 0U);
  EXPECT_EQ(near.page->watchers[3].load(), kept);
}

TEST_F(QueueLifeTest, ATokenHoldsASocketAndWhoSendsItMayUseIt) {
  greet_both();
  const auto [listener, near, far] = left_.join(right_, 80);
  ASSERT_TRUE(left_.tell(queue::WishMessage{.wish = queue::Wish::kToken, .number = near.handle}));
  left_.hint(0);
  queue::WishAnswer answer;
  auto token = left_.hear(answer);
  ASSERT_EQ(token.size(), 1U);
  EXPECT_EQ(answer.failure, 0U);
  sockaddr_un name{};
  socklen_t size = sizeof(name);
  ASSERT_EQ(::getpeername(token[0].get(), reinterpret_cast<sockaddr*>(&name), &size), 0);
  EXPECT_EQ(std::string_view(name.sun_path, queue::kTokenName.size()), queue::kTokenName);
  // The program is gone, the token is not.
  left_.die();
  ASSERT_TRUE(engine_.until([&] { return engine_.server().clients() == 1; }));
  EXPECT_FALSE(far.has(queue::kPeerClosed | queue::kEnded));

  RawClient heir(engine_);
  ASSERT_TRUE(heir.greet());
  const int fd = token[0].get();
  ASSERT_TRUE(heir.tell(queue::WishMessage{.wish = queue::Wish::kAdopt}, {&fd, 1}));
  heir.hint(0);
  heir.hear(answer);
  ASSERT_EQ(answer.failure, 0U);
  const auto where = heir.call({.op = Op::kDescribe, .handle = answer.number});
  EXPECT_NE(where.family, heir.welcome.family);
  const auto adopted = heir.socket_of(where);
  heir.write(adopted, "from the heir");
  ASSERT_TRUE(engine_.until([&] { return far.in().readable() == 13; }));
  // Only the heir holds it now.
  token.clear();
  engine_.turns(200);
  EXPECT_FALSE(far.has(queue::kPeerClosed | queue::kEnded));
  EXPECT_EQ(heir.close(adopted), Failure::kNone);
  ASSERT_TRUE(engine_.until([&] { return far.has(queue::kPeerClosed); }));
}

TEST_F(QueueLifeTest, ATokenIsTheLastHolder) {
  greet_both();
  const auto [listener, near, far] = left_.join(right_, 80);
  ASSERT_TRUE(left_.tell(queue::WishMessage{.wish = queue::Wish::kToken, .number = near.handle}));
  queue::WishAnswer answer;
  auto token = left_.hear(answer);
  EXPECT_EQ(left_.close(near), Failure::kNone);
  engine_.turns(200);
  EXPECT_FALSE(far.has(queue::kPeerClosed));
  token.clear();
  ASSERT_TRUE(engine_.until([&] { return far.has(queue::kPeerClosed); }));
}

TEST_F(QueueLifeTest, ADescriptorThatIsNoTokenAdoptsNothing) {
  ASSERT_TRUE(left_.greet());
  auto bell = queue::Doorbell::create();
  const int fd = bell->ringer.get();
  ASSERT_TRUE(left_.tell(queue::WishMessage{.wish = queue::Wish::kAdopt}, {&fd, 1}));
  queue::WishAnswer answer;
  left_.hear(answer);
  EXPECT_EQ(client::failure_from(answer.failure), Failure::kInvalid);
}

TEST_F(QueueLifeTest, WhatAProgramLeavesBehindIsGivenBack) {
  ASSERT_TRUE(right_.greet());
  const auto baseline = [&] {
    return engine_.server().clients() == 1 && engine_.server().sockets().in_use() == 0;
  };
  engine_.turns(50);
  // What the engine of the test before has had is closed by a thread that it does not wait for.
  std::size_t descriptors = open_descriptors();
  Instant since = monotonic_now();
  ASSERT_TRUE(engine_.until([&] {
    if (std::exchange(descriptors, open_descriptors()) != descriptors) since = monotonic_now();
    return monotonic_now() - since > std::chrono::milliseconds(100);
  }));
  const std::size_t families = mappings_of("tideline-family");
  for (int round = 0; round < 3; ++round) {
    auto client = std::make_unique<RawClient>(engine_);
    ASSERT_TRUE(client->greet());
    const auto pair = client->join(*client, static_cast<std::uint16_t>(80 + round));
    client->write(pair.near, std::string(100'000, 'x'));
    client->open(SocketType::kDatagram);
    auto child = client->fork();
    ASSERT_NE(child, nullptr);
    queue::WishAnswer answer;
    ASSERT_TRUE(child->tell(queue::WishMessage{.wish = queue::Wish::kToken, .number = 1}));
    const auto token = child->hear(answer);
    EXPECT_EQ(token.size(), 1U);
    client.reset();
    child.reset();
  }
  EXPECT_TRUE(engine_.until(baseline));
  EXPECT_TRUE(engine_.until([&] { return open_descriptors() <= descriptors; }))
      << open_descriptors() << " after " << descriptors;
  EXPECT_EQ(mappings_of("tideline-family"), families);
}

// FIFOs beyond the first few go back to the kernel when their sockets do.
TEST_F(QueueLifeTest, BigFifosGivePagesBack) {
  const auto family = *FamilyMemory::create({.most_memory = std::size_t{64} << 20});
  FamilyMemory& memory = *family;
  const auto blocks = [&] {
    struct stat status{};
    EXPECT_EQ(::fstat(memory.fd(), &status), 0);
    return static_cast<std::size_t>(status.st_blocks) * 512;
  };
  std::vector<FifoPlace> places;
  while (const auto place = memory.take_fifo(std::size_t{16} << 20)) {
    places.push_back(*place);
    std::ranges::fill(memory.bytes(*place), std::byte{1});
  }
  EXPECT_EQ(places.size(), 4U);
  EXPECT_GE(blocks(), std::size_t{64} << 20);
  for (const FifoPlace& place : places) memory.give_fifo(place);
  EXPECT_LE(blocks(), FamilyMemory::kLargestFifo);
  EXPECT_EQ(memory.fifo_bytes(), 0U);
}

TEST(FamilyMemory, PiecesJoinAgain) {
  const auto memory = *FamilyMemory::create({.most_memory = std::size_t{32} << 20});
  Rng rng(7);
  std::vector<FifoPlace> places;
  for (int i = 0; i < 2000; ++i) {
    if (rng.below(2) == 0 && !places.empty()) {
      std::swap(places[rng.below(places.size())], places.back());
      memory->give_fifo(places.back());
      places.pop_back();
    } else if (const auto place = memory->take_fifo(std::size_t{1} << (12 + rng.below(11)))) {
      for (const FifoPlace& other : places) {
        EXPECT_TRUE(place->offset + place->size <= other.offset ||
                    other.offset + other.size <= place->offset);
      }
      EXPECT_EQ(place->offset % place->size, 0U);
      places.push_back(*place);
    }
  }
  for (const FifoPlace& place : places) memory->give_fifo(place);
  EXPECT_TRUE(memory->take_fifo(FamilyMemory::kLargestFifo));
  EXPECT_TRUE(memory->take_fifo(FamilyMemory::kLargestFifo));
  EXPECT_FALSE(memory->take_fifo(1));
}

// A thousand programs that do nothing are not looked at.
TEST_F(QueueLifeTest, IdleChannelsSleepAndAreWoken) {
  engine_.policy().most_channels = 300;
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 200; ++i) {
    clients.push_back(std::make_unique<RawClient>(engine_));
    ASSERT_TRUE(clients.back()->greet());
  }
  const auto is_armed = [](auto& client) {
    return client->memory().engine.flag().sequence() % 2 == 1;
  };
  ASSERT_TRUE(engine_.until([&] { return std::ranges::all_of(clients, is_armed); }));
  EXPECT_GT(engine_.server().next_deadline(), monotonic_now());
  for (auto& client : clients) {
    const int before = client->rings;
    EXPECT_NE(client->open().handle, 0U);
    EXPECT_EQ(client->rings, before + 1);
  }
}

// --- An engine on a thread of its own, which sleeps as the product's does.

class Endless final : public Task {
 public:
  Instant next_deadline() const override { return kNever; }
  void run_timers(Instant /*now*/) override {}
  bool is_done() const override { return false; }
};

class QueueThreadTest : public QueueLifeTest {
 protected:
  void start() {
    engine_.worker().pool().disown();
    thread_ = std::thread([this] {
      engine_.worker().pool().adopt();
      Endless endless;
      engine_.worker().run(endless);
      engine_.worker().pool().disown();
    });
    engine_.stop_driving();
  }
  // `body` asks as a program of another user's, and gives 0 if it was answered rightly.
  template <typename Body>
  void as_another_user(const Body& body) {
    ASSERT_EQ(::getuid(), 0U) << "needs root, to be another user";
    ASSERT_EQ(::chmod(engine_.path().c_str(), 0777), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      engine_.stop_driving();
      constexpr uid_t kNobody = 65534;
      RawClient client(engine_);
      if (::setuid(kNobody) != 0 || !client.greet()) ::_exit(1);
      ::_exit(body(client));
    }
    start();
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  }
  void TearDown() override {
    if (!thread_.joinable()) return;
    engine_.worker().stop();
    thread_.join();
    engine_.worker().pool().adopt();
    engine_.drive_again();
  }

  std::thread thread_;
};

// Both sides sleep before each message; a lost wake-up is a test that hangs for 10 seconds.
TEST_F(QueueThreadTest, SleepersWakeEachOther) {
  start();
  greet_both();
  const auto [listener, near, far] = left_.join(right_, 80);
  const auto play = [](RawClient& client, const RawClient::Socket& socket, bool begins) {
    auto bell = queue::Doorbell::create();
    const int ringer = bell->ringer.get();
    ASSERT_TRUE(
        client.tell(queue::WishMessage{.wish = queue::Wish::kWaiter, .number = 0}, {&ringer, 1}));
    client.hint(0);
    socket.page->watchers[begins ? 0 : 1] = queue::WatcherSlot::make(client.welcome.channel, 0, 1);
    queue::HintBoard& board = client.memory().waiters[0];
    for (int i = 0; i < 200; ++i) {
      if (begins || i > 0) {
        ASSERT_EQ(client.write(socket, "x"), 1U);
      }
      // Now and then long enough for the engine to sleep, too.
      if (i % 16 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(3));
      while (client.read(socket).empty()) {
        board.arm();
        if (socket.in().readable() == 0) {
          pollfd entry{.fd = bell->sleeper.get(), .events = POLLIN, .revents = 0};
          ASSERT_EQ(::poll(&entry, 1, 10'000), 1) << "round " << i;
          char byte;
          ASSERT_EQ(::recv(bell->sleeper.get(), &byte, 1, 0), 1);
        }
        board.disarm();
        board.take([](unsigned /*hint*/) {});
      }
    }
    if (!begins) {
      EXPECT_EQ(client.write(socket, "x"), 1U);
    }
  };
  std::thread other([&] { play(right_, far, false); });
  play(left_, near, true);
  other.join();
}

// A token that came to another user, by whatever way, is of no use to him.
TEST_F(QueueThreadTest, AnotherUserAdoptsNothing) {
  ASSERT_TRUE(left_.greet());
  const auto socket = left_.open();
  ASSERT_TRUE(left_.tell(queue::WishMessage{.wish = queue::Wish::kToken, .number = socket.handle}));
  queue::WishAnswer answer;
  const auto token = left_.hear(answer);
  ASSERT_EQ(token.size(), 1U);
  as_another_user([&](RawClient& client) {
    const int fd = token[0].get();
    client.tell(queue::WishMessage{.wish = queue::Wish::kAdopt}, {&fd, 1});
    client.hint(0);
    client.hear(answer);
    return client::failure_from(answer.failure) == Failure::kNotPermitted ? 0 : 2;
  });
}

// Another user's program takes nothing of what comes to a socket: not by SO_REUSEPORT, which is
// among one user's programs, and not with an address that is more special, or less.
TEST_F(QueueThreadTest, AnotherUserBindsNothingBesideASocket) {
  constexpr std::uint16_t kGroup = queue::kShared | queue::kSharedPort;
  const auto bind = [](RawClient& client, client::SocketType type, std::uint16_t flags,
                       const client::Endpoint& local) {
    const auto socket = client.open(type);
    const auto response = client.call({.op = Op::kBind,
                                       .flags = flags,
                                       .handle = socket.handle,
                                       .endpoint = client::to_record(local)});
    const Failure failure = client::failure_from(response.failure);
    if (failure != Failure::kNone || type == client::SocketType::kDatagram) return failure;
    return client::failure_from(
        client.call({.op = Op::kListen, .handle = socket.handle, .number = 1}).failure);
  };
  ASSERT_TRUE(left_.greet());
  constexpr client::Endpoint kOne{.address = kOwn, .port = 90};
  constexpr client::Endpoint kAny{.address = {}, .port = 91};
  constexpr std::array kTypes{client::SocketType::kDatagram, client::SocketType::kStream};
  for (const client::SocketType type : kTypes) {
    for (const client::Endpoint& local : {kOne, kOne, kAny}) {
      EXPECT_EQ(bind(left_, type, kGroup, local), Failure::kNone);
    }
  }
  as_another_user([&](RawClient& client) {
    int step = 1;
    for (const client::SocketType type : kTypes) {
      for (const client::Endpoint& local :
           {kOne, kAny, client::Endpoint{.address = {}, .port = kOne.port},
            client::Endpoint{.address = kOwn, .port = kAny.port},
            client::Endpoint{.address = wire::Ipv6Address::mapped({0, 0, 0, 0}),
                             .port = kAny.port}}) {
        ++step;
        if (bind(client, type, kGroup, local) != Failure::kAddressInUse) return step;
      }
    }
    return 0;
  });
}

// A process is killed in the middle of a transfer: all that it held is given back, and its peer is
// told.
TEST_F(QueueThreadTest, AKilledProgramLeavesNothing) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    // The parent's engine is not here, but at the other end of the socket.
    engine_.stop_driving();
    RawClient client(engine_);
    while (!client.connect()) ::usleep(1000);
    if (!client.greet()) ::_exit(1);
    const auto near = client.open();
    while (!near.has(queue::kConnected)) {
      if (!near.has(queue::kConnecting)) client.connect_to(near, 80);
    }
    for (;;) client.write(near, "again and again");
  }
  start();
  ASSERT_TRUE(right_.greet());
  const auto listener = right_.open();
  ASSERT_EQ(right_.bind(listener, 80), Failure::kNone);
  ASSERT_EQ(right_.listen(listener), Failure::kNone);
  RawClient::Socket far;
  ASSERT_TRUE(engine_.until([&] {
    if (far.page == nullptr && listener.page->waiting.load() > 0) {
      far = right_.socket_of(right_.call({.op = Op::kAccept, .handle = listener.handle}));
    }
    return far.page != nullptr && !right_.read(far).empty();
  }));
  ::kill(child, SIGKILL);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(engine_.until([&] {
    right_.read(far);
    return far.has(queue::kPeerClosed | queue::kEnded);
  }));
  EXPECT_EQ(right_.close(far), Failure::kNone);
  EXPECT_EQ(right_.close(listener), Failure::kNone);
  ASSERT_TRUE(engine_.until([&] {
    std::size_t sockets = 1;
    EXPECT_TRUE(engine_.worker().ask(
        [&](Instant /*now*/) { sockets = engine_.server().sockets().in_use(); },
        std::chrono::seconds(10)));
    return sockets == 0;
  }));
}

}  // namespace
}  // namespace tideline::engine
