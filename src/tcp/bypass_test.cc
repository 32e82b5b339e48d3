// SPDX-License-Identifier: Apache-2.0
// A host that talks to itself, with the local bypass and without: what was sent is what is
// received, and every way to end is the same.
#include "tcp/bypass.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include "tcp/test_net.h"

namespace tideline::tcp::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint64_t kForth = 3'000'000;
constexpr std::uint64_t kBack = 1'000'000;

// Both ends at the left host.
struct Loop {
  explicit Loop(SimNet& network, bool ipv4 = true, const StreamOptions& options = {})
      : net(network),
        client(host(), net, 10, kForth, kBack),
        server(host(), net, 11, kBack, kForth),
        listener(host(), net, [this] { return &server; }) {
    EXPECT_TRUE(host().tcp.listen({{}, kPort}, {.stream = options}, listener).has_value());
    auto id = host().tcp.connect({host().address(ipv4), kPort}, {}, options, client.attachment(),
                                 net.now);
    EXPECT_TRUE(id.has_value());
    client.id = *id;
  }
  SimHost& host() const { return net.left(); }
  void step() {
    if (listener.accepted.empty() || started) return;
    started = true;
    host().tcp.accepted(server.id);
    server.produce();
  }
  bool run_until(const std::function<bool()>& done, Duration most = std::chrono::hours(1)) {
    return net.run(
        [&] {
          step();
          return done();
        },
        most);
  }
  bool run() {
    return run_until([this] { return client.is_released && server.is_released; });
  }
  void expect_intact() const {
    EXPECT_EQ(client.received, kBack);
    EXPECT_EQ(server.received, kForth);
    EXPECT_EQ(client.wrong + server.wrong, 0U);
    EXPECT_EQ(client.end, End::kFinished);
    EXPECT_EQ(server.end, End::kFinished);
    EXPECT_EQ(host().tcp.counters().retransmissions, 0U);
  }
  void expect_nothing_left() const {
    net.run_for(std::chrono::minutes(3));
    EXPECT_EQ(host().tcp.connections(), 0U);
    EXPECT_EQ(host().tcp.ranges_in_use(), 0U);
    EXPECT_EQ(host().pool->in_use(), 0U);
  }

  SimNet& net;
  SimStream client;
  SimStream server;
  SimListener listener;
  bool started = false;
};

TEST(Bypass, BothWays_BothVersions_AllButTheFirstBytesGoWithoutSegments) {
  for (const bool ipv4 : {true, false}) {
    SimNet net({}, 1);
    Loop loop(net, ipv4);
    ASSERT_TRUE(loop.run()) << "stalled";
    loop.expect_intact();
    const Counters& counters = net.left().tcp.counters();
    EXPECT_GT(counters.bypassed, (kForth + kBack) / 2);
    EXPECT_LT(counters.segments_out, 200U);
    loop.expect_nothing_left();
  }
}

TEST(Bypass, SwitchedOff_AllBytesGoInSegments) {
  SimNet net({}, 1, {.local_bypass = false});
  Loop loop(net);
  ASSERT_TRUE(loop.run());
  loop.expect_intact();
  EXPECT_EQ(net.left().tcp.counters().bypassed, 0U);
  loop.expect_nothing_left();
}

TEST(Bypass, PacedSender_GetsItsPaceFromSegments) {
  SimNet net({}, 1);
  const Instant begin = net.now;
  Loop loop(net, true, {.pacing = true, .max_pacing_rate = 1'000'000});
  ASSERT_TRUE(loop.run());
  loop.expect_intact();
  EXPECT_EQ(net.left().tcp.counters().bypassed, 0U);
  EXPECT_GT(net.now - begin, seconds(2));
}

// Two hosts: there is nothing to bypass.
TEST(Bypass, OtherHost_IsNotConcerned) {
  SimNet net({}, 1);
  SimFlow flow(net, true, kPort, 5, 100'000, 100'000, 1 << 18, {});
  ASSERT_TRUE(net.run([&] {
    flow.step();
    return flow.is_over();
  }));
  flow.expect_intact();
  EXPECT_EQ(net.left().tcp.counters().bypassed + net.right().tcp.counters().bypassed, 0U);
}

TEST(Bypass, ReaderThatSleeps_StopsTheWriterAndStartsItAgain) {
  SimNet net({}, 1);
  Loop loop(net);
  loop.server.reads = false;
  loop.run_until([] { return false; }, seconds(100));
  EXPECT_LT(loop.client.sent, kForth);
  EXPECT_EQ(loop.client.end, End::kNone) << "the probes are answered";
  const Info info = net.left().tcp.info(loop.client.id, net.now);
  EXPECT_EQ(info.send_window, 0U);
  const Instant awake = net.now;
  loop.server.reads = true;
  loop.server.consume();
  ASSERT_TRUE(loop.run());
  EXPECT_LT(net.now - awake, seconds(100)) << "it waits for no probe; the rest is TIME-WAIT";
  loop.expect_intact();
}

TEST(Bypass, AbortInTheMiddle_ResetsTheOther) {
  for (const bool by_client : {true, false}) {
    SimNet net({}, 1);
    Loop loop(net);
    loop.server.reads = false;  // so that the sender waits for room
    loop.run_until([] { return false; }, seconds(1));
    SimStream& first = by_client ? loop.client : loop.server;
    SimStream& second = by_client ? loop.server : loop.client;
    net.left().tcp.abort(first.id, net.now);
    ASSERT_TRUE(loop.run_until([&] { return second.end != End::kNone; }, seconds(1)));
    EXPECT_EQ(second.end, End::kReset);
    loop.expect_nothing_left();
  }
}

