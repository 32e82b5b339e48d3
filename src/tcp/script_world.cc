// SPDX-License-Identifier: Apache-2.0
#include "tcp/script_world.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "packet/copy.h"
#include "wire/checksum.h"
#include "wire/protocol.h"

namespace tideline::tcp::test {
namespace {

wire::PartialChecksum pseudo_header(const wire::Ipv6Address& from, const wire::Ipv6Address& to,
                                    std::size_t size) {
  const auto length = static_cast<std::uint32_t>(size);
  if (!from.is_mapped()) return wire::pseudo_header(from, to, wire::kProtocolTcp, length);
  return wire::pseudo_header(from.mapped_ipv4(), to.mapped_ipv4(), wire::kProtocolTcp, length);
}

}  // namespace

std::string SentSegment::text() const {
  return fmt::format("got flags {:#x} seq {} ack {} size {} win {} sacks {} at {} s", header.flags,
                     header.sequence_number, header.acknowledgment_number, payload.size(),
                     header.window, header.options.sack_count,
                     static_cast<double>((at - kStart).count()) / 1e9);
}

World::World() {
  auto pool = packet::Pool::create({.segments = 512, .loans = 512, .huge_pages = false});
  EXPECT_TRUE(pool.has_value());
  pool_ = std::move(*pool);
  config.max_connections = 256;
  config.max_ranges = 4096;
  config.tracer = this;
  Rng rng(99);
  for (HashKey& key : config.secrets) key = HashKey::random(rng);
}

World::~World() { EXPECT_EQ(pool_->in_use(), 0U) << "packets were lost"; }

Tcp& World::tcp() {
  Network& network = *this;
  if (tcp_ == nullptr) tcp_ = std::make_unique<Tcp>(config, network, *pool_, rng_);
  return *tcp_;
}

wire::Ipv6Address World::our_address() const {
  return ipv4 ? wire::Ipv6Address::mapped(wire::Ipv4Address(192, 0, 2, 1))
              : wire::Ipv6Address(0x20010db800000000, 1);
}

wire::Ipv6Address World::their_address() const {
  return ipv4 ? wire::Ipv6Address::mapped(wire::Ipv4Address(192, 0, 2, 2))
              : wire::Ipv6Address(0x20010db800000000, 2);
}

void World::listen() {
  listening.stream = options;
  auto result = tcp().listen({.port = kPort}, listening, *this);
  ASSERT_TRUE(result.has_value());
  listener = *result;
}

void World::connect() {
  written_ = read_ = 0;
  auto result =
      tcp().connect({their_address(), kPeerPort}, {our_address(), kPort}, options, attach(), now);
  ASSERT_TRUE(result.has_value()) << result.error().message();
  id = *result;
}

void World::connect_to(std::uint16_t port) {
  auto result = tcp().connect({their_address(), port}, {}, options, {.owner = this}, now);
  ASSERT_TRUE(result.has_value()) << result.error().message();
}

Attachment World::attach() {
  out_memory_.resize(1 << 20);
  in_memory_.resize(buffer);
  std::construct_at(&out_indices_);
  std::construct_at(&in_indices_);
  out_ = std::make_unique<ByteFifo>(out_memory_, out_indices_);
  in_ = std::make_unique<ByteFifo>(in_memory_, in_indices_);
  outgoing_ = std::make_unique<OutgoingFifo>(*out_);
  incoming_ = std::make_unique<IncomingFifo>(*in_);
  return {.owner = this, .send = outgoing_.get(), .receive = incoming_.get()};
}

Attachment World::incoming(ListenerId /*listener*/, ConnectionId incoming_id,
                           const Tuple& /*tuple*/, Instant /*now*/) {
  events.emplace_back("incoming");
  if (out_ != nullptr) return {};
  id = incoming_id;
  return attach();
}

void World::write(std::size_t size, const std::string& how) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = byte_at(kOurStream, written_ + i);
  written_ += size;
  ASSERT_EQ(out_->write(bytes), size);
  if (how == "record") outgoing_->end_record();
  if (how == "urgent") outgoing_->mark_urgent();
  tcp().written(id, how == "more");
}

