// SPDX-License-Identifier: Apache-2.0
// The engine's half of the queue pair, with clients that keep the rules. Those that break them:
// queue_hostile_test.cc.
#include "engine/queue_server.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>

#include "engine/queue_test_client.h"

namespace tideline::engine {
namespace {

using client::Failure;
using client::SocketType;
using queue::Op;

class QueueServerTest : public ::testing::Test {
 protected:
  TestEngine engine_;
  RawClient left_{engine_};
  RawClient right_{engine_};

  void greet_both() {
    ASSERT_TRUE(left_.greet());
    ASSERT_TRUE(right_.greet());
  }
};

TEST_F(QueueServerTest, AProgramAttachesAndIsKnown) {
  queue::Hello hello;
  std::strncpy(hello.program.data(), "a\x01program", hello.program.size());
  ASSERT_TRUE(left_.greet(hello));
  std::vector<ClientInfo> clients;
  engine_.server().for_each_client([&](const ClientInfo& each) { clients.push_back(each); });
  ASSERT_EQ(clients.size(), 1U);
  EXPECT_EQ(clients[0].program, "a.program");
  EXPECT_EQ(clients[0].pid, ::getpid());
  EXPECT_EQ(clients[0].uid, ::getuid());
  left_.die();
  EXPECT_TRUE(engine_.until([&] { return engine_.server().is_idle(); }));
  EXPECT_EQ(engine_.server().ended(EndReason::kClosed), 1U);
}

TEST_F(QueueServerTest, AnotherVersionIsToldWhatToDo) {
  EXPECT_FALSE(left_.greet({.version = queue::kVersion + 1}));
  EXPECT_TRUE(left_.heard);
  EXPECT_NE(std::string(left_.welcome.reason.data()).find("one version"), std::string::npos);
  EXPECT_EQ(engine_.server().ended(EndReason::kVersion), 1U);
}

TEST_F(QueueServerTest, ThePolicyRefuses) {
  engine_.policy() = {.admitted = false, .reason = "not you"};
  EXPECT_FALSE(left_.greet());
  EXPECT_STREQ(left_.welcome.reason.data(), "not you");
  engine_.policy() = {.admitted = true, .most_channels = 1};
  EXPECT_TRUE(right_.greet());
  RawClient third(engine_);
  EXPECT_FALSE(third.greet());
  EXPECT_EQ(engine_.server().ended(EndReason::kRefused), 2U);
}

TEST_F(QueueServerTest, AStreamCarriesBytesBothWaysAndItsEnd) {
  greet_both();
  const auto [listener, near, far] = left_.join(right_, 80);
  EXPECT_TRUE(far.has(queue::kConnected));
  EXPECT_EQ(near.page->remote.port, 80);
  EXPECT_EQ(far.page->remote.port, near.page->local.port);
  EXPECT_EQ(left_.write(near, "question"), 8U);
  ASSERT_TRUE(engine_.until([&] { return far.in().readable() == 8; }));
  EXPECT_EQ(right_.read(far), "question");
  EXPECT_EQ(right_.write(far, "answer"), 6U);
  EXPECT_EQ(
      right_.failure_of_call({.op = Op::kShutDown, .flags = queue::kSending, .handle = far.handle}),
      Failure::kNone);
  ASSERT_TRUE(engine_.until([&] { return near.has(queue::kPeerClosed); }));
  EXPECT_EQ(left_.read(near), "answer");
  EXPECT_EQ(left_.close(near), Failure::kNone);
  ASSERT_TRUE(engine_.until([&] { return far.has(queue::kEnded); }));
  EXPECT_EQ(far.page->error.load(), 0U);
  EXPECT_EQ(right_.close(far), Failure::kNone);
  EXPECT_EQ(right_.close(listener), Failure::kNone);
  ASSERT_TRUE(engine_.until([&] { return engine_.server().sockets().in_use() == 0; }));
}

TEST_F(QueueServerTest, MegabytesArriveAsTheyWereSent) {
  greet_both();
  const auto [listener, near, far] = left_.join(right_, 80);
  constexpr std::size_t kTotal = std::size_t{8} << 20;
  std::size_t sent = 0;
  std::size_t received = 0;
  bool same = true;
  ASSERT_TRUE(engine_.until([&] {
    if (sent < kTotal) {
      sent += left_.write(near, pattern(sent, std::min<std::size_t>(100'000, kTotal - sent)));
    }
    const std::string text = right_.read(far, 70'000);
    same &= text == pattern(received, text.size());
    received += text.size();
    return received == kTotal || !same;
  }));
  EXPECT_TRUE(same);
}

TEST_F(QueueServerTest, AClosedPortRefusesAndTheSocketCanTryAgain) {
  greet_both();
  const auto near = left_.open();
  EXPECT_EQ(left_.connect_to(near, 81), Failure::kInProgress);
  ASSERT_TRUE(engine_.until([&] { return near.has(queue::kEnded); }));
  EXPECT_FALSE(near.has(queue::kConnecting));
  EXPECT_EQ(left_.connect_to(near, 81), Failure::kRefused);  // the reason, once
  const auto listener = right_.open();
  EXPECT_EQ(right_.bind(listener, 81), Failure::kNone);
  EXPECT_EQ(right_.listen(listener), Failure::kNone);
  EXPECT_EQ(left_.connect_to(near, 81), Failure::kInProgress);
  ASSERT_TRUE(engine_.until([&] { return near.has(queue::kConnected); }));
  EXPECT_EQ(left_.connect_to(near, 81), Failure::kConnected);
}

TEST_F(QueueServerTest, UnreadBytesMakeACloseAReset) {
  greet_both();
  const auto [listener, near, far] = left_.join(right_, 80);
  left_.write(near, "unread");
  ASSERT_TRUE(engine_.until([&] { return far.in().readable() == 6; }));
  EXPECT_EQ(right_.close(far), Failure::kNone);
  ASSERT_TRUE(engine_.until([&] { return near.has(queue::kEnded); }));
  EXPECT_EQ(client::failure_from(near.page->error.load()), Failure::kReset);
}

TEST_F(QueueServerTest, APortIsTakenUntilItsSocketCloses) {
  greet_both();
  const auto first = left_.open();
  const auto second = right_.open();
  EXPECT_EQ(left_.bind(first, 80, true), Failure::kNone);
  EXPECT_EQ(left_.bind(first, 80, true), Failure::kInvalid);
  EXPECT_EQ(right_.bind(second, 80), Failure::kAddressInUse);
  EXPECT_EQ(right_.bind(second, 80, false, kOwn), Failure::kAddressInUse);
  EXPECT_EQ(right_.bind(second, 80, true, wire::Ipv6Address(1, 1)), Failure::kAddressUnknown);
  EXPECT_EQ(right_.bind(second, 80, true), Failure::kNone);
  EXPECT_EQ(left_.listen(first), Failure::kNone);
  EXPECT_EQ(right_.listen(second), Failure::kAddressInUse);
  left_.die();
  ASSERT_TRUE(engine_.until([&] { return engine_.server().clients() == 1; }));
  EXPECT_EQ(right_.listen(second), Failure::kNone);
  const auto any = right_.open();
  EXPECT_EQ(right_.bind(any, 0), Failure::kNone);
  EXPECT_GE(any.page->local.port, kFirstFreePort);
}

TEST_F(QueueServerTest, ThePolicyBoundsPortsAddressesSocketsAndMemory) {
  engine_.policy() = {.admitted = true,
                      .addresses = {{kOwn, 128}},
                      .first_port = 8000,
                      .last_port = 8010,
                      .most_sockets = 2,
                      .most_memory = 512 << 10};
  ASSERT_TRUE(left_.greet());
  const auto socket = left_.open();
  EXPECT_EQ(left_.bind(socket, 80, false, kOwn), Failure::kNotPermitted);
  EXPECT_EQ(left_.bind(socket, 8000), Failure::kNotPermitted);  // on any address
  EXPECT_EQ(left_.bind(socket, 8000, false, kOwn), Failure::kNone);
  EXPECT_EQ(left_.connect_to(socket, 9), Failure::kInProgress);
  queue::Request open{.op = Op::kOpen};
  open.number = static_cast<std::uint32_t>(SocketType::kDatagram);
  EXPECT_EQ(left_.failure_of_call(open), Failure::kNoMemory);  // 32 KiB of 512 are in use
  open.number = static_cast<std::uint32_t>(SocketType::kStream);
  EXPECT_EQ(left_.failure_of_call(open), Failure::kNone);
  EXPECT_EQ(left_.failure_of_call(open), Failure::kNoMemory);  // a third
}

// Sockets without an address of their own get one that the policy names.
TEST_F(QueueServerTest, SocketsSpeakFromAddressesOfThePolicy) {
  constexpr wire::Ipv6Address kOther(kOwn.high(), 2);
  ASSERT_TRUE(engine_.worker().host()->stack().add_address(
      wire::Ipv6Prefix{kOther, 64}, monotonic_now(), ip::Uniqueness::kCertain));
  for (const wire::Ipv6Address& allowed : {kOwn, kOther}) {
    engine_.policy() = {.admitted = true, .addresses = {{allowed, 128}}};
    RawClient client(engine_);
    ASSERT_TRUE(client.greet());
    const auto datagram = client.open(SocketType::kDatagram);
    EXPECT_EQ(client.connect_to(datagram, 53), Failure::kNone);
    EXPECT_EQ(client::from_record(datagram.page->local).address, allowed);
    const auto stream = client.open();
    EXPECT_EQ(client.connect_to(stream, 80), Failure::kInProgress);
    EXPECT_EQ(client::from_record(stream.page->local).address, allowed);
  }
  engine_.policy() = {.admitted = true, .addresses = {{wire::Ipv6Address(1, 1), 128}}};
  ASSERT_TRUE(left_.greet());
  EXPECT_EQ(left_.connect_to(left_.open(), 80), Failure::kNotPermitted);
}

TEST_F(QueueServerTest, AFullFifoStopsItsWriterAndTellsOfRoom) {
  greet_both();
  const auto [listener, near, far] = left_.join(right_, 80);
  near.page->watchers[3] = queue::WatcherSlot::make(left_.welcome.channel, 5, 77);
  const std::string block(100'000, 'x');
  std::size_t sent = 0;
  // Until both FIFOs are full, and nothing moves any more.
  int still = 0;
  ASSERT_TRUE(engine_.until([&] {
    const std::size_t size = left_.write(near, block);
    sent += size;
    still = size == 0 ? still + 1 : 0;
    return still == 1000;
  }));
  EXPECT_GE(sent, std::size_t{256} << 10);
  near.page->wants_room = 1;
  auto& board = left_.memory().waiters[5];
  board.take([](unsigned /*hint*/) {});
  engine_.turns(100);
  EXPECT_FALSE(board.has_hints());
  std::size_t received = 0;
  ASSERT_TRUE(engine_.until([&] {
    received += right_.read(far).size();
    return received == sent;
  }));
  EXPECT_EQ(near.page->wants_room.load(), 0U);
  std::vector<unsigned> hints;
  board.take([&](unsigned hint) { hints.push_back(hint); });
  EXPECT_EQ(hints, std::vector<unsigned>{77});
}

TEST_F(QueueServerTest, ASleepingWaiterIsRungOncePerSleep) {
  greet_both();
  const auto [listener, near, far] = left_.join(right_, 80);
  auto bell = queue::Doorbell::create();
  const int ringer = bell->ringer.get();
  ASSERT_TRUE(
      left_.tell(queue::WishMessage{.wish = queue::Wish::kWaiter, .number = 9}, {&ringer, 1}));
  left_.hint(0);
  engine_.turns(100);
  near.page->watchers[0] = queue::WatcherSlot::make(left_.welcome.channel, 9, 1);
  queue::HintBoard& board = left_.memory().waiters[9];
  char rings[8];
  const auto rung = [&] { return ::recv(bell->sleeper.get(), rings, 8, MSG_DONTWAIT); };
  right_.write(far, "awake");
  ASSERT_TRUE(engine_.until([&] { return board.has_hints(); }));
  EXPECT_LT(rung(), 0);
  board.take([](unsigned /*hint*/) {});
  board.arm();
  for (const char* text : {"asleep", "still"}) {
    right_.write(far, text);
    ASSERT_TRUE(engine_.until([&] { return board.has_hints(); }));
    board.take([](unsigned /*hint*/) {});
  }
  EXPECT_EQ(rung(), 1);
  board.disarm();
}

TEST_F(QueueServerTest, OptionsAreInheritedAndInfoTells) {
  greet_both();
  const auto listener = right_.open();
  EXPECT_EQ(right_.failure_of_call(
                {.op = Op::kSetOptions,
                 .handle = listener.handle,
                 .options = client::to_record(client::Options{
                     .receive_buffer = 1 << 20, .congestion = client::Congestion::kReno})}),
            Failure::kNone);
  EXPECT_EQ(right_.bind(listener, 80), Failure::kNone);
  EXPECT_EQ(right_.listen(listener), Failure::kNone);
  const auto near = left_.open();
  EXPECT_EQ(left_.connect_to(near, 80), Failure::kInProgress);
  ASSERT_TRUE(engine_.until([&] { return listener.page->waiting.load() == 1; }));
  const auto far = right_.socket_of(right_.call({.op = Op::kAccept, .handle = listener.handle}));
  const auto info = right_.call({.op = Op::kInfo, .handle = far.handle});
  EXPECT_EQ(client::from_record(info.info).congestion, client::Congestion::kReno);
  EXPECT_EQ(client::from_record(info.info).state, client::StreamState::kEstablished);
  EXPECT_EQ(info.endpoint.port, 80);
  EXPECT_EQ(right_.failure_of_call({.op = Op::kAccept, .handle = listener.handle}),
            Failure::kWouldBlock);
}

// Connections that nobody accepts are reset with their listener.
TEST_F(QueueServerTest, AListenerTakesItsQueueAlong) {
  greet_both();
  const auto listener = right_.open();
  EXPECT_EQ(right_.bind(listener, 80), Failure::kNone);
  EXPECT_EQ(right_.listen(listener, 2), Failure::kNone);
  std::vector<RawClient::Socket> all;
  for (int i = 0; i < 2; ++i) {
    all.push_back(left_.open());
    EXPECT_EQ(left_.connect_to(all.back(), 80), Failure::kInProgress);
  }
  ASSERT_TRUE(engine_.until([&] { return listener.page->waiting.load() == 2; }));
  EXPECT_EQ(right_.close(listener), Failure::kNone);
  ASSERT_TRUE(engine_.until([&] {
    return std::ranges::all_of(all, [](const auto& each) { return each.has(queue::kEnded); });
  }));
  EXPECT_EQ(client::failure_from(all[0].page->error.load()), Failure::kReset);
}

TEST_F(QueueServerTest, RoutesAndOwnAddresses) {
  ASSERT_TRUE(left_.greet());
  const auto route = [&](const wire::Ipv6Address& address) {
    return left_
        .call(
            {.op = Op::kRoute, .endpoint = client::to_record(client::Endpoint{.address = address})})
        .number;
  };
  EXPECT_EQ(route(kOwn), queue::kOwns | queue::kReaches);
  EXPECT_EQ(route(wire::Ipv6Address(kOwn.high(), 7)), queue::kReaches);
  EXPECT_EQ(route(wire::Ipv6Address(1, 1)), 0U);
  // Groups and broadcasts are the kernel's, whatever the routes.
  ip::Stack& stack = engine_.worker().host()->stack();
  ASSERT_TRUE(stack.add_address(wire::Ipv4Prefix{{198, 18, 0, 1}, 24}, monotonic_now(),
                                ip::Uniqueness::kCertain));
  stack.routes4().add(ip::Route<wire::Ipv4Address>{.destination = {.address = {}, .length = 0},
                                                   .gateway = wire::Ipv4Address(198, 18, 0, 254)});
  const auto route4 = [&](std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
    return route(wire::Ipv6Address::mapped({a, b, c, d}));
  };
  EXPECT_EQ(route4(198, 18, 0, 7), queue::kReaches);
  EXPECT_EQ(route4(192, 0, 2, 1), queue::kReaches);
  EXPECT_EQ(route4(198, 18, 0, 255), 0U);
  EXPECT_EQ(route4(255, 255, 255, 255), 0U);
  EXPECT_EQ(route4(224, 0, 0, 1), 0U);
  const auto own = left_.call({.op = Op::kOwnAddress});
  EXPECT_EQ(own.number, 1U);
  EXPECT_EQ(client::from_record(own.endpoint).address, kOwn);
  EXPECT_EQ(left_.call({.op = Op::kOwnAddress, .flags = queue::kWantsIpv4}).number, 1U);
}

// --- Datagrams.

struct Datagram {
  std::string text;
  client::Endpoint from;
};

class QueueDatagramTest : public QueueServerTest {
 protected:
  bool send(RawClient& client, const RawClient::Socket& socket, std::string_view text,
            std::uint16_t port, const wire::Ipv6Address& to = kOwn,
            const wire::Ipv6Address& from = {}) {
    queue::FifoView fifo = socket.out();
    queue::DatagramRecord record{.size = static_cast<std::uint32_t>(text.size())};
    record.to = client::to_record(client::Endpoint{.address = to, .port = port});
    record.from = client::to_record(client::Endpoint{.address = from});
    std::string bytes(reinterpret_cast<const char*>(&record), sizeof(record));
    bytes += text;
    bytes.resize((bytes.size() + 7) & ~std::size_t{7});
    if (fifo.writable() < bytes.size()) return false;
    fifo.write(std::as_bytes(std::span(bytes)));
    client.hint(socket.handle);
    return true;
  }
  std::optional<Datagram> receive(const RawClient::Socket& socket) {
    queue::FifoView fifo = socket.in();
    queue::DatagramRecord record;
    if (fifo.read(std::as_writable_bytes(std::span(&record, 1))) == 0) return std::nullopt;
    std::string text((record.size + 7) & ~std::size_t{7}, '\0');
    fifo.read(std::as_writable_bytes(std::span(text)));
    text.resize(record.size);
    return Datagram{.text = text, .from = client::from_record(record.from)};
  }
  Datagram next(const RawClient::Socket& socket) {
    std::optional<Datagram> got;
    EXPECT_TRUE(engine_.until([&] { return (got = receive(socket)).has_value(); }));
    return got.value_or(Datagram{});
  }
};

TEST_F(QueueDatagramTest, DatagramsComeWholeOneByOne) {
  greet_both();
  const auto server = right_.open(SocketType::kDatagram);
  EXPECT_EQ(right_.bind(server, 53), Failure::kNone);
  const auto asker = left_.open(SocketType::kDatagram);
  // Around the end of the FIFO several times.
  for (std::size_t i = 0; i < 60; ++i) {
    const std::string text = pattern(i, i % 3 == 0 ? i : 1000 * i);
    ASSERT_TRUE(send(left_, asker, text, 53));
    const auto got = next(server);
    EXPECT_EQ(got.text, text);
    const auto info = left_.call({.op = Op::kInfo, .handle = asker.handle});
    EXPECT_EQ(got.from.port, info.endpoint.port);
    EXPECT_EQ(got.from.address, kOwn);
  }
}

TEST_F(QueueDatagramTest, APeerIsHeardAloneAndItsRefusalIsTold) {
  greet_both();
  const auto server = right_.open(SocketType::kDatagram);
  EXPECT_EQ(right_.bind(server, 53), Failure::kNone);
  const auto asker = left_.open(SocketType::kDatagram);
  EXPECT_EQ(left_.connect_to(asker, 53), Failure::kNone);
  EXPECT_TRUE(asker.has(queue::kConnected));
  EXPECT_EQ(client::from_record(asker.page->local).address, kOwn);
  const std::uint16_t port = asker.page->local.port;
  const auto stranger = right_.open(SocketType::kDatagram);
  ASSERT_TRUE(send(right_, stranger, "from a stranger", port));
  ASSERT_TRUE(send(right_, server, "from the peer", port));
  EXPECT_EQ(next(asker).text, "from the peer");
  EXPECT_EQ(right_.close(server), Failure::kNone);
  ASSERT_TRUE(send(left_, asker, "anybody?", 53));
  ASSERT_TRUE(engine_.until([&] { return asker.page->error.load() != 0; }));
  EXPECT_EQ(client::failure_from(asker.page->error.load()), Failure::kRefused);
}

TEST_F(QueueDatagramTest, ASourceThatIsNotTheProgramsIsRefused) {
  constexpr wire::Ipv6Address kForeign(kOwn.high(), 9);
  constexpr wire::Ipv6Address kBarred(kOwn.high(), 2);
  const auto peer_ipv4 = wire::Ipv6Address::mapped(wire::Ipv4Address(198, 18, 0, 9));
  ASSERT_TRUE(engine_.worker().host()->stack().add_address(
      wire::Ipv6Prefix{kBarred, 64}, monotonic_now(), ip::Uniqueness::kCertain));
  engine_.policy() = {.admitted = true, .addresses = {{kOwn, 128}}};
  greet_both();
  const auto server = right_.open(SocketType::kDatagram);
  EXPECT_EQ(right_.bind(server, 53, false, kOwn), Failure::kNone);
  const auto refused = [&](const wire::Ipv6Address& to, const wire::Ipv6Address& from) {
    const auto asker = left_.open(SocketType::kDatagram);
    EXPECT_TRUE(send(left_, asker, "forged", 53, to, from));
    EXPECT_TRUE(engine_.until([&] { return asker.page->error.load() != 0; }));
    return client::failure_from(asker.page->error.load());
  };
  EXPECT_EQ(refused(kOwn, kForeign), Failure::kInvalid);
  EXPECT_EQ(refused(kOwn, kBarred), Failure::kNotPermitted);
  EXPECT_EQ(refused(peer_ipv4, kOwn), Failure::kNetworkUnreachable);
  const auto honest = left_.open(SocketType::kDatagram);
  ASSERT_TRUE(send(left_, honest, "honest", 53, kOwn, kOwn));
  EXPECT_EQ(next(server).text, "honest");
}

// What was sent is sent, even if the socket closes at once, or the program dies.
TEST_F(QueueDatagramTest, ACloseSendsWhatWasWritten) {
  greet_both();
  const auto server = right_.open(SocketType::kDatagram);
  EXPECT_EQ(right_.bind(server, 53), Failure::kNone);
  constexpr int kEach = 200;
  const auto closed = left_.open(SocketType::kDatagram);
  for (int i = 0; i < kEach; ++i) ASSERT_TRUE(send(left_, closed, "datagram", 53));
  EXPECT_EQ(left_.close(closed), Failure::kNone);
  const auto left_behind = left_.open(SocketType::kDatagram);
  for (int i = 0; i < kEach; ++i) ASSERT_TRUE(send(left_, left_behind, "datagram", 53));
  left_.die();
  int came = 0;
  ASSERT_TRUE(engine_.until([&] {
    while (receive(server)) ++came;
    return came == 2 * kEach;
  }));
}

// A reader that does not read loses its own datagrams and holds up nobody.
TEST_F(QueueDatagramTest, WithoutRoomADatagramIsDropped) {
  greet_both();
  const auto server = right_.open(SocketType::kDatagram);
  EXPECT_EQ(right_.bind(server, 53), Failure::kNone);
  const auto asker = left_.open(SocketType::kDatagram);
  const std::string text(20'000, 'd');
  int sent = 0;
  ASSERT_TRUE(engine_.until([&] {
    sent += send(left_, asker, text, 53) ? 1 : 0;
    return sent == 40;
  }));
  ASSERT_TRUE(engine_.until([&] { return asker.out().readable() == 0; }));
  engine_.turns(100);
  int came = 0;
  while (receive(server)) ++came;
  EXPECT_EQ(came, 13);  // of 20,048 bytes each in 256 KiB
  EXPECT_EQ(engine_.server().sockets().stack().drops().of(ip::Discard::kUdpSocketFull), 27U);
  ASSERT_TRUE(send(left_, asker, "after", 53));
  EXPECT_EQ(next(server).text, "after");
}

}  // namespace
}  // namespace tideline::engine
