// SPDX-License-Identifier: Apache-2.0
// TCP-AO: the vectors of RFC 9235; keys and their change (RFC 5925) between whole hosts in virtual
// time.
#include "tcp/authentication.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>

#include "tcp/authentication_vectors.h"
#include "tcp/test_authentication.h"
#include "wire/test_bytes.h"

namespace tideline::tcp::test {
namespace {

using std::chrono::milliseconds;

const LinkOptions kBadLink{
    .delay = milliseconds(5), .loss = 0.02, .duplicate = 0.01, .reorder = 0.02};

TEST(AuthenticationVectors, KeysAndCodesAreThoseOfTheRfc) {
  const auto pool =
      std::move(*packet::Pool::create({.segments = 16, .loans = 16, .huge_pages = false}));
  for (const AuthenticationVector& vector : kAuthenticationVectors) {
    SCOPED_TRACE(vector.section);
    const Frame packet = wire::from_hex(vector.packet);
    const bool ipv4 = std::to_integer<unsigned>(packet[0]) >> 4 == 4;
    const Captured segment(packet, 0, ipv4 ? 20 : 40);
    // Sections 5 and 7 have AES; x.2 omits options.
    const bool aes = vector.section[0] == '5' || vector.section[0] == '7';
    const bool covers_options = vector.section[2] == '1';
    const auto algorithm = aes ? MacAlgorithm::kAesCmac : MacAlgorithm::kHmacSha1;
    const bool from_server = segment.source.port == kVectorServerPort;
    KeyContext context{.source = segment.source,
                       .destination = segment.destination,
                       .source_isn = from_server ? vector.server_isn : vector.client_isn,
                       .destination_isn = from_server ? vector.client_isn : vector.server_isn};
    if (segment.is_syn()) context.destination_isn = 0;
    const TrafficKey key =
        derive_key(algorithm, std::as_bytes(std::span(kVectorMasterKey)), context);
    const auto key_bytes = std::as_bytes(std::span(key.bytes).first(key.size));
    EXPECT_TRUE(std::ranges::equal(key_bytes, wire::from_hex(vector.traffic_key)));
    EXPECT_TRUE(segment.has(segment.code(algorithm, key, covers_options, 0, *pool)));
    EXPECT_FALSE(segment.has(segment.code(algorithm, key, covers_options, 1, *pool)));
    EXPECT_FALSE(segment.has(segment.code(algorithm, key, !covers_options, 0, *pool)));
  }
}

// RFC 5926 §3.1.1.2: what is no master key of 128 bits is made one by AES-CMAC with a key of zeros.
TEST(AuthenticationVectors, AesKeysOf16BytesAreTakenAsTheyAre) {
  const std::string_view key = "k";
  const Frame of_zeros = wire::from_hex("29362a1b48f5d5a4f4b4866e0b7c7da4");  // by OpenSSL
  EXPECT_EQ(derive_key(MacAlgorithm::kAesCmac, std::as_bytes(std::span(key)), {}).bytes,
            derive_key(MacAlgorithm::kAesCmac, of_zeros, {}).bytes);
}

TEST(Authentication, EverySegmentIsAuthentic) {
  for (const MacAlgorithm algorithm : {MacAlgorithm::kHmacSha1, MacAlgorithm::kAesCmac}) {
    for (const bool ipv4 : {true, false}) {
      MasterKey key = key_of("a secret", 0, 255, algorithm);
      key.covers_options = ipv4 == (algorithm == MacAlgorithm::kAesCmac);
      AuthenticWorld world(kBadLink, {key}, ipv4);
      ASSERT_TRUE(world.run_to_end());
      world.flow->expect_intact();
      EXPECT_EQ(refused(world.net.left()) + refused(world.net.right()), 0U);
      EXPECT_GT(world.monitor.codes, 270U);
      // A segment at a time, for who cuts frames later has no key; and the option takes of the MSS.
      EXPECT_EQ(world.monitor.most_payload, (ipv4 ? 1460U : 1440U) - 12 - 16);
      EXPECT_EQ(world.monitor.most_sacks, 1U);
      expect_nothing_left(world.net);
    }
  }
}

// Accurate ECN, SACK and authentication want the same 40 bytes.
TEST(Authentication, SharesTheOptions) {
  AuthenticWorld ecn(kBadLink, {key_of("k", 1, 2)}, true, 100'000, {.accurate_ecn = true});
  ASSERT_TRUE(ecn.run_to_end());
  ecn.flow->expect_intact();
  AuthenticWorld without_stamps(kBadLink, {key_of("k", 1, 2)}, true, 100'000,
                                {.timestamps = false});
  ASSERT_TRUE(without_stamps.run_to_end());
  without_stamps.flow->expect_intact();
  EXPECT_EQ(without_stamps.monitor.most_sacks, 2U);
}

// RFC 7413's cookie finds no room: such connections are opened as any other.
TEST(Authentication, KeepsFastOpenOut) {
  SimNet net({}, 5, {.fast_open = true});
  for (std::uint16_t port = kPort; port < kPort + 2; ++port) {
    SimFlow flow(net, true, port, 3, 5000, 5000, 1 << 16, {.fast_open = true},
                 shared({key_of("k", 1, 1)}));
    EXPECT_FALSE(flow.early);
    ASSERT_TRUE(net.run([&] {
      flow.step();
      return flow.is_over();
    }));
    flow.expect_intact();
    EXPECT_FALSE(net.left().tcp.info(flow.client.id).syn_data);
  }
}

// All four traffic keys of §3.2.
TEST(Authentication, OpensSimultaneously) {
  SimNet net({.delay = milliseconds(5)}, 5);
  Monitor monitor({key_of("k", 1, 2)});
  net.filter = [&](unsigned from, const Frame& frame) {
    monitor.see(from, frame);
    return true;
  };
  const SimKeys keys = shared(monitor.keys);
  SimStream left(net.left(), net, 6, 1000, 1000);
  SimStream right(net.right(), net, 7, 1000, 1000);
  const auto open = [&](SimStream& stream, const std::vector<MasterKey>& with) {
    const SimHost& to = net.other(stream.host);
    const auto id = stream.host.tcp.connect({to.address(true), kPort}, {.port = kPort}, {},
                                            stream.attachment(), net.now, with);
    ASSERT_TRUE(id.has_value());
    stream.id = *id;
  };
  open(left, keys.client);
  open(right, keys.server);
  ASSERT_TRUE(net.run([&] { return left.is_released && right.is_released; }));
  EXPECT_TRUE(left.is_complete() && right.is_complete());
  EXPECT_EQ(refused(net.left()) + refused(net.right()), 0U);
}

// What becomes of a connection whose ends have other keys.
struct Refusal {
  SimKeys keys;
  bool by_server = true;
  Discard reason;
};

TEST(Authentication, OtherKeysDoNotConnect) {
  const MasterKey key = key_of("secret", 7, 8);
  MasterKey without_options = mirrored(key);
  without_options.covers_options = false;
  const MasterKey aes = key_of("secret", 8, 7, MacAlgorithm::kAesCmac);
  const std::vector<Refusal> refusals{
      {{{key}, {key_of("Secret", 8, 7)}}, true, Discard::kAuthenticationFailed},
      {{{key}, {key}}, true, Discard::kAuthenticationUnknownKey},
      {{{}, {key}}, true, Discard::kAuthenticationMissing},
      {{{key}, {without_options}}, true, Discard::kAuthenticationFailed},
      {{{key}, {aes}}, true, Discard::kAuthenticationFailed},
      // The server passes over the option, and its answer is refused.
      {{{key}, {}}, false, Discard::kAuthenticationMissing},
  };
  for (std::size_t i = 0; i < refusals.size(); ++i) {
    SCOPED_TRACE(i);
    const Refusal& refusal = refusals[i];
    SimNet net({}, 5);
    SimFlow flow(net, true, kPort, 3, 1000, 1000, 1 << 16, {}, refusal.keys);
    ASSERT_TRUE(net.run([&] { return flow.client.is_released; }));
    EXPECT_EQ(flow.client.end, End::kTimedOut);
    EXPECT_TRUE(flow.listener.accepted.empty());
    EXPECT_GE(refused(refusal.by_server ? net.right() : net.left(), refusal.reason), 5U);
    EXPECT_EQ(refused(refusal.by_server ? net.left() : net.right()), 0U);
    expect_nothing_left(net);
  }
}

// RFC 5925 §7.3.
TEST(Authentication, WhoHasNoKeyMayRefuseTheOption) {
  SimNet net({}, 5, {.drop_unexpected_authentication = true});
  SimFlow flow(net, true, kPort, 3, 1000, 1000, 1 << 16, {}, {{key_of("secret", 7, 8)}, {}});
  ASSERT_TRUE(net.run([&] { return flow.client.is_released; }));
  EXPECT_GE(refused(net.right(), Discard::kAuthenticationUnexpected), 5U);
  EXPECT_EQ(net.right().tcp.counters().segments_out, 0U);
}

TEST(Authentication, KeysAreForThoseWhomTheyMatch) {
  MasterKey network = key_of("secret", 1, 1);
  network.peer = *wire::Ipv6Prefix::from_text("2001:db8:5::/48");
  MasterKey port = key_of("secret", 2, 2);
  port.peer_port = 4000;
  for (std::uint16_t client_port = 3999; client_port <= 4000; ++client_port) {
    SimNet net({}, 5);
    SimFlow flow(net, true, kPort, 3, 1000, 1000, 1 << 16, {}, {{network}, {network, port}},
                 client_port);
    ASSERT_TRUE(net.run([&] {
      flow.step();
      return flow.client.is_released;
    }));
    EXPECT_EQ(flow.client.end, client_port == 4000 ? End::kTimedOut : End::kFinished);
  }
}

// §6.1: a new key is announced, and used as soon as its peer has it, while data moves.
TEST(Authentication, KeysChangeUnderWay) {
  const MasterKey first = key_of("first", 1, 2);
  const MasterKey second = key_of("second", 3, 4, MacAlgorithm::kAesCmac);
  AuthenticWorld world(kBadLink, {first}, true, 400'000);
  world.monitor.keys.push_back(second);
  const auto run_until = [&](std::uint64_t bytes) {
    return world.run([&world, bytes] { return world.flow->server.received >= bytes; });
  };
  const ConnectionId client = world.flow->client.id;
  ASSERT_TRUE(run_until(50'000));
  const ConnectionId server = world.flow->server.id;
  // What the server has not got is asked for in vain.
  ASSERT_TRUE(world.client().add_key(client, second));
  ASSERT_TRUE(world.client().use_keys(client, std::nullopt, 4));
  ASSERT_TRUE(run_until(120'000));
  EXPECT_EQ(world.monitor.last_key[1], 2U);
  EXPECT_EQ(world.server().authentication(server).received_next_key_id, 4);
  ASSERT_TRUE(world.server().add_key(server, mirrored(second)));
  ASSERT_TRUE(run_until(200'000));
  EXPECT_EQ(world.monitor.last_key[1], 4U);
  EXPECT_EQ(world.monitor.last_key[0], 1U);
  ASSERT_TRUE(
      world.run([&] { return world.client().authentication(client).received_key_id == 4; }));
  // The server wants the new one, too; then neither needs the old one.
  ASSERT_TRUE(world.server().use_keys(server, std::nullopt, 3));
  ASSERT_TRUE(run_until(300'000));
  EXPECT_EQ(world.monitor.last_key[0], 3U);
  ASSERT_TRUE(world.client().remove_key(client, 1, 2));
  ASSERT_TRUE(world.server().remove_key(server, 2, 1));
  EXPECT_EQ(world.client().authentication(client).count, 1);
  ASSERT_TRUE(world.run_to_end());
  world.flow->expect_intact();
  EXPECT_EQ(refused(world.net.left()), 0U);
}

// §7.1: it may be changed while no data is sent, and the peer hears of it.
TEST(Authentication, KeysChangeInSilence) {
  AuthenticWorld world({}, {key_of("first", 1, 2), key_of("second", 3, 4)}, false, 1000);
  ASSERT_TRUE(world.run_to_silence());
  EXPECT_EQ(world.monitor.last_key, (std::array{1U, 2U}));
  ASSERT_TRUE(world.client().use_keys(world.flow->client.id, std::nullopt, 4));
  world.net.run_for(std::chrono::seconds(1));
  EXPECT_EQ(world.server().authentication(world.flow->server.id).current, 1);
  ASSERT_TRUE(world.server().use_keys(world.flow->server.id, 4, 3));
  world.net.run_for(std::chrono::seconds(1));
  EXPECT_EQ(world.monitor.last_key[1], 4U);
  const AuthenticationInfo info = world.client().authentication(world.flow->client.id);
  EXPECT_EQ(info.received_key_id, 4);
  EXPECT_EQ(info.received_next_key_id, 3);
  EXPECT_EQ(info.keys[info.current].send_id, 3);
  EXPECT_EQ(info.refused, 0U);
  EXPECT_GT(info.key_authentic[0], 0U);
  EXPECT_GT(info.key_authentic[1], 0U);
  EXPECT_EQ(info.key_authentic[0] + info.key_authentic[1], info.authentic);
}

TEST(Authentication, KeysAreChecked) {
  SimNet net({}, 5);
  Tcp& tcp = net.left().tcp;
  SimListener listener(net.left(), net, [] { return nullptr; });
  const auto listening = tcp.listen({{}, kPort}, {}, listener, std::vector{key_of("a", 1, 1)});
  ASSERT_TRUE(listening.has_value());
  EXPECT_FALSE(tcp.add_key(*listening, key_of("", 2, 2)).has_value());
  EXPECT_FALSE(tcp.add_key(*listening, key_of("b", 1, 2)).has_value()) << "send_id is taken";
  EXPECT_FALSE(tcp.add_key(*listening, key_of("b", 2, 1)).has_value()) << "receive_id is taken";
  MasterKey network = key_of("b", 1, 1);
  network.peer = *wire::Ipv6Prefix::from_text("2001:db8::/32");
  EXPECT_FALSE(tcp.add_key(*listening, network).has_value()) << "lies in the first one's";
  for (std::uint8_t id = 2; id <= 4; ++id) {
    EXPECT_TRUE(tcp.add_key(*listening, key_of("b", id, id)).has_value());
  }
  EXPECT_FALSE(tcp.add_key(*listening, key_of("b", 5, 5)).has_value()) << "too many";
  EXPECT_TRUE(tcp.remove_key(*listening, 3, 3).has_value());
  EXPECT_FALSE(tcp.remove_key(*listening, 3, 3).has_value());
  EXPECT_TRUE(tcp.add_key(*listening, key_of("b", 5, 5)).has_value());
  const std::vector twice{key_of("a", 1, 1), key_of("a", 1, 1)};
  EXPECT_FALSE(tcp.listen({{}, kPort + 1}, {}, listener, twice).has_value());
  SimStream stream(net.left(), net, 6, 0, 0);
  const Endpoint to{net.right().address(true), kPort};
  EXPECT_FALSE(tcp.connect(to, {}, {}, stream.attachment(), net.now, twice).has_value());
  const auto plain = tcp.connect(to, {}, {}, stream.attachment(), net.now);
  EXPECT_FALSE(tcp.add_key(*plain, key_of("a", 1, 1)).has_value()) << "began without";
  EXPECT_FALSE(tcp.use_keys(*plain, 1, 1).has_value());
  EXPECT_EQ(tcp.authentication(*plain).count, 0);
  tcp.abort(*plain, net.now);
  tcp.flush(net.now);
  const auto keyed =
      tcp.connect(to, {}, {}, stream.attachment(), net.now, std::vector{key_of("a", 1, 1)});
  EXPECT_FALSE(tcp.remove_key(*keyed, 1, 1).has_value()) << "in use";
  EXPECT_FALSE(tcp.use_keys(*keyed, 2, std::nullopt).has_value());
  EXPECT_TRUE(tcp.add_key(*keyed, key_of("b", 2, 2)).has_value());
  EXPECT_TRUE(tcp.use_keys(*keyed, 2, 2).has_value());
  EXPECT_TRUE(tcp.remove_key(*keyed, 1, 1).has_value());
  EXPECT_EQ(tcp.authentication(*keyed).keys[0].send_id, 2);
  tcp.abort(*keyed, net.now);
  tcp.flush(net.now);
}

// RFC 9187 §6: numbers in an order in which they can come.
TEST(Authentication, ExtensionsAreThoseOfTheValidationSuite) {
  const std::vector<std::uint64_t> numbers{
      0x0'00000000, 0x0'30000000, 0x0'90000000, 0x0'70000000, 0x0'a0000000, 0x1'00000001,
      0x0'e0000000, 0x1'00000000, 0x1'7fffffff, 0x1'00000000, 0x1'50000000, 0x1'80000000,
      0x1'00000001, 0x1'40000000, 0x1'90000000, 0x1'b0000000, 0x2'0fffffff, 0x2'20000000,
      0x2'90000000, 0x2'70000000, 0x2'a0000000, 0x3'00004000, 0x2'd0000000, 0x3'20000000,
      0x3'90000000, 0x3'70000000, 0x3'a0000000, 0x4'00004000, 0x3'd0000000};
  std::uint64_t place = 0;
  for (const std::uint64_t number : numbers) {
    EXPECT_EQ(extension_of(Seq(static_cast<std::uint32_t>(number)), place), number >> 32);
    place = std::max(place, number);
  }
}

// §6.2: numbers pass 2^32, of either side; the monitor knows what each code covers.
TEST(Authentication, SequenceNumbersWrap) {
  constexpr std::uint16_t kClientPort = 4000;
  constexpr std::uint32_t kBeforeWrap = 0U - 100'000;
  const std::vector<MasterKey> keys{key_of("k", 1, 2)};
  for (const unsigned side : {0U, 1U}) {
    SimNet net({.delay = milliseconds(5), .loss = 0.02, .reorder = 0.02}, 11);
    std::unique_ptr<Monitor> monitor;
    std::uint32_t isn = 0;
    Instant chosen_at;
    net.filter = [&](unsigned from, const Frame& frame) {
      monitor->see(from, frame);
      const auto segment = Captured::of(frame);
      if (from == side && segment && (segment->tcp.flags & wire::kTcpSyn) != 0) {
        isn = segment->tcp.sequence_number;
        chosen_at = net.now;
      }
      return true;
    };
    const auto transfer = [&](std::uint16_t port) {
      monitor = std::make_unique<Monitor>(keys);
      SimFlow flow(net, true, port, 3, 300'000, 300'000, 1 << 18, {}, shared(keys), kClientPort);
      ASSERT_TRUE(net.run([&] {
        flow.step();
        return flow.is_over();
      }));
      flow.expect_intact();
      net.right().tcp.close(flow.listening);
    };
    transfer(kPort);
    // The clock in it (RFC 6528) has ticks of 4096 ns.
    const Duration wait = 4096 * Duration(kBeforeWrap - isn);
    net.run_for(
        chosen_at + wait - net.now +
        (wait < std::chrono::minutes(10) ? 4096 * Duration(std::int64_t{1} << 32) : Duration{}));
    transfer(kPort);
    EXPECT_GT(isn, 0U - 200'000);
    EXPECT_EQ(monitor->highest_extension, 1U);
    EXPECT_EQ(refused(net.left()) + refused(net.right()), 0U);
  }
}

}  // namespace
}  // namespace tideline::tcp::test
