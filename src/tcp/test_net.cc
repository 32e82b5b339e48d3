// SPDX-License-Identifier: Apache-2.0
#include "tcp/test_net.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "ip/frame.h"
#include "packet/copy.h"
#include "wire/ethernet.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/packet_layout.h"
#include "wire/protocol.h"

namespace tideline::tcp::test {
namespace {

using Bytes = std::vector<std::byte>;

wire::MacAddress mac_of(unsigned number) {
  return wire::MacAddress({2, 0, 0, 0, 0, static_cast<std::uint8_t>(number + 1)});
}

Bytes contents(const packet::Packet& packet) {
  packet::PassCounter passes;
  Bytes bytes(packet.size());
  packet::copy_out(packet, 0, bytes, passes);
  return bytes;
}

void fill_checksum(Bytes& bytes, const packet::Offload& offload) {
  if (offload.checksum != packet::Checksum::kNeeded) return;
  wire::PartialChecksum sum;
  sum.add(wire::Bytes(bytes).subspan(offload.checksum_start));
  wire::view_as<wire::be16>(
      wire::MutableBytes(bytes).subspan(offload.checksum_start + offload.checksum_offset)) =
      wire::be16(sum.checksum() == 0 ? 0xffff : sum.checksum());
}

// One segment of a super frame, as a NIC cuts it.
Bytes cut_segment(const Bytes& whole, const wire::PacketLayout& layout, std::size_t offset,
                  std::size_t size) {
  Bytes bytes(whole.begin(), whole.begin() + layout.payload);
  bytes.insert(bytes.end(), whole.begin() + static_cast<long>(layout.payload + offset),
               whole.begin() + static_cast<long>(layout.payload + offset + size));
  auto& tcp = wire::view_as<wire::TcpHeader>(wire::MutableBytes(bytes).subspan(layout.l4));
  tcp.sequence_number =
      wire::be32(tcp.sequence_number.value() + static_cast<std::uint32_t>(offset));
  std::uint16_t flags = tcp.offset_flags.value();
  if (offset > 0) flags &= static_cast<std::uint16_t>(~wire::kTcpCwr);
  if (offset + size < layout.payload_size()) {
    flags &= static_cast<std::uint16_t>(~(wire::kTcpPsh | wire::kTcpFin));
  }
  tcp.offset_flags = wire::be16(flags);
  tcp.checksum = wire::be16(0);
  const auto length = static_cast<std::uint32_t>(bytes.size() - layout.l4);
  wire::PartialChecksum sum;
  if (layout.ip_version == 4) {
    auto& ip = wire::view_as<wire::Ipv4Header>(wire::MutableBytes(bytes).subspan(layout.l3));
    ip.total_length = wire::be16(static_cast<std::uint16_t>(bytes.size() - layout.l3));
    ip.checksum = wire::be16(0);
    ip.checksum =
        wire::be16(wire::checksum(wire::Bytes(bytes).subspan(layout.l3, sizeof(wire::Ipv4Header))));
    sum = wire::pseudo_header(ip.source, ip.destination, layout.protocol, length);
  } else {
    auto& ip = wire::view_as<wire::Ipv6Header>(wire::MutableBytes(bytes).subspan(layout.l3));
    ip.payload_length = wire::be16(static_cast<std::uint16_t>(length));
    sum = wire::pseudo_header(ip.source, ip.destination, layout.protocol, length);
  }
  sum.add(wire::Bytes(bytes).subspan(layout.l4));
  wire::view_as<wire::TcpHeader>(wire::MutableBytes(bytes).subspan(layout.l4)).checksum =
      wire::be16(sum.checksum());
  return bytes;
}

// ARP and NDP have few tries, and are not what is tested: they fare well.
bool is_tcp(const Bytes& bytes) {
  const auto layout = wire::parse_layout(bytes);
  return layout && layout->protocol == wire::kProtocolTcp;
}

// False if it is not ECN-capable.
bool mark_ce(Bytes& bytes) {
  const auto layout = wire::parse_layout(bytes);
  if (!layout || layout->ip_version != 4) return false;
  auto& ip = wire::view_as<wire::Ipv4Header>(wire::MutableBytes(bytes).subspan(layout->l3));
  if ((ip.traffic_class & 3) == 0) return false;
  ip.traffic_class |= 3;
  ip.checksum = wire::be16(0);
  ip.checksum =
      wire::be16(wire::checksum(wire::Bytes(bytes).subspan(layout->l3, sizeof(wire::Ipv4Header))));
  return true;
}

std::unique_ptr<packet::Pool> make_pool() {
  auto pool = packet::Pool::create({.segments = 1024, .loans = 1024, .huge_pages = false});
  EXPECT_TRUE(pool.has_value()) << pool.error().message();
  return std::move(*pool);
}

Config with_secrets(Config config, std::uint64_t seed) {
  Rng rng(seed);
  for (HashKey& key : config.secrets) key = HashKey::random(rng);
  return config;
}

}  // namespace

SimHost::SimHost(SimNet& net, unsigned number, const Config& config, std::uint64_t seed)
    : pool(make_pool()),
      rng(seed),
      stack({.mac = mac_of(number), .ndp = {.duplicate_probes = 0}}, *pool, rng, *this, *this),
      network(stack, true, true),
      tcp(with_secrets(config, seed ^ 0x5eed), network, *pool, rng),
      net_(net),
      number_(number) {
  const auto last = static_cast<std::uint8_t>(number + 1);
  EXPECT_TRUE(stack.add_address(wire::Ipv4Prefix{wire::Ipv4Address(192, 0, 2, last), 24}, net.now,
                                ip::Uniqueness::kCertain));
  EXPECT_TRUE(stack.add_address(wire::Ipv6Prefix{wire::Ipv6Address(0x20010db800000000, last), 64},
                                net.now, ip::Uniqueness::kCertain));
  stack.set_handler(wire::kProtocolTcp, &tcp);
}

wire::Ipv6Address SimHost::address(bool ipv4) const {
  const auto last = static_cast<std::uint8_t>(number_ + 1);
  return ipv4 ? wire::Ipv6Address::mapped(wire::Ipv4Address(192, 0, 2, last))
              : wire::Ipv6Address(0x20010db800000000, last);
}

void SimHost::transmit(packet::PacketPtr frame, Instant /*now*/) {
  net_.transmit(number_, std::move(frame));
}

SimNet::SimNet(const LinkOptions& options, std::uint64_t seed, const Config& config)
    : link(options), rng_(seed) {
  left_ = std::make_unique<SimHost>(*this, 0, config, rng_());
  right_ = std::make_unique<SimHost>(*this, 1, config, rng_());
}

SimNet::~SimNet() { flying_.clear(); }

void SimNet::transmit(unsigned from, packet::PacketPtr frame) {
  const packet::Offload offload = frame->meta().offload;
  if (link.super_frames) {
    ++frames;
    fly({.due = now + link.delay, .to = 1 - from, .packet = std::move(frame)});
    return;
  }
  Bytes bytes = contents(*frame);
  if (offload.gso == packet::Gso::kNone) {
    fill_checksum(bytes, offload);
    put_on_wire(from, std::move(bytes));
    return;
  }
  const auto layout = wire::parse_layout(bytes);
  ASSERT_TRUE(layout.has_value());
  ASSERT_EQ(offload.header_length, layout->payload);
  for (std::size_t at = 0; at < layout->payload_size(); at += offload.gso_size) {
    const std::size_t size = std::min<std::size_t>(offload.gso_size, layout->payload_size() - at);
    put_on_wire(from, cut_segment(bytes, *layout, at, size));
  }
}

void SimNet::put_on_wire(unsigned from, Bytes bytes) {
  ASSERT_LE(bytes.size(), 1514U) << "more than the link carries";
  ++frames;
  if (filter && !filter(from, bytes)) return;
  if (change) change(bytes);
  if (!is_tcp(bytes)) {
    fly({.due = now + link.delay, .to = 1 - from, .bytes = std::move(bytes)});
    return;
  }
  if (rng_.unit() < link.loss) {
    ++lost;
    return;
  }
  const std::optional<Instant> leaves = queue(from, bytes);
  if (!leaves) return;
  Instant due = *leaves + link.delay;
  if (rng_.unit() < link.reorder) due += link.reorder_delay;
  if (rng_.unit() < link.mark) mark_ce(bytes);
  const bool twice = rng_.unit() < link.duplicate;
  if (rng_.unit() < link.corrupt) {
    bytes[rng_.below(bytes.size())] ^= static_cast<std::byte>(1 + rng_.below(255));
  }
  if (twice) fly({.due = due, .to = 1 - from, .bytes = bytes});
  fly({.due = due, .to = 1 - from, .bytes = std::move(bytes)});
}

std::optional<Instant> SimNet::queue(unsigned from, Bytes& bytes) {
  if (link.rate == 0) return now;
  Instant& free_at = free_at_[from];
  const Instant begins = std::max(free_at, now);
  const double before =
      static_cast<double>((begins - now).count()) * static_cast<double>(link.rate) / 8e9;
  Queued queued{.from = from, .waiting = begins - now};
  queued.lost = before + static_cast<double>(bytes.size()) > static_cast<double>(link.queue);
  if (queued.lost) {
    ++lost;
  } else {
    queued.marked = before > static_cast<double>(link.mark_threshold) && mark_ce(bytes);
    free_at = begins + Duration(static_cast<std::int64_t>(static_cast<double>(bytes.size()) * 8e9 /
                                                          static_cast<double>(link.rate)));
  }
  if (watch) watch(queued);
  if (queued.lost) return std::nullopt;
  return free_at;
}

void SimNet::fly(Flying flying) {
  flying.number = ++number_;
  flying_.push_back(std::move(flying));
  std::ranges::push_heap(flying_, Later());
}

void SimNet::deliver(Flying flying) {
  SimHost& host = flying.to == 0 ? *left_ : *right_;
  packet::PacketPtr packet = std::move(flying.packet);
  if (packet == nullptr) {
    packet::PassCounter passes;
    packet = packet::copy_of(flying.bytes, *host.pool, passes);
    ASSERT_NE(packet, nullptr) << "pool exhausted";
  }
  host.stack.receive(std::move(packet), now);
}

Instant SimNet::next_event() const {
  Instant next = flying_.empty() ? kNever : flying_.front().due;
  for (const SimHost* host : {left_.get(), right_.get()}) {
    next = std::min({next, host->stack.next_deadline(), host->tcp.next_deadline()});
  }
  return next;
}

bool SimNet::run(const std::function<bool()>& done, Duration most) {
  const Instant end = now + most;
  for (std::uint64_t stuck = 0; !done();) {
    const Instant next = next_event();
    if (next > end) {
      now = end;
      return false;
    }
    stuck = next > now ? 0 : stuck + 1;
    if (stuck > 100'000) {
      ADD_FAILURE() << "time stands still";
      return false;
    }
    now = std::max(now, next);
    while (!flying_.empty() && flying_.front().due <= now) {
      std::ranges::pop_heap(flying_, Later());
      Flying flying = std::move(flying_.back());
      flying_.pop_back();
      deliver(std::move(flying));
    }
    for (SimHost* host : {left_.get(), right_.get()}) {
      if (host->stack.next_deadline() <= now) host->stack.run_timers(now);
      host->tcp.run_timers(now);
    }
  }
  return true;
}

namespace {

std::uint64_t word_at(std::uint64_t stream, std::uint64_t offset) {
  return wire::mix_hash(stream * 0x9e3779b97f4a7c15 + (offset >> 3));
}

}  // namespace

std::byte byte_at(std::uint64_t stream, std::uint64_t offset) {
  return static_cast<std::byte>(word_at(stream, offset) >> (8 * (offset & 7)));
}

// A word at a time: simulated streams are long.
void bytes_at(std::uint64_t stream, std::uint64_t offset, std::span<std::byte> out) {
  std::byte* to = out.data();
  for (std::size_t left = out.size(); left > 0;) {
    const std::size_t within = offset & 7;
    const std::size_t size = std::min(left, 8 - within);
    const std::uint64_t word = word_at(stream, offset) >> (8 * within);
    std::memcpy(to, &word, size);
    to += size;
    offset += size;
    left -= size;
  }
}

SimStream::SimStream(SimHost& on, SimNet& network, std::uint64_t own_seed, std::uint64_t sends,
                     std::uint64_t receives, std::size_t buffer)
    : host(on),
      net(network),
      seed(own_seed),
      expected_seed(own_seed ^ 1),
      to_send(sends),
      to_receive(receives),
      out_memory_(buffer),
      in_memory_(buffer),
      out_(out_memory_, out_indices_),
      in_(in_memory_, in_indices_) {}

void SimStream::produce() {
  std::array<std::byte, 4096> bytes;
  while (sent < to_send && out_.writable() > 0) {
    const std::size_t size =
        std::min<std::uint64_t>({bytes.size(), out_.writable(), to_send - sent});
    bytes_at(seed, sent, std::span(bytes).first(size));
    sent += out_.write(std::span(bytes).first(size));
  }
  host.tcp.written(id);
  if (sent == to_send && closes) host.tcp.shut_down(id, net.now);
}

void SimStream::consume() {
  std::array<std::byte, 4096> bytes;
  std::array<std::byte, 4096> expected;
  while (const std::size_t size = in_.read(bytes)) {
    bytes_at(expected_seed, received, std::span(expected).first(size));
    if (std::memcmp(bytes.data(), expected.data(), size) != 0) ++wrong;
    received += size;
  }
  host.tcp.consumed(id, net.now);
}

void SimStream::established(ConnectionId /*id*/, Instant /*now*/) {
  is_established = true;
  produce();
}

void SimStream::readable(ConnectionId /*id*/, Instant /*now*/) {
  if (reads) consume();
}

void SimStream::peer_closed(ConnectionId /*id*/, Instant /*now*/) { peer_done = true; }

void SimStream::writable(ConnectionId /*id*/, Instant /*now*/) {
  if (sent < to_send) produce();
}

void SimStream::ended(ConnectionId /*id*/, End reason, Instant /*now*/) { end = reason; }

void SimStream::released(ConnectionId /*id*/, Instant /*now*/) { is_released = true; }

Attachment SimListener::incoming(ListenerId /*listener*/, ConnectionId id, const Tuple& /*tuple*/,
                                 Instant /*now*/) {
  SimStream* stream = make();
  if (stream == nullptr) return {};
  stream->id = id;
  stream->is_established = true;
  accepted.push_back(stream);
  return stream->attachment();
}

SimFlow::SimFlow(SimNet& network, bool ipv4, std::uint16_t port, std::uint64_t seed,
                 std::uint64_t forth, std::uint64_t back, std::size_t buffer,
                 const StreamOptions& options, const SimKeys& keys, std::uint16_t client_port)
    : net(network),
      client(net.left(), net, seed * 2, forth, back, buffer),
      server(net.right(), net, seed * 2 + 1, back, forth, buffer),
      listener(net.right(), net, [this] { return &server; }) {
  const auto listens =
      net.right().tcp.listen({{}, port}, {.stream = options}, listener, keys.server);
  EXPECT_TRUE(listens.has_value());
  listening = *listens;
  auto id = net.left().tcp.connect({net.right().address(ipv4), port}, {.port = client_port},
                                   options, client.attachment(), net.now, keys.client);
  EXPECT_TRUE(id.has_value());
  client.id = *id;
  early = net.left().tcp.may_write_early(*id);
  if (early) client.produce();
}

void SimFlow::step() {
  if (listener.accepted.empty() || std::exchange(started, true)) return;
  net.right().tcp.accepted(server.id);
  server.produce();
}

void SimFlow::expect_intact() const {
  EXPECT_EQ(client.received, client.to_receive);
  EXPECT_EQ(server.received, server.to_receive);
  EXPECT_EQ(client.wrong + server.wrong, 0U);
  EXPECT_EQ(client.end, End::kFinished);
  EXPECT_EQ(server.end, End::kFinished);
}

}  // namespace tideline::tcp::test
