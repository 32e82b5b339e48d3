// SPDX-License-Identifier: Apache-2.0
// Programs that break the rules of the queue pair, by one or in all that they can write, beside
// programs that keep them: docs/queue-pair.md, "Trust" and "Two classic failures".
#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <functional>
#include <string>

#include "base/random.h"
#include "engine/queue_test_client.h"

namespace tideline::engine {
namespace {

using client::Failure;
using client::SocketType;
using queue::Op;
using queue::Wish;
using queue::WishMessage;

// A connection that keeps the rules, and notices if its bytes are not what they were.
class Transfer {
 public:
  explicit Transfer(TestEngine& engine) : writer_(engine), reader_(engine) {
    EXPECT_TRUE(writer_.greet() && reader_.greet());
    pair_ = writer_.join(reader_, 7);
  }

  void step() {
    sent_ += writer_.write(pair_.near, pattern(sent_, 20'000));
    const std::string text = reader_.read(pair_.far);
    EXPECT_TRUE(text == pattern(received_, text.size())) << "at byte " << received_;
    received_ += text.size();
  }
  std::size_t received() const { return received_; }

 private:
  RawClient writer_;
  RawClient reader_;
  RawClient::Pair pair_;
  std::size_t sent_ = 0;
  std::size_t received_ = 0;
};

class QueueHostileTest : public ::testing::Test {
 protected:
  TestEngine engine_;
  RawClient client_{engine_};

  // The channel ends for that reason, and others do not notice.
  void expect_end(RawClient& client, EndReason reason) {
    EXPECT_TRUE(engine_.until([&] { return client.is_ended(); }));
    EXPECT_EQ(engine_.server().ended(reason), 1U) << name_of(reason);
  }
};

// --- One rule at a time.

TEST_F(QueueHostileTest, AGreetingThatIsNoneEndsIt) {
  ASSERT_TRUE(client_.connect());
  ASSERT_TRUE(client_.tell(queue::Hello{.magic = 1}));
  expect_end(client_, EndReason::kBadHello);
  RawClient silent(engine_);
  ASSERT_TRUE(silent.connect());
  engine_.turns(100);
  engine_.worker().turn(monotonic_now() + std::chrono::seconds(6));
  expect_end(silent, EndReason::kSilent);
}

TEST_F(QueueHostileTest, AnUnknownOperationEndsIt) {
  ASSERT_TRUE(client_.greet());
  client_.ask({.op = static_cast<Op>(1000)});
  expect_end(client_, EndReason::kBadCall);
}

TEST_F(QueueHostileTest, TwoCallsAtOnceEndIt) {
  ASSERT_TRUE(client_.greet());
  client_.memory().call.asked = 2;
  client_.hint(0);
  expect_end(client_, EndReason::kBadCall);
}

TEST_F(QueueHostileTest, AForeignHandleEndsIt) {
  ASSERT_TRUE(client_.greet());
  RawClient other(engine_);
  ASSERT_TRUE(other.greet());
  const auto socket = other.open();
  client_.ask({.op = Op::kClose, .handle = socket.handle});
  expect_end(client_, EndReason::kBadHandle);
  EXPECT_EQ(other.close(socket), Failure::kNone);
}

TEST_F(QueueHostileTest, ImpossibleIndicesEndIt) {
  const std::vector<std::function<void(const RawClient::Socket&)>> breaches = {
      [](const auto& socket) { socket.page->outgoing.written = UINT64_MAX; },
      [](const auto& socket) { socket.page->outgoing.written = socket.out().size() * 1000; },
      [](const auto& socket) { socket.page->outgoing.written = 3; },  // was 4
      [](const auto& socket) { socket.page->incoming.consumed = 1; },
      [](const auto& socket) { socket.page->incoming.consumed = UINT64_MAX; },
  };
  std::uint64_t ended = 0;
  for (const auto& breach : breaches) {
    RawClient client(engine_);
    ASSERT_TRUE(client.greet());
    const auto pair = client.join(client, 80);
    client.write(pair.near, "four");
    ASSERT_TRUE(engine_.until([&] { return pair.far.in().readable() == 4; }));
    breach(pair.near);
    client.hint(pair.near.handle);
    EXPECT_TRUE(engine_.until([&] { return client.is_ended(); }));
    EXPECT_EQ(engine_.server().ended(EndReason::kBadIndex), ++ended);
    ASSERT_TRUE(engine_.until([&] { return engine_.server().is_idle(); }));
  }
}

TEST_F(QueueHostileTest, ADatagramBeyondItsFifoEndsIt) {
  std::uint64_t ended = 0;
  for (const std::uint64_t written : {8U, 48U, 64U}) {
    RawClient client(engine_);
    ASSERT_TRUE(client.greet());
    const auto socket = client.open(SocketType::kDatagram);
    const queue::DatagramRecord record{.size = 1000};
    std::ranges::copy(std::as_bytes(std::span(&record, 1)),
                      socket.out().piece(0, sizeof(record)).begin());
    socket.page->outgoing.written = written;
    client.hint(socket.handle);
    EXPECT_TRUE(engine_.until([&] { return client.is_ended(); }));
    EXPECT_EQ(engine_.server().ended(EndReason::kBadDatagram), ++ended);
  }
}

TEST_F(QueueHostileTest, WishesThatAreNoneEndIt) {
  const auto fd = queue::Doorbell::create();
  const int ringer = fd->ringer.get();
  const std::array<int, 2> two = {ringer, ringer};
  struct Case {
    WishMessage wish;
    std::span<const int> fds;
    EndReason reason;
  };
  const int no_socket = ::eventfd(0, 0);
  RawClient other(engine_);
  ASSERT_TRUE(other.greet());
  const std::vector<Case> cases = {
      {{.wish = static_cast<Wish>(77)}, {}, EndReason::kBadWish},
      {{.wish = Wish::kWaiter}, {}, EndReason::kBadWish},
      {{.wish = Wish::kWaiter}, {&no_socket, 1}, EndReason::kBadWish},
      {{.wish = Wish::kWaiter}, two, EndReason::kBadWish},
      {{.wish = Wish::kWaiter, .number = 128}, {&ringer, 1}, EndReason::kBadWish},
      {{.wish = Wish::kFork}, {&ringer, 1}, EndReason::kBadWish},
      {{.wish = Wish::kFamily, .number = 9999}, {}, EndReason::kBadWish},
      {{.wish = Wish::kFamily, .number = other.welcome.family}, {}, EndReason::kBadWish},
      {{.wish = Wish::kToken, .number = 5}, {}, EndReason::kBadHandle},
  };
  for (const Case& each : cases) {
    const std::uint64_t before = engine_.server().ended(each.reason);
    RawClient client(engine_);
    ASSERT_TRUE(client.greet());
    ASSERT_TRUE(client.tell(each.wish, each.fds));
    EXPECT_TRUE(engine_.until([&] { return client.is_ended(); }));
    EXPECT_EQ(engine_.server().ended(each.reason), before + 1);
  }
  ::close(no_socket);
}

TEST_F(QueueHostileTest, WhoReadsNoAnswersEnds) {
  ASSERT_TRUE(client_.greet());
  const WishMessage wish{.wish = Wish::kFamily, .number = client_.welcome.family};
  ASSERT_TRUE(engine_.until([&] {
    return ::send(client_.attach.get(), &wish, sizeof(wish), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
           errno == EPIPE;
  }));
  EXPECT_EQ(engine_.server().ended(EndReason::kDeaf), 1U);
}

TEST_F(QueueHostileTest, ForksAreCounted) {
  engine_.policy().most_channels = 20;
  ASSERT_TRUE(client_.greet());
  std::vector<std::unique_ptr<RawClient>> children;
  while (auto child = client_.fork()) children.push_back(std::move(child));
  EXPECT_EQ(children.size(), 19U);
  EXPECT_FALSE(client_.is_ended());
  EXPECT_NE(client_.open().handle, 0U);
  children.clear();
  client_.die();
  EXPECT_TRUE(engine_.until([&] { return engine_.server().is_idle(); }));
}

// --- The two classic failures.

// Both write until nothing moves, and neither reads: the engine waits for none of them, calls are
// answered, and as soon as one reads, all of it arrives.
TEST_F(QueueHostileTest, TwoThatOnlyWriteDoNotLockEachOther) {
  ASSERT_TRUE(client_.greet());
  RawClient other(engine_);
  ASSERT_TRUE(other.greet());
  const auto [listener, near, far] = client_.join(other, 80);
  const std::string block(50'000, 'w');
  std::array<std::size_t, 2> written{};
  int still = 0;
  ASSERT_TRUE(engine_.until([&] {
    const std::size_t one = client_.write(near, block);
    const std::size_t two = other.write(far, block);
    written[0] += one;
    written[1] += two;
    still = one + two == 0 ? still + 1 : 0;
    return still == 500;
  }));
  EXPECT_NE(client_.open().handle, 0U);
  EXPECT_NE(other.open(SocketType::kDatagram).handle, 0U);
  std::array<std::size_t, 2> read{};
  ASSERT_TRUE(engine_.until([&] {
    read[0] += other.read(far).size();
    return read[0] == written[0];
  }));
  ASSERT_TRUE(engine_.until([&] {
    read[1] += client_.read(near).size();
    return read[1] == written[1];
  }));
}

// Readers that never read take their own FIFOs' memory and no more: others go on.
TEST_F(QueueHostileTest, ReadersThatDoNotReadStarveNobodyElse) {
  Transfer transfer(engine_);
  ASSERT_TRUE(client_.greet());
  RawClient reader(engine_);
  ASSERT_TRUE(reader.greet());
  std::vector<RawClient::Pair> stuck;
  for (std::uint16_t port = 100; port < 116; ++port) stuck.push_back(client_.join(reader, port));
  const std::string block(100'000, 's');
  for (int i = 0; i < 200; ++i) {
    for (const auto& pair : stuck) client_.write(pair.near, block);
    engine_.turns(1);
  }
  const std::size_t before = transfer.received();
  ASSERT_TRUE(engine_.until([&] {
    for (const auto& pair : stuck) client_.write(pair.near, block);
    transfer.step();
    return transfer.received() >= before + (std::size_t{4} << 20);
  }));
}

// All hints of all words, again and again, for a thousand sockets: work is bounded in each turn.
TEST_F(QueueHostileTest, AStormOfHintsDelaysNobodyForLong) {
  ASSERT_TRUE(client_.greet());
  for (int i = 0; i < 1000; ++i) client_.open();
  Transfer transfer(engine_);
  ASSERT_TRUE(engine_.until([&] {
    for (std::uint32_t hint = 1; hint < 1100; ++hint) client_.memory().engine.hint(hint);
    client_.hint(1);
    transfer.step();
    return transfer.received() >= std::size_t{1} << 20;
  }));
  EXPECT_FALSE(client_.is_ended());
}

// --- All that it can write, while others transfer.

class Vandal {
 public:
  Vandal(TestEngine& engine, Rng& rng) : engine_(engine), rng_(rng), client_(engine) {
    EXPECT_TRUE(client_.greet());
    const auto pair = client_.join(client_, 1000);
    sockets_ = {pair.listener, pair.near, pair.far, client_.open(SocketType::kDatagram)};
    if (rng_.below(2) == 0) child_ = client_.fork();
  }

  // False: the engine has had enough.
  bool step() {
    switch (rng_.below(12)) {
      case 0:
        scribble(std::span(reinterpret_cast<std::byte*>(&client_.memory()),
                           sizeof(queue::ChannelMemory)));
        break;
      case 1:
      case 2:
        scribble(std::as_writable_bytes(std::span(any().page, 1)));
        break;
      case 3:
        move_index();
        break;
      case 4:
        scribble(any().family->bytes().subspan(queue::kFifosBegin, std::size_t{1} << 20));
        break;
      case 5:
        wish();
        break;
      case 6:
        set_watchers();
        break;
      case 7:
      case 8:
        call();
        break;
      case 9:
        client_.write(any(), std::string(rng_.below(100'000), 'v'));
        break;
      case 10:
        client_.read(any());
        if (rng_.below(10) == 0) engine_.skip(std::chrono::seconds(1));
        break;
      default:
        if (rng_.below(40) == 0) client_.die();
        break;
    }
    if (client_.bell) client_.hint(static_cast<std::uint32_t>(rng_.below(6)));
    return client_.attach && !client_.is_ended();
  }

 private:
  RawClient::Socket& any() { return sockets_[rng_.below(sockets_.size())]; }
  void scribble(std::span<std::byte> bytes) {
    for (int i = 0; i < 32; ++i) {
      bytes[rng_.below(bytes.size())] = static_cast<std::byte>(rng_.below(256));
    }
  }
  // By a little: what is nearly right goes further.
  void move_index() {
    queue::SocketPage& page = *any().page;
    std::atomic<std::uint64_t>* const indices[] = {&page.outgoing.written, &page.outgoing.consumed,
                                                   &page.incoming.written, &page.incoming.consumed};
    *indices[rng_.below(4)] += rng_.below(200'000) - (rng_.below(8) == 0 ? 1000 : 0);
  }
  void wish() {
    WishMessage wish{.wish = static_cast<Wish>(rng_.below(6)),
                     .number = static_cast<std::uint32_t>(rng_.below(8))};
    const int fd = client_.bell.get();
    const std::span<const int> fds(&fd, fd >= 0 && rng_.below(2) == 0 ? 1 : 0);
    if (client_.attach) client_.tell(wish, fds);
    std::array<std::byte, 512> answer;
    while (take_answer(answer)) {
    }
  }
  bool take_answer(std::span<std::byte> into) {
    char byte;
    if (::recv(client_.attach.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK) <= 0) return false;
    return receive_with_fds(client_.attach.get(), into).has_value();
  }
  void set_watchers() {
    for (auto& watcher : any().page->watchers) {
      watcher = queue::WatcherSlot::make(static_cast<std::uint16_t>(rng_.below(8)),
                                         static_cast<std::uint16_t>(rng_.below(200)),
                                         static_cast<unsigned>(rng_.below(5000)));
    }
  }
  void call() {
    queue::Request request{.op = static_cast<Op>(rng_.below(12)),
                           .flags = static_cast<std::uint16_t>(rng_.below(64)),
                           .handle = static_cast<std::uint32_t>(rng_.below(6)),
                           .number = static_cast<std::uint32_t>(rng_.below(4))};
    if (rng_.below(2) == 0) {
      request.endpoint = client::to_record(client::Endpoint{
          .address = kOwn, .port = static_cast<std::uint16_t>(1000 + rng_.below(3))});
    } else {
      scribble(std::as_writable_bytes(std::span(&request.endpoint, 1)));
    }
    scribble(std::as_writable_bytes(std::span(&request.options, 1)));
    queue::CallSlot& slot = client_.memory().call;
    if (slot.asked.load() != slot.answered.load()) return;
    slot.request = request;
    slot.asked.fetch_add(1);
    client_.memory().engine.hint(0);
  }

  TestEngine& engine_;
  Rng& rng_;
  RawClient client_;
  std::unique_ptr<RawClient> child_;
  std::vector<RawClient::Socket> sockets_;
};

TEST_F(QueueHostileTest, GarbageHurtsNobodyElse) {
  const char* chosen = std::getenv("TIDELINE_TEST_SEED");
  const std::uint64_t first = chosen == nullptr ? 1 : std::strtoull(chosen, nullptr, 10);
  Transfer transfer(engine_);
  for (std::uint64_t seed = first; seed < first + (chosen == nullptr ? 60 : 1); ++seed) {
    SCOPED_TRACE(testing::Message() << "TIDELINE_TEST_SEED=" << seed);
    Rng rng(seed);
    Vandal vandal(engine_, rng);
    for (int i = 0; i < 400 && vandal.step(); ++i) {
      engine_.turns(1);
      transfer.step();
    }
  }
  const std::size_t before = transfer.received();
  ASSERT_TRUE(engine_.until([&] {
    transfer.step();
    return transfer.received() >= before + (std::size_t{1} << 20);
  }));
  ASSERT_TRUE(engine_.until(
      [&] { return engine_.server().clients() == 2 && engine_.server().sockets().in_use() == 3; }));
}

}  // namespace
}  // namespace tideline::engine