void World::read(std::size_t size) {
  std::vector<std::byte> bytes(size);
  ASSERT_EQ(in_->read(bytes), size) << "fewer bytes came";
  for (std::size_t i = 0; i < size; ++i) {
    ASSERT_EQ(bytes[i], byte_at(kTheirStream, read_ + i)) << "byte " << read_ + i;
  }
  read_ += size;
  tcp().consumed(id, now);
}

void World::set_option(const std::string& name) {
  if (name == "no_delay") {
    options.no_delay = true;
  } else if (name == "cork") {
    options.cork = true;
  } else if (name == "uncork") {
    options.cork = false;
  } else if (name == "reno") {
    options.congestion = CongestionAlgorithm::kReno;
  } else if (name == "bbr") {
    options.congestion = CongestionAlgorithm::kBbr;
  } else if (name == "dctcp") {
    options.congestion = CongestionAlgorithm::kDctcp;
  } else if (name == "fast") {
    options.fast_open = true;
  } else if (name == "keepalive") {
    options.keepalive = true;
  } else if (name == "quick_ack") {
    options.quick_ack = true;
  } else if (name == "tell_path_errors") {
    options.tell_path_errors = true;
  } else {
    FAIL() << "unknown option " << name;
  }
}

void World::receive(wire::Tcp header, std::size_t size, const Arrival& arrival) {
  header.source_port = arrival.port;
  header.destination_port = kPort;
  const std::size_t header_size = header.header_size();
  std::vector<std::byte> bytes(header_size + size);
  wire::emit(header, bytes);
  const std::uint32_t offset =
      (Seq(header.sequence_number) - their_iss) - ((header.flags & wire::kTcpSyn) != 0 ? 0U : 1U);
  for (std::size_t i = 0; i < size; ++i) {
    bytes[header_size + i] = byte_at(kTheirStream, offset + i);
  }
  auto sum = pseudo_header(their_address(), our_address(), bytes.size());
  sum.add(bytes);
  const auto checksum = static_cast<std::uint16_t>(sum.checksum() ^ (arrival.bad_sum ? 1 : 0));
  wire::view_as<wire::TcpHeader>(wire::MutableBytes(bytes)).checksum = wire::be16(checksum);
  packet::PassCounter passes;
  packet::PacketPtr packet = packet::copy_of(bytes, *pool_, passes);
  ASSERT_NE(packet, nullptr);
  ip::Datagram datagram{.layout = {.end = static_cast<std::uint32_t>(bytes.size()),
                                   .payload = static_cast<std::uint16_t>(header_size),
                                   .ip_version = static_cast<std::uint8_t>(ipv4 ? 4 : 6),
                                   .protocol = wire::kProtocolTcp},
                        .source = their_address(),
                        .destination = our_address(),
                        .to_group = arrival.to_group,
                        .traffic_class = arrival.ecn};
  tcp().receive(std::move(packet), datagram, now);
  if (!arrival.more) tcp().flush(now);
}

void World::error(const std::string& kind, std::uint32_t seq, std::uint32_t reported_mtu) {
  static constexpr std::array<std::pair<std::string_view, ip::PathErrorKind>, 7> kKinds{{
      {"network_unreachable", ip::PathErrorKind::kNetworkUnreachable},
      {"host_unreachable", ip::PathErrorKind::kHostUnreachable},
      {"protocol_unreachable", ip::PathErrorKind::kProtocolUnreachable},
      {"port_unreachable", ip::PathErrorKind::kPortUnreachable},
      {"too_big", ip::PathErrorKind::kPacketTooBig},
      {"time_exceeded", ip::PathErrorKind::kTimeExceeded},
      {"unknown", ip::PathErrorKind::kUnknown},
  }};
  const auto* found = std::ranges::find(kKinds, kind, &decltype(kKinds)::value_type::first);
  ASSERT_NE(found, kKinds.end());
  ip::PathError error{.kind = found->second, .mtu = reported_mtu};
  error.quote.source = our_address();
  error.quote.destination = their_address();
  error.quote.protocol = wire::kProtocolTcp;
  error.quote.transport = {.first = wire::be16(kPort),
                           .second = wire::be16(kPeerPort),
                           .third = wire::be32((our_iss + seq).value())};
  // As IP does it.
  if (!tcp().recognises(error)) return;
  if (reported_mtu != 0) mtu = static_cast<std::uint16_t>(reported_mtu);
  tcp().failed(error, now);
  tcp().flush(now);
}

