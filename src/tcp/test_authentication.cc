// SPDX-License-Identifier: Apache-2.0
#include "tcp/test_authentication.h"

#include <algorithm>
#include <utility>

#include "packet/copy.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/packet_layout.h"
#include "wire/protocol.h"

namespace tideline::tcp::test {

MasterKey key_of(std::string_view secret, std::uint8_t send_id, std::uint8_t receive_id,
                 MacAlgorithm algorithm) {
  MasterKey key{.send_id = send_id,
                .receive_id = receive_id,
                .algorithm = algorithm,
                .size = static_cast<std::uint8_t>(secret.size())};
  std::ranges::copy(std::as_bytes(std::span(secret)), key.key.begin());
  return key;
}

MasterKey mirrored(MasterKey key) {
  std::swap(key.send_id, key.receive_id);
  std::swap(key.peer_port, key.local_port);
  return key;
}

SimKeys shared(const std::vector<MasterKey>& client_keys) {
  SimKeys keys{.client = client_keys};
  for (const MasterKey& key : client_keys) keys.server.push_back(mirrored(key));
  return keys;
}

Captured::Captured(const Frame& frame, std::size_t l3, std::size_t l4)
    : ipv4(std::to_integer<unsigned>(frame[l3]) >> 4 == 4) {
  const wire::Bytes bytes(frame);
  std::size_t end = 0;
  if (ipv4) {
    const auto& ip = wire::view_as<wire::Ipv4Header>(bytes.subspan(l3));
    source.address = wire::Ipv6Address::mapped(ip.source);
    destination.address = wire::Ipv6Address::mapped(ip.destination);
    end = l3 + ip.total_length.value();
  } else {
    const auto& ip = wire::view_as<wire::Ipv6Header>(bytes.subspan(l3));
    source.address = ip.source;
    destination.address = ip.destination;
    end = l4 + ip.payload_length.value();
  }
  const wire::Bytes segment = bytes.first(end).subspan(l4);
  tcp = wire::parse_tcp(segment).value();
  source.port = tcp.source_port;
  destination.port = tcp.destination_port;
  const std::size_t size = wire::view_as<wire::TcpHeader>(segment).header_size();
  header.assign(segment.begin(), segment.begin() + static_cast<std::ptrdiff_t>(size));
  payload.assign(segment.begin() + static_cast<std::ptrdiff_t>(size), segment.end());
}

std::unique_ptr<Captured> Captured::of(const Frame& frame) {
  const auto layout = wire::parse_layout(frame);
  if (!layout || layout->protocol != wire::kProtocolTcp) return nullptr;
  return std::make_unique<Captured>(frame, layout->l3, layout->l4);
}

wire::AuthenticationOption& Captured::option_of(wire::Tcp& header) {
  // NOLINTNEXTLINE(bugprone-unchecked-optional-access): the caller knows
  return header.options.authentication.value();
}

bool Captured::is_syn() const {
  return (tcp.flags & (wire::kTcpSyn | wire::kTcpAck)) == wire::kTcpSyn;
}

MessageCode::Code Captured::code(MacAlgorithm algorithm, const TrafficKey& key, bool covers_options,
                                 std::uint32_t extension, packet::Pool& pool) const {
  packet::PassCounter passes;
  const auto packet = payload.empty() ? nullptr : packet::copy_of(payload, pool, passes);
  MessageCode code(algorithm, key);
  return code_of(code, covers_options,
                 {.source = source,
                  .destination = destination,
                  .sequence_extension = extension,
                  .header = header,
                  .payload = packet.get()},
                 passes);
}

bool Captured::has(const MessageCode::Code& code) const {
  const auto& option = tcp.options.authentication;
  return option && std::ranges::equal(code, std::span(option->mac).first(option->mac_size));
}

Seq Captured::end() const {
  const bool counts = (tcp.flags & (wire::kTcpSyn | wire::kTcpFin)) != 0;
  return Seq(tcp.sequence_number) + static_cast<std::uint32_t>(payload.size() + (counts ? 1 : 0));
}

Frame with_segment(const Frame& frame, const wire::Tcp& header, const Frame& payload) {
  const auto layout = wire::parse_layout(frame).value();
  Frame segment(header.header_size());
  wire::emit(header, segment);
  segment.insert(segment.end(), payload.begin(), payload.end());
  Frame forged(frame.begin(), frame.begin() + layout.l4);
  const wire::MutableBytes bytes(forged);
  const auto length = static_cast<std::uint32_t>(segment.size());
  wire::PartialChecksum sum;
  if (layout.ip_version == 4) {
    auto& ip = wire::view_as<wire::Ipv4Header>(bytes.subspan(layout.l3));
    ip.total_length = wire::be16(static_cast<std::uint16_t>(layout.l4 - layout.l3 + length));
    ip.checksum = wire::be16(0);
    ip.checksum =
        wire::be16(wire::checksum(wire::Bytes(bytes).subspan(layout.l3, sizeof(wire::Ipv4Header))));
    sum = wire::pseudo_header(ip.source, ip.destination, wire::kProtocolTcp, length);
  } else {
    auto& ip = wire::view_as<wire::Ipv6Header>(bytes.subspan(layout.l3));
    ip.payload_length = wire::be16(static_cast<std::uint16_t>(length));
    sum = wire::pseudo_header(ip.source, ip.destination, wire::kProtocolTcp, length);
  }
  auto& tcp = wire::view_as<wire::TcpHeader>(wire::MutableBytes(segment));
  tcp.checksum = wire::be16(0);
  sum.add(segment);
  tcp.checksum = wire::be16(sum.checksum());
  forged.insert(forged.end(), segment.begin(), segment.end());
  return forged;
}

Monitor::Monitor(std::vector<MasterKey> client_keys)
    : keys(std::move(client_keys)),
      pool_(std::move(*packet::Pool::create({.segments = 64, .loans = 16, .huge_pages = false}))) {}

void Monitor::see(unsigned from, const Frame& frame) {
  const auto segment = Captured::of(frame);
  if (!segment) return;
  Side& side = sides_[from];
  if ((segment->tcp.flags & wire::kTcpSyn) != 0 && side.highest == 0) {
    side.isn = side.highest = segment->tcp.sequence_number;
  }
  const auto& option = segment->tcp.options.authentication;
  if (!option) {
    ADD_FAILURE() << "a segment without the option";
    return;
  }
  const auto key = std::ranges::find_if(keys, [&](const MasterKey& each) {
    return (from == 0 ? each.send_id : each.receive_id) == option->key_id;
  });
  ASSERT_NE(key, keys.end()) << "key " << unsigned{option->key_id};
  const KeyContext context{.source = segment->source,
                           .destination = segment->destination,
                           .source_isn = side.isn,
                           .destination_isn = segment->is_syn() ? 0 : sides_[1 - from].isn};
  const TrafficKey traffic = derive_key(key->algorithm, key->secret(), context);
  const std::uint32_t extension = side.extend(segment->tcp.sequence_number);
  EXPECT_TRUE(
      segment->has(segment->code(key->algorithm, traffic, key->covers_options, extension, *pool_)));
  ++codes;
  most_payload = std::max(most_payload, segment->payload.size());
  most_sacks = std::max<std::size_t>(most_sacks, segment->tcp.options.sack_count);
  highest_extension = std::max(highest_extension, extension);
  last_key[from] = option->key_id;
}

std::uint32_t Monitor::Side::extend(std::uint32_t seq) {
  constexpr std::uint32_t kHalf = 1U << 31;
  const bool near = std::max(seq, highest) - std::min(seq, highest) < kHalf;
  if (!near && seq >= kHalf) return extension - 1;  // of before the wrap
  extension += near ? 0 : 1;
  highest = near ? std::max(seq, highest) : seq;
  return extension;
}

std::uint64_t refused(SimHost& host, Discard reason) { return host.tcp.counters().of(reason); }

std::uint64_t refused(SimHost& host) {
  return refused(host, Discard::kAuthenticationMissing) +
         refused(host, Discard::kAuthenticationUnknownKey) +
         refused(host, Discard::kAuthenticationLength) +
         refused(host, Discard::kAuthenticationFailed) +
         refused(host, Discard::kAuthenticationUnexpected);
}

void expect_nothing_left(SimNet& net) {
  net.run_for(std::chrono::minutes(10));
  for (SimHost* host : {&net.left(), &net.right()}) {
    EXPECT_EQ(host->tcp.connections(), 0U);
    EXPECT_EQ(host->pool->in_use(), 0U);
  }
}

AuthenticWorld::AuthenticWorld(const LinkOptions& link, const std::vector<MasterKey>& keys,
                               bool ipv4, std::uint64_t size, const Config& config)
    : monitor(keys), net(link, 11, config) {
  net.filter = [this](unsigned from, const Frame& frame) {
    monitor.see(from, frame);
    if (Captured::of(frame)) seen[from].push_back(frame);
    return true;
  };
  flow = std::make_unique<SimFlow>(net, ipv4, kPort, 3, size, size, 1 << 18, StreamOptions{},
                                   shared(keys));
}

bool AuthenticWorld::run(const std::function<bool()>& done) {
  return net.run([&] {
    flow->step();
    return done();
  });
}

bool AuthenticWorld::run_to_end() {
  return run([&] { return flow->is_over(); });
}

bool AuthenticWorld::run_to_silence() {
  flow->client.closes = flow->server.closes = false;
  const bool there = run([&] {
    return flow->client.received == flow->client.to_receive &&
           flow->server.received == flow->server.to_receive;
  });
  net.run_for(std::chrono::seconds(1));
  return there;
}

void inject(SimHost& host, const Frame& frame, Instant now) {
  packet::PassCounter passes;
  host.stack.receive(packet::copy_of(frame, *host.pool, passes), now);
  host.tcp.flush(now);
}

}  // namespace tideline::tcp::test
