// SPDX-License-Identifier: Apache-2.0
// The public API alone: two engines in one thread, on a wire in shared memory of this test's own.
#include <gtest/gtest.h>
#include <tideline/engine.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace tideline {
namespace {

using namespace std::chrono_literals;

// Where the wires of this process meet.
class Meeting final : public testing::Environment {
 public:
  void SetUp() override {
    std::string name = testing::TempDir() + "api-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    ::setenv("XDG_RUNTIME_DIR", name.c_str(), 1);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

 private:
  std::filesystem::path directory_;
};
[[maybe_unused]] const auto* const kMeeting = testing::AddGlobalTestEnvironment(new Meeting);

std::vector<std::byte> pattern(std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 131 + i / 1021);
  return bytes;
}

struct Station {
  Engine engine;
  Host host;

  explicit Station(const EngineOptions& options)
      : engine(*Engine::open(options)), host(*engine.add_host({})) {}
  Endpoint endpoint(std::uint16_t port, bool ipv6 = false) const {
    const std::string& text = ipv6 ? host.ip6()[0] : host.ip4()[0];
    return *Endpoint::parse(text.substr(0, text.find('/')), port);
  }
};

class Api : public testing::TestWithParam<bool> {
 protected:
  // Turns both until it is so; false after ten seconds.
  bool until(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      left.engine.poll();
      right.engine.poll();
    }
    return true;
  }
  // A connection from left to right; the ends of the two.
  std::pair<Stream, Stream> connected(Listener& listener, const StreamOptions& options = {}) {
    Stream client = *left.host.connect(right.endpoint(80, GetParam()), options);
    std::optional<Stream> server;
    EXPECT_TRUE(until([&] {
      if (!server) server = listener.accept();
      return server && client.state() == Stream::State::kOpen;
    }));
    return {std::move(client), std::move(*server)};
  }

  Station left{{.wire = "shm:api"}};
  Station right{{.wire = "shm:api"}};
};