void World::advance(Duration time) {
  const Instant until = kStart + time;
  for (int runs = 0; tcp_ != nullptr && tcp_->next_deadline() <= until; ++runs) {
    ASSERT_LT(runs, 100'000) << "timers do not get ahead";
    now = std::max(now, tcp_->next_deadline());
    tcp_->run_timers(now);
  }
  now = std::max(now, until);
}

void World::learn(const wire::Tcp& syn) {
  our_iss = Seq(syn.sequence_number);
  if (syn.options.timestamps) our_stamp = syn.options.timestamps->value;
}

std::string World::state() { return std::string(name_of(tcp().info(id).state)); }

std::uint64_t World::counter(const std::string& name) {
  const Counters& counters = tcp().counters();
  for (std::size_t i = 0; i < kDiscardCount; ++i) {
    if (name_of(static_cast<Discard>(i)) == name) return counters.discarded[i];
  }
  if (name == "tcp_checksum") return counters.of(wire::DropReason::kTcpChecksum);
  if (name == "tcp_option_length") return counters.of(wire::DropReason::kTcpOptionLength);
  if (name == "cookies_out") return counters.cookies_out;
  if (name == "cookies_in") return counters.cookies_in;
  if (name == "connections") return tcp().connections();
  if (name == "ranges") return tcp().ranges_in_use();
  if (name == "undone") return counters.undone;
  if (name == "timeouts") return counters.timeouts;
  if (name == "probes") return counters.probes;
  if (name == "black_holes") return counters.black_holes;
  ADD_FAILURE() << "unknown counter " << name;
  return 0;
}

std::uint64_t World::info(const std::string& name) {
  const Info info = tcp().info(id, now);
  if (name == "cwnd") return info.cwnd / info.mss;
  if (name == "ssthresh") return info.ssthresh / info.mss;
  if (name == "ecn") return info.ecn ? 1 : 0;
  if (name == "accurate_ecn") return info.accurate_ecn ? 1 : 0;
  if (name == "marked_packets") return info.marked_packets;
  if (name == "syn_data") return info.syn_data ? 1 : 0;
  if (name == "reordering") return info.reordering;
  if (name == "probes") return info.probes;
  if (name == "mss") return info.mss;
  if (name == "path_mtu") return info.path_mtu;
  if (name == "mtu_probes") return info.mtu_probes;
  if (name == "mtu_probes_lost") return info.mtu_probes_lost;
  if (name == "in_flight") return info.in_flight;
  if (name == "lost") return info.lost;
  if (name == "sacked") return info.sacked;
  if (name == "recovery") return static_cast<std::uint64_t>(info.recovery);
  if (name == "srtt_us") return static_cast<std::uint64_t>(info.srtt.count() / 1000);
  if (name == "rttvar_us") return static_cast<std::uint64_t>(info.rttvar.count() / 1000);
  if (name == "rto_ms") return static_cast<std::uint64_t>(info.rto.count() / 1'000'000);
  return figure(info, name);
}

// What is told as it is counted.
std::uint64_t World::figure(const Info& info, const std::string& name) {
  if (name == "segments_in") return info.segments_in;
  if (name == "segments_out") return info.segments_out;
  if (name == "data_segments_in") return info.data_segments_in;
  if (name == "data_segments_out") return info.data_segments_out;
  if (name == "delivered") return info.delivered;
  if (name == "bytes_sent") return info.bytes_sent;
  if (name == "bytes_retransmitted") return info.bytes_retransmitted;
  if (name == "segments_retransmitted") return info.segments_retransmitted;
  if (name == "segments_unacknowledged") return info.segments_unacknowledged;
  if (name == "segments_sacked") return info.segments_sacked;
  if (name == "segments_lost") return info.segments_lost;
  if (name == "segments_in_flight_again") return info.segments_in_flight_again;
  if (name == "duplicates") return info.duplicates;
  if (name == "out_of_order") return info.out_of_order;
  if (name == "reorderings") return info.reorderings;
  if (name == "receive_mss") return info.receive_mss;
  if (name == "timeouts") return info.timeouts;
  if (name == "timeout_rows") return info.timeout_rows;
  // To ten, for timers may be late by a tick of the wheel.
  if (name == "timed_out_ms") {
    return static_cast<std::uint64_t>(info.timed_out.count() + 5'000'000) / 10'000'000 * 10;
  }
  if (name == "ack_delay_ms") return static_cast<std::uint64_t>(info.ack_delay.count() / 1'000'000);
  if (name == "delivery_rate") return info.delivery_rate;
  if (name == "app_limited") return info.app_limited ? 1 : 0;
  if (name == "ect_seen") return info.ect_seen ? 1 : 0;
  if (name == "fast_child") return info.fast_child ? 1 : 0;
  if (name == "fast_open_failure") return static_cast<std::uint64_t>(info.fast_open_failure);
  ADD_FAILURE() << "unknown figure " << name;
  return 0;
}

ip::Sent World::send(packet::PacketPtr packet, const ip::Departure& departure, Instant at) {
  EXPECT_LE(packet->size() + (ipv4 ? 20 : 40), gso ? 65535U : mtu) << "longer than the path takes";
  packet::PassCounter passes;
  std::vector<std::byte> bytes(packet->size());
  packet::copy_out(*packet, 0, bytes, passes);
  const packet::Offload& offload = packet->meta().offload;
  EXPECT_EQ(offload.checksum, packet::Checksum::kNeeded);
  wire::PartialChecksum sum;
  sum.add(wire::Bytes(bytes).subspan(offload.checksum_start));
  wire::view_as<wire::TcpHeader>(wire::MutableBytes(bytes)).checksum = wire::be16(sum.checksum());
  auto check = pseudo_header(departure.source, departure.destination, bytes.size());
  check.add(bytes);
  EXPECT_TRUE(check.valid()) << "checksum";
  const auto header = wire::parse_tcp(bytes);
  EXPECT_TRUE(header.has_value());
  if (!header) return {};
  const auto header_size = static_cast<long>(*wire::check_tcp(bytes, bytes.size()));
  sent.push_back({.at = at,
                  .header = *header,
                  .payload = {bytes.begin() + header_size, bytes.end()},
                  .port = header->destination_port,
                  .ect = (departure.traffic_class & 3) == 2,
                  .gso_size = offload.gso_size});
  return {};
}

std::optional<wire::Ipv6Address> World::source_for(const wire::Ipv6Address& /*to*/) const {
  return our_address();
}

std::uint16_t World::mtu_to(const wire::Ipv6Address& /*to*/, Instant /*at*/) const { return mtu; }
bool World::takes_gso(bool /*version4*/) const { return gso; }
void World::confirm(const wire::Ipv6Address& /*to*/, Instant /*at*/) {}

// The first connection is the script's.
void World::state_changed(ConnectionId changed, State /*from*/, State /*to*/, Instant /*now*/) {
  if (id == ConnectionId{}) id = changed;
}

void World::established(ConnectionId /*id*/, Instant /*now*/) {
  events.emplace_back("established");
}
void World::readable(ConnectionId /*id*/, Instant /*now*/) { events.emplace_back("readable"); }
void World::peer_closed(ConnectionId /*id*/, Instant /*now*/) {
  events.emplace_back("peer_closed");
}
bool World::path_failed(ConnectionId /*id*/, const ip::PathError& /*error*/) {
  events.emplace_back("path_failed");
  return true;
}
void World::writable(ConnectionId /*id*/, Instant /*now*/) { events.emplace_back("writable"); }

void World::ended(ConnectionId /*id*/, End reason, Instant /*now*/) {
  static constexpr std::array<std::string_view, 9> kNames{"none",
                                                          "finished",
                                                          "reset",
                                                          "refused",
                                                          "timed_out",
                                                          "unreachable",
                                                          "network_unreachable",
                                                          "protocol_unreachable",
                                                          "aborted"};
  events.push_back(fmt::format("ended:{}", kNames[static_cast<std::size_t>(reason)]));
}

void World::released(ConnectionId /*id*/, Instant /*now*/) { events.emplace_back("released"); }

}  // namespace tideline::tcp::test
