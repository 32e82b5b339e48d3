// SPDX-License-Identifier: Apache-2.0
// Who has no key does nothing to a connection that has one (RFC 5925 §7), though he sees all of it:
// forged and repeated segments, ICMP, floods.
#include <gtest/gtest.h>

#include <utility>

#include "tcp/test_authentication.h"
#include "wire/packet_layout.h"

namespace tideline::tcp::test {
namespace {

using std::chrono::seconds;

// A quiet connection, of which both ends know everything.
struct Quiet {
  explicit Quiet(const std::vector<MasterKey>& keys) : world({}, keys, true, 20'000) {
    EXPECT_TRUE(world.run_to_silence());
    for (const Frame& frame : world.seen[0]) {
      const auto segment = Captured::of(frame);
      if (segment->end() >= Seq(latest.sequence_number)) {
        model = frame;
        latest = segment->tcp;
        latest.sequence_number = segment->end().value();
      }
    }
    const auto last = Captured::of(world.seen[1].back());
    latest.acknowledgment_number = last->end().value();
  }

  // What the client would send next, but for the code.
  Frame next(std::uint16_t flags, std::size_t size = 0) {
    wire::Tcp header = latest;
    header.flags = flags;
    return with_segment(model, header, Frame(size, std::byte{'x'}));
  }
  State server_state() { return world.server().info(world.flow->server.id).state; }
  void expect_unharmed() {
    world.net.run_for(seconds(1));
    EXPECT_EQ(server_state(), State::kEstablished);
    EXPECT_EQ(world.client().info(world.flow->client.id).state, State::kEstablished);
    EXPECT_EQ(world.flow->server.received, 20'000U);
    EXPECT_EQ(world.flow->server.wrong, 0U);
  }

  AuthenticWorld world;
  Frame model;
  wire::Tcp latest{.sequence_number = 0};
};

constexpr std::uint16_t kData = wire::kTcpAck | wire::kTcpPsh;

TEST(AuthenticationAttack, ForgedSegmentsAreDroppedInSilence) {
  Quiet quiet({key_of("k", 1, 2)});
  SimHost& server = quiet.world.net.right();
  const std::uint64_t answers = server.tcp.counters().segments_out;
  for (const int flags : {wire::kTcpRst | wire::kTcpAck, int{wire::kTcpRst}, int{wire::kTcpSyn},
                          wire::kTcpSyn | wire::kTcpAck, wire::kTcpFin | wire::kTcpAck, 0}) {
    inject(server, quiet.next(static_cast<std::uint16_t>(flags)), quiet.world.net.now);
  }
  inject(server, quiet.next(kData, 100), quiet.world.net.now);
  EXPECT_EQ(refused(server, Discard::kAuthenticationFailed), 7U);
  Captured::option_of(quiet.latest).key_id = 9;
  inject(server, quiet.next(wire::kTcpRst | wire::kTcpAck), quiet.world.net.now);
  EXPECT_EQ(refused(server, Discard::kAuthenticationUnknownKey), 1U);
  Captured::option_of(quiet.latest).key_id = 1;
  for (const unsigned size : {0U, 1U, 11U, 13U}) {
    Captured::option_of(quiet.latest).mac_size = static_cast<std::uint8_t>(size);
    inject(server, quiet.next(kData, 100), quiet.world.net.now);
  }
  EXPECT_EQ(refused(server, Discard::kAuthenticationLength), 4U);
  quiet.latest.options.authentication.reset();
  inject(server, quiet.next(wire::kTcpRst | wire::kTcpAck), quiet.world.net.now);
  inject(server, quiet.next(kData, 100), quiet.world.net.now);
  EXPECT_EQ(refused(server, Discard::kAuthenticationMissing), 2U);
  EXPECT_EQ(server.tcp.counters().segments_out, answers);
  const AuthenticationInfo info = quiet.world.server().authentication(quiet.world.flow->server.id);
  EXPECT_EQ(info.refused, 14U);
  EXPECT_EQ(info.unknown_key, 1U);
  EXPECT_EQ(info.missing, 2U);
  EXPECT_EQ(info.key_refused[0], 11U);
  EXPECT_EQ(info.key_authentic[0], info.authentic);
  quiet.expect_unharmed();
}

// What the test above shows would be seen to happen otherwise.
TEST(AuthenticationAttack, WithoutKeysAForgedResetEndsTheConnection) {
  SimNet net({}, 11);
  Frame last;
  net.filter = [&last](unsigned from, const Frame& frame) {
    if (from == 0 && Captured::of(frame)) last = frame;
    return true;
  };
  SimFlow flow(net, true, kPort, 3, 1000, 0, 1 << 16, {});
  flow.client.closes = flow.server.closes = false;
  ASSERT_TRUE(net.run([&] {
    flow.step();
    return flow.server.received == 1000;
  }));
  wire::Tcp header = Captured::of(last)->tcp;
  header.sequence_number = Captured::of(last)->end().value();
  header.flags = wire::kTcpRst | wire::kTcpAck;
  inject(net.right(), with_segment(last, header, {}), net.now);
  EXPECT_EQ(flow.server.end, End::kReset);
}

// Every bit counts, if options are covered.
TEST(AuthenticationAttack, ChangedSegmentsAreDropped) {
  Quiet quiet({key_of("k", 1, 2)});
  SimHost& server = quiet.world.net.right();
  const auto original = Captured::of(quiet.model);
  std::uint64_t changed = 0;
  const auto try_with = [&](const auto& change) {
    wire::Tcp header = original->tcp;
    Frame payload = original->payload;
    change(header, payload);
    inject(server, with_segment(quiet.model, header, payload), quiet.world.net.now);
    EXPECT_EQ(refused(server), ++changed);
  };
  try_with([](wire::Tcp& header, Frame&) { ++header.window; });
  try_with([](wire::Tcp& header, Frame&) { ++header.acknowledgment_number; });
  try_with([](wire::Tcp& header, Frame&) { header.flags ^= wire::kTcpFin; });
  try_with([](wire::Tcp& header, Frame&) { ++header.options.timestamps->value; });
  try_with([](wire::Tcp& header, Frame&) { header.options.timestamps.reset(); });
  try_with([](wire::Tcp& header, Frame&) { header.options.user_timeout = 1; });
  try_with([](wire::Tcp& header, Frame&) { ++Captured::option_of(header).next_key_id; });
  try_with([](wire::Tcp& header, Frame&) { Captured::option_of(header).mac[11] ^= std::byte{1}; });
  try_with([](wire::Tcp&, Frame& payload) { payload.push_back({}); });
  // It is a duplicate as it was.
  inject(server, quiet.model, quiet.world.net.now);
  EXPECT_EQ(refused(server), changed);
  quiet.expect_unharmed();
}

// §9.1: middleboxes may change the others, if the key says so.
TEST(AuthenticationAttack, OptionsThatAreNotCoveredMayChange) {
  MasterKey key = key_of("k", 1, 2);
  key.covers_options = false;
  Quiet quiet({key});
  SimHost& server = quiet.world.net.right();
  const auto original = Captured::of(quiet.model);
  wire::Tcp header = original->tcp;
  header.options.timestamps = {.value = 1, .echo = 2};
  inject(server, with_segment(quiet.model, header, original->payload), quiet.world.net.now);
  EXPECT_EQ(refused(server), 0U);
  ++header.window;
  inject(server, with_segment(quiet.model, header, original->payload), quiet.world.net.now);
  EXPECT_EQ(refused(server), 1U);
}

// Of this connection they are old; of another one with the same name and keys, they are nothing.
TEST(AuthenticationAttack, RepeatedSegmentsDoNothing) {
  const std::vector<MasterKey> keys{key_of("k", 1, 2)};
  Quiet quiet(keys);
  AuthenticWorld& world = quiet.world;
  const auto repeat = [&] {
    for (const unsigned from : {0U, 1U}) {
      const std::vector<Frame> old = world.seen[from];
      for (const Frame& frame : old) {
        inject(from == 0 ? world.net.right() : world.net.left(), frame, world.net.now);
      }
    }
  };
  repeat();
  quiet.expect_unharmed();
  const std::uint16_t port = quiet.latest.source_port;
  world.client().abort(world.flow->client.id, world.net.now);
  ASSERT_TRUE(world.run([&] { return world.flow->is_over(); }));
  EXPECT_EQ(world.flow->server.end, End::kReset) << "the client's own is authentic";
  world.server().close(world.flow->listening);

  const std::uint64_t before = refused(world.net.right());
  world.net.filter = nullptr;
  world.flow = std::make_unique<SimFlow>(world.net, true, kPort, 5, 20'000, 20'000, 1 << 18,
                                         StreamOptions{}, shared(keys), port);
  ASSERT_TRUE(world.run_to_silence());
  repeat();
  quiet.expect_unharmed();
  EXPECT_GT(refused(world.net.right()), before + 10);
}

TEST(AuthenticationAttack, TimeWaitStaysForItsPeer) {
  AuthenticWorld world({}, {key_of("k", 1, 2)}, true, 1000);
  world.flow->server.closes = false;
  ASSERT_TRUE(world.run([&] { return world.flow->server.received == 1000; }));
  ASSERT_TRUE(world.run([&] { return world.flow->client.received == 1000; }));
  world.server().shut_down(world.flow->server.id, world.net.now);
  ASSERT_TRUE(world.run_to_end());
  ASSERT_EQ(world.client().connections(), 1U) << "TIME-WAIT";
  const Frame fin = world.seen[1].back();
  wire::Tcp header = Captured::of(fin)->tcp;
  for (const std::uint16_t flags : {wire::kTcpRst, wire::kTcpSyn}) {
    header.flags = flags;
    header.sequence_number += 1000;
    inject(world.net.left(), with_segment(fin, header, {}), world.net.now);
  }
  EXPECT_EQ(refused(world.net.left()), 2U);
  // The peer's own FIN is answered, authentically, as the monitor sees; the peer, which is gone,
  // sends a RST that it cannot sign.
  const std::uint64_t answers = world.monitor.codes;
  world.net.filter = [&world](unsigned from, const Frame& frame) {
    if (from == 0) world.monitor.see(from, frame);
    return true;
  };
  for (const Frame& frame : std::vector(world.seen[1])) {
    if ((Captured::of(frame)->tcp.flags & wire::kTcpFin) != 0) {
      inject(world.net.left(), frame, world.net.now);
    }
  }
  world.net.run_for(seconds(1));
  EXPECT_GT(world.monitor.codes, answers);
  EXPECT_EQ(world.client().connections(), 1U);
  EXPECT_EQ(refused(world.net.left()), 3U);
  expect_nothing_left(world.net);
}

// A server that has lost its connections, and cannot sign: §7.7. Keepalives find out.
TEST(AuthenticationAttack, ResetsOfNobodyAreNotBelieved) {
  Quiet quiet({key_of("k", 1, 2)});
  AuthenticWorld& world = quiet.world;
  world.net.filter = [](unsigned from, const Frame&) { return from == 0; };  // its RST is lost
  world.server().abort(world.flow->server.id, world.net.now);
  world.net.run_for(seconds(1));
  world.net.filter = nullptr;
  world.client().set_options(
      world.flow->client.id,
      {.keepalive = true, .keepalive_idle = seconds(1), .keepalive_interval = seconds(1)},
      world.net.now);
  ASSERT_TRUE(world.run([&] { return world.flow->client.is_released; }));
  EXPECT_EQ(world.flow->client.end, End::kTimedOut);
  EXPECT_GE(refused(world.net.left(), Discard::kAuthenticationMissing), 9U);
}

ip::PathError error_about(const wire::Tcp& header, SimNet& net, ip::PathErrorKind kind, bool ipv4) {
  ip::PathError error{.kind = kind, .mtu = 1300};
  error.quote.source = net.left().address(ipv4);
  error.quote.destination = net.right().address(ipv4);
  error.quote.transport = {wire::be16(header.source_port), wire::be16(header.destination_port),
                           wire::be32(header.sequence_number)};
  return error;
}

// §7.8: what would end other connections, or shrink their segments.
TEST(AuthenticationAttack, PathErrorsAreIgnored) {
  using Kind = ip::PathErrorKind;
  for (const bool ipv4 : {true, false}) {
    AuthenticWorld world({}, {key_of("k", 1, 2)}, ipv4, 20'000);
    ASSERT_TRUE(world.run_to_silence());
    // Something is in flight.
    world.net.filter = [](unsigned, const Frame&) { return false; };
    wire::Tcp header;
    world.net.filter = [&header](unsigned from, const Frame& frame) {
      const auto segment = Captured::of(frame);
      if (from == 0 && segment) header = segment->tcp;
      return false;
    };
    world.flow->client.to_send += 100;
    world.flow->client.produce();
    world.client().flush(world.net.now);
    ASSERT_NE(header.source_port, 0);
    const auto recognises = [&](Kind kind) {
      return world.client().recognises(error_about(header, world.net, kind, ipv4));
    };
    EXPECT_FALSE(recognises(Kind::kPortUnreachable));
    EXPECT_EQ(recognises(Kind::kProtocolUnreachable), !ipv4);
    EXPECT_EQ(recognises(Kind::kPacketTooBig), !ipv4);
    EXPECT_EQ(recognises(Kind::kNetworkUnreachable), ipv4);
    EXPECT_TRUE(recognises(Kind::kHostUnreachable));
    EXPECT_EQ(refused(world.net.left(), Discard::kAuthenticationPathError), ipv4 ? 3U : 2U);
    world.client().set_options(world.flow->client.id, {.heed_path_errors = true}, world.net.now);
    EXPECT_TRUE(recognises(Kind::kPortUnreachable));
    EXPECT_TRUE(recognises(Kind::kPacketTooBig));
    world.client().abort(world.flow->client.id, world.net.now);
    world.client().flush(world.net.now);
  }
}

// Nothing is kept of SYNs that are not authentic, and no cookie answers those that are: it would
// not remember the keys. Others' SYNs do not keep them out.
TEST(AuthenticationAttack, FloodsOfSyns) {
  SimNet net({}, 11);
  Frame syn;
  net.filter = [&syn](unsigned from, const Frame& frame) {
    const auto segment = Captured::of(frame);
    if (from == 0 && segment && segment->is_syn()) syn = frame;
    return from == 0;  // no answer comes back
  };
  MasterKey key = key_of("k", 1, 2);
  key.local_port = 4000;
  SimStream stream(net.right(), net, 7, 0, 0);
  SimListener listener(net.right(), net, [&stream] { return &stream; });
  const auto listening =
      net.right().tcp.listen({{}, kPort}, {.backlog = 2}, listener, std::vector{mirrored(key)});
  ASSERT_TRUE(listening.has_value());
  SimStream client(net.left(), net, 6, 0, 0);
  const auto id = net.left().tcp.connect({net.right().address(true), kPort}, {.port = 4000}, {},
                                         client.attachment(), net.now, std::vector{key});
  ASSERT_TRUE(id.has_value());
  client.id = *id;
  ASSERT_TRUE(net.run([&] { return !syn.empty(); }));
  const auto send_syn = [&](std::uint16_t port, std::uint32_t seq) {
    wire::Tcp header = Captured::of(syn)->tcp;
    header.source_port = port;
    header.sequence_number = seq;
    inject(net.right(), with_segment(syn, header, {}), net.now);
  };
  for (std::uint32_t i = 0; i < 100; ++i) send_syn(4000, i);
  EXPECT_EQ(refused(net.right(), Discard::kAuthenticationFailed), 100U);
  EXPECT_EQ(net.right().tcp.connections(), 0U);
  for (std::uint16_t port = 5000; port < 5100; ++port) send_syn(port, 1);
  EXPECT_EQ(net.right().tcp.connections(), 2U);
  EXPECT_EQ(net.right().tcp.counters().cookies_out, 98U);
  // The backlog is full; who has the key comes in, when answers come through.
  net.filter = nullptr;
  ASSERT_TRUE(net.run([&] { return stream.is_established; }));
  EXPECT_EQ(net.right().tcp.authentication(stream.id).count, 1);
  EXPECT_EQ(net.right().tcp.counters().cookies_out, 98U);
  net.left().tcp.abort(client.id, net.now);
  net.right().tcp.close(*listening);
  net.run_for(std::chrono::minutes(10));
}

}  // namespace
}  // namespace tideline::tcp::test