TEST_P(Api, BytesArriveWrittenOrLentReadOrInPlace) {
  Listener listener = *right.host.listen(80);
  auto [client, server] = connected(listener);
  const auto bytes = pattern(3'000'000);
  const Region region = *left.engine.register_memory(bytes);
  std::size_t given = 0;
  std::vector<std::byte> got;
  std::vector<std::byte> buffer(50'000);
  const auto step = [&] {
    // By turns 70000 bytes copied, 90000 in place, 100000 lent.
    const std::size_t left_over = bytes.size() - given;
    if (left_over == 0) {
      client.shut_down();
    } else if (given % 3 == 0) {
      given +=
          client.write(std::span(bytes).subspan(given, std::min<std::size_t>(left_over, 70'000)));
    } else if (given % 3 == 1) {
      const auto space = client.write_space();
      const std::size_t size = std::min({space.size(), left_over, std::size_t{90'001}});
      std::ranges::copy(std::span(bytes).subspan(given, size), space.begin());
      client.wrote(size);
      given += size;
    } else {
      const std::size_t size = std::min<std::size_t>(left_over, 100'003);
      if (client.lend(region, given, size)) given += size;
    }
    if (got.size() % 2 == 0) {
      const std::size_t size = server.read(buffer);
      got.insert(got.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(size));
    } else {
      const auto piece = server.received();
      const std::size_t size = std::min<std::size_t>(piece.size(), 30'001);
      got.insert(got.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(size));
      server.consume(size);
    }
    return server.at_end();
  };
  ASSERT_TRUE(until(step));
  EXPECT_EQ(given, bytes.size());
  EXPECT_TRUE(got == bytes);
  EXPECT_TRUE(until([&] { return client.released() == bytes.size(); }));
  EXPECT_EQ(client.written(), bytes.size());
  const StreamInfo info = client.info();
  EXPECT_EQ(info.bytes_retransmitted, 0U);
  EXPECT_GT(info.mss, 1000U);
  EXPECT_EQ(server.remote(), client.local());
}

TEST_P(Api, EventsTellWhatCameOnceEach) {
  Listener listener = *right.host.listen(80);
  int marks[3] = {};
  listener.set_context(&marks[0]);
  Stream client = *left.host.connect(right.endpoint(80, GetParam()));
  client.set_context(&marks[1]);
  EXPECT_EQ(client.state(), Stream::State::kConnecting);
  ASSERT_TRUE(until([&] { return client.state() == Stream::State::kOpen; }));
  const auto connected = left.engine.next();
  ASSERT_TRUE(connected);
  EXPECT_EQ(connected->context, &marks[1]);
  EXPECT_EQ(connected->ready, Ready::kWritable);
  EXPECT_FALSE(left.engine.next());

  ASSERT_TRUE(until([&] { return right.engine.poll(); }));
  const auto incoming = right.engine.next();
  ASSERT_TRUE(incoming);
  EXPECT_EQ(incoming->context, &marks[0]);
  auto server = listener.accept();
  ASSERT_TRUE(server);
  EXPECT_FALSE(listener.accept());
  server->set_context(&marks[2]);
  const auto bytes = pattern(100);
  EXPECT_EQ(client.write(bytes), 100U);
  ASSERT_TRUE(until([&] { return server->received().size() == 100; }));
  const auto readable = right.engine.next();
  ASSERT_TRUE(readable);
  EXPECT_EQ(readable->context, &marks[2]);
  EXPECT_EQ(readable->ready, Ready::kReadable);
  // What is not taken is not told again, and an object that is gone has no event.
  EXPECT_FALSE(right.engine.poll());
  EXPECT_EQ(client.write(bytes), 100U);
  ASSERT_TRUE(until([&] { return server->received().size() == 200; }));
  server->abort();
  EXPECT_FALSE(right.engine.next());
  ASSERT_TRUE(until([&] { return client.state() == Stream::State::kEnded; }));
  ASSERT_TRUE(client.error());
  EXPECT_EQ(client.error()->kind, ErrorKind::kPeer);
}

TEST_P(Api, AFullBufferIsWritableAgain) {
  Listener listener = *right.host.listen(80, {.stream = {.receive_buffer = 65536}});
  auto [client, server] = connected(listener, {.send_buffer = 65536});
  while (left.engine.next()) continue;
  const auto bytes = pattern(200'000);
  std::size_t given = client.write(bytes);
  EXPECT_EQ(given, 65536U);
  EXPECT_TRUE(client.write_space().empty());
  std::size_t taken = 0;
  ASSERT_TRUE(until([&] {
    while (const auto event = left.engine.next()) {
      EXPECT_TRUE(has(event->ready, Ready::kWritable));
      given += client.write(std::span(bytes).subspan(given));
    }
    taken += server.received().size();
    server.consume(server.received().size());
    return taken == bytes.size();
  }));
}

TEST_P(Api, CloseSendsWhatWasWrittenAndDrainWaitsForIt) {
  Listener listener = *right.host.listen(80);
  const auto bytes = pattern(400'000);
  {
    Stream client = *left.host.connect(right.endpoint(80, GetParam()));
    EXPECT_EQ(client.write(bytes), bytes.size());
  }
  std::size_t taken = 0;
  std::optional<Stream> server;
  // Nobody turns the other side: it is not drained in time.
  EXPECT_FALSE(left.engine.drain(20ms));
  ASSERT_TRUE(until([&] {
    if (!server) server = listener.accept();
    if (!server) return false;
    taken += server->received().size();
    server->consume(server->received().size());
    return server->at_end();
  }));
  EXPECT_EQ(taken, bytes.size());
  server->close();
  EXPECT_TRUE(until([&] { return left.engine.drain(0ns) && right.engine.drain(0ns); }));
}

TEST_P(Api, NobodyListens) {
  Stream client = *left.host.connect(right.endpoint(81, GetParam()));
  ASSERT_TRUE(until([&] { return client.state() == Stream::State::kEnded; }));
  ASSERT_TRUE(client.error());
  EXPECT_NE(client.error()->what.find("refuses"), std::string::npos) << client.error()->what;
  EXPECT_EQ(client.write(pattern(1)), 0U);
}

TEST_P(Api, Datagrams) {
  DatagramSocket server = *right.host.bind(53);
  DatagramSocket client = *left.host.bind(0);
  EXPECT_FALSE(right.host.bind(53));
  const auto bytes = pattern(5000);  // in fragments
  ASSERT_TRUE(client.send(bytes, right.endpoint(53, GetParam())));
  ASSERT_TRUE(client.send({}, right.endpoint(53, GetParam())));
  std::vector<std::byte> buffer(65536);
  std::optional<DatagramSocket::Received> first;
  ASSERT_TRUE(until([&] { return (first = server.receive(buffer)).has_value(); }));
  EXPECT_EQ(first->size, bytes.size());
  EXPECT_TRUE(std::ranges::equal(std::span(buffer).first(first->size), bytes));
  ASSERT_TRUE(until([&] { return (first = server.receive(buffer)).has_value(); }));
  EXPECT_EQ(first->size, 0U);
  ASSERT_TRUE(server.send(std::span(bytes).first(10), first->from));
  ASSERT_TRUE(
      until([&] { return (first = client.receive(std::span(buffer).first(4))).has_value(); }));
  EXPECT_EQ(first->size, 10U);
  EXPECT_EQ(first->from.port, 53);
}

// RFC 1122 §3.2.1.3, RFC 4291 §2.5: whoever asks is told, and nothing leaves.
TEST_P(Api, WhatIsNeverOnAWireIsRefused) {
  DatagramSocket socket = *left.host.bind(0);
  for (const char* address :
       GetParam() ? std::array{"::", "::1"} : std::array{"0.0.0.0", "127.0.0.1"}) {
    const Endpoint to = *Endpoint::parse(address, 80);
    EXPECT_FALSE(left.host.connect(to)) << address;
    EXPECT_FALSE(socket.send(pattern(1), to)) << address;
  }
}

// Bytes lent from the engine's memory are touched once, and written ones twice, where the program
// copies. A test that is slow finds bytes moved to their places: the least of several tries counts.
TEST_P(Api, SharedMemoryIsCopiedOnceAndWrittenBytesTwice) {
  Listener listener = *right.host.listen(80);
  auto [client, server] = connected(listener);
  const auto bytes = pattern(400'000);
  const auto memory = left.engine.allocate_memory(bytes.size());
  std::ranges::copy(bytes, memory.begin());
  const Region region = *left.engine.register_memory(memory);
  std::vector<std::byte> buffer(100'000);
  // How much is passed while `send` gives the bytes and the server reads them.
  const auto passed_by = [&](const std::function<bool()>& send) {
    const auto passed = [&] { return left.engine.stats().passed + right.engine.stats().passed; };
    std::vector<std::byte> got;
    // What was sent before has left its place, so that there is room for all of it.
    EXPECT_TRUE(until([&] { return client.released() == client.written(); }));
    const std::uint64_t before = passed();
    EXPECT_TRUE(send());
    EXPECT_TRUE(until([&] {
      const std::size_t size = server.read(buffer);
      got.insert(got.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(size));
      return got.size() == bytes.size();
    }));
    EXPECT_TRUE(got == bytes);
    return passed() - before;
  };
  const auto least = [&](const std::function<bool()>& send) {
    std::uint64_t best = UINT64_MAX;
    for (int i = 0; i < 20; ++i) best = std::min(best, passed_by(send));
    return best;
  };
  const std::uint64_t lent = least([&] { return client.lend(region, 0, bytes.size()); });
  EXPECT_GE(lent, bytes.size());
  EXPECT_LT(lent, bytes.size() + bytes.size() / 4);  // headers count, acknowledgments too
  const std::uint64_t written = least([&] { return client.write(bytes) == bytes.size(); });
  EXPECT_GE(written, 2 * bytes.size());
  EXPECT_LT(written, 2 * bytes.size() + bytes.size() / 4);
}

// A peer that has stopped keeps nothing of a connection that is over, and does not take for its
// bytes what is written to the memory since.
TEST_P(Api, WhatAStoppedPeerHoldsComesBack) {
  Listener listener = *right.host.listen(80);
  auto [client, server] = connected(listener);
  const auto bytes = pattern(400'000);
  const auto memory = left.engine.allocate_memory(bytes.size());
  std::ranges::copy(bytes, memory.begin());
  const Region region = *left.engine.register_memory(memory);
  ASSERT_TRUE(client.lend(region, 0, bytes.size()));
  const auto readable = [&] {
    const auto event = right.engine.next();
    return event && has(event->ready, Ready::kReadable) && event->context == &server;
  };
  server.set_context(&server);
  ASSERT_TRUE(until(readable));  // from here on, the right engine stands still
  for (int i = 0; i < 10; ++i) left.engine.poll();
  EXPECT_LT(client.released(), bytes.size());
  client.abort();
  EXPECT_FALSE(left.engine.drain(10ms));
  EXPECT_TRUE(left.engine.drain(10s));
  std::ranges::fill(memory, std::byte{0xee});
  std::vector<std::byte> got(bytes.size());
  const std::size_t size = server.read(got);
  ASSERT_LT(size, bytes.size());
  EXPECT_TRUE(
      std::equal(got.begin(), got.begin() + static_cast<std::ptrdiff_t>(size), bytes.begin()));
  ASSERT_TRUE(until([&] { return server.state() == Stream::State::kEnded; }));
  EXPECT_TRUE(server.error());
  EXPECT_EQ(server.read(got), 0U);
  EXPECT_FALSE(server.at_end());
}

INSTANTIATE_TEST_SUITE_P(Versions, Api, testing::Bool(),
                         [](const auto& test) { return test.param ? "Ipv6" : "Ipv4"; });

TEST(ApiErrors, SayWhatIsWrong) {
  const auto wrong = Engine::open({.wire = "cable:1"});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().kind, ErrorKind::kUsage);
  Station station({.wire = "shm:api", .buffer_memory = 0});
  EXPECT_FALSE(station.engine.add_host({}));
  EXPECT_FALSE(station.host.listen(0));
  const auto listener = station.host.listen(80);
  ASSERT_TRUE(listener);
  EXPECT_FALSE(station.host.listen(80));
  EXPECT_FALSE(station.host.connect(*Endpoint::parse("192.0.2.1", 80)));  // no route
  const auto full = station.host.connect(station.endpoint(80));
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().kind, ErrorKind::kExhausted);
  EXPECT_FALSE(Endpoint::parse("192.0.2", 80));
  EXPECT_EQ(Endpoint::parse("2001:DB8::1", 80)->text(), "[2001:db8::1]:80");
  EXPECT_EQ(Endpoint::parse("192.0.2.1", 80)->text(), "192.0.2.1:80");
  EXPECT_FALSE(station.engine.register_memory({}));
}

TEST(ApiWait, EndsByTimeAndByWake) {
  Station station({.wire = "shm:api"});
  EXPECT_FALSE(station.engine.wait(1ms));
  std::thread other([&] { station.engine.wake(); });
  EXPECT_FALSE(station.engine.wait(1h));
  other.join();
}

}  // namespace
}  // namespace tideline