TEST(Bypass, ReaderThatClosesWithBytesUnread_ResetsTheWriter) {
  SimNet net({}, 1);
  Loop loop(net);
  loop.server.reads = false;
  loop.run_until([] { return false; }, seconds(1));
  net.left().tcp.close(loop.server.id, true, net.now);
  ASSERT_TRUE(loop.run_until([&] { return loop.client.end != End::kNone; }, seconds(1)));
  EXPECT_EQ(loop.client.end, End::kReset);
  loop.expect_nothing_left();
}

// The reader has closed, having read all: what comes afterwards is answered by a RST.
TEST(Bypass, ReaderThatIsGone_ResetsTheWriter) {
  SimNet net({}, 1);
  Loop loop(net);
  loop.server.reads = false;
  loop.run_until([] { return false; }, seconds(1));
  loop.server.consume();
  ASSERT_LT(loop.server.received, kForth);
  net.left().tcp.close(loop.server.id, false, net.now);
  ASSERT_TRUE(loop.run_until([&] { return loop.client.end != End::kNone; }, seconds(10)));
  EXPECT_EQ(loop.client.end, End::kReset);
  loop.expect_nothing_left();
}

// Without a packet to be had nothing but the bypass goes on.
TEST(Bypass, PoolRunsDry_BytesFlow) {
  SimNet net({}, 1);
  Loop loop(net);
  ASSERT_TRUE(loop.run_until([&] { return loop.server.received > kForth / 4; }));
  std::vector<packet::PacketPtr> taken;
  while (packet::PacketPtr packet = net.left().pool->get()) taken.push_back(std::move(packet));
  ASSERT_TRUE(loop.run_until([&] { return loop.server.received == kForth; }, seconds(10)));
  taken.clear();
  ASSERT_TRUE(loop.run());
  EXPECT_EQ(loop.client.wrong + loop.server.wrong, 0U);
}

// More than the sequence numbers' half and whole, by buffers that only count.
class Endless final : public SendBuffer {
 public:
  explicit Endless(std::uint64_t size) : size_(size) {}
  std::uint64_t end() const override { return size_; }
  std::span<const std::byte> at(std::uint64_t /*offset*/, std::size_t most) const override {
    return std::span(bytes_).first(std::min(most, bytes_.size()));
  }
  void release(std::uint64_t offset) override { released = offset; }

  std::uint64_t released = 0;

 private:
  std::uint64_t size_;
  std::vector<std::byte> bytes_ = std::vector<std::byte>(std::size_t{1} << 20);
};

class Abyss final : public ReceiveBuffer {
 public:
  std::uint64_t limit() const override { return published + (std::uint64_t{1} << 20); }
  std::uint64_t consumed() const override { return published; }
  bool put(std::uint64_t /*offset*/, packet::PacketPtr /*payload*/,
           packet::PassCounter& /*passes*/) override {
    return true;
  }
  std::uint64_t room_for_copy(std::uint64_t /*end*/) override { return limit(); }
  void publish(std::uint64_t end) override { published = end; }

  std::uint64_t published = 0;
};

class Counting final : public StreamOwner, public ListenerOwner {
 public:
  Counting(SimHost& host, std::uint64_t size) : send(size), host_(host) {}

  Attachment attachment() { return {.owner = this, .send = &send, .receive = &receive}; }
  Attachment incoming(ListenerId /*listener*/, ConnectionId connection, const Tuple& /*tuple*/,
                      Instant /*now*/) override {
    id = connection;
    return attachment();
  }
  void readable(ConnectionId /*id*/, Instant now) override { host_.tcp.consumed(id, now); }
  void peer_closed(ConnectionId /*id*/, Instant now) override { host_.tcp.shut_down(id, now); }
  void writable(ConnectionId /*id*/, Instant /*now*/) override {}
  void ended(ConnectionId /*id*/, End reason, Instant /*now*/) override { end = reason; }
  void released(ConnectionId /*id*/, Instant /*now*/) override {}

  Endless send;
  Abyss receive;
  ConnectionId id;
  End end = End::kNone;

 private:
  SimHost& host_;
};

TEST(Bypass, MoreThanTheSequenceSpace_OneWayThenTheOther) {
  constexpr std::uint64_t kMuch = std::uint64_t{5} << 30;
  SimNet net({}, 1);
  Tcp& tcp = net.left().tcp;
  Counting client(net.left(), kMuch);
  Counting server(net.left(), 100);
  ASSERT_TRUE(tcp.listen({{}, kPort}, {}, server).has_value());
  const auto id =
      tcp.connect({net.left().address(true), kPort}, {}, {}, client.attachment(), net.now);
  ASSERT_TRUE(id.has_value());
  client.id = *id;
  ASSERT_TRUE(net.run([&] { return server.receive.published == kMuch; }, seconds(60)));
  EXPECT_EQ(client.receive.published, 100U);
  EXPECT_GT(tcp.info(client.id, net.now).bytes_bypassed, kMuch / 2);
  // The FIN is a segment among old acquaintances.
  tcp.shut_down(client.id, net.now);
  ASSERT_TRUE(net.run([&] { return server.end != End::kNone; }, seconds(10)));
  EXPECT_EQ(client.end, End::kFinished);
  EXPECT_EQ(server.end, End::kFinished);
  EXPECT_EQ(tcp.counters().retransmissions, 0U);
}

}  // namespace
}  // namespace tideline::tcp::test
