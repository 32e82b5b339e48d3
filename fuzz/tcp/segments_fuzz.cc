// SPDX-License-Identifier: Apache-2.0
// Segments, calls and time as the input says, against one live connection. Whatever comes: no
// crash, nothing beyond the buffers, and when the connection is aborted nothing is left.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "base/check.h"
#include "input.h"
#include "packet/copy.h"
#include "packet/pool.h"
#include "tcp/byte_fifo.h"
#include "tcp/tcp.h"
#include "wire/protocol.h"
#include "wire/tcp.h"

namespace tideline::tcp {
namespace {

const wire::Ipv6Address kOurs = wire::Ipv6Address::mapped(wire::Ipv4Address(192, 0, 2, 1));
const wire::Ipv6Address kPeer = wire::Ipv6Address::mapped(wire::Ipv4Address(192, 0, 2, 2));
constexpr std::uint16_t kPort = 7;
constexpr std::uint16_t kPeerPort = 4000;

class Target final : private Network, private StreamOwner, private ListenerOwner {
 public:
  explicit Target(packet::Pool& pool)
      : pool_(pool), tcp_(config(), static_cast<Network&>(*this), pool, rng_) {}

  void run(Input input) {
    const std::uint8_t choice = input.byte();
    const StreamOptions options{.no_delay = (choice & 1) != 0,
                                .congestion = static_cast<CongestionAlgorithm>(choice >> 1 & 3),
                                .keepalive = true};
    if ((choice & 8) != 0) keys_.push_back({.send_id = 1, .receive_id = choice, .size = 16});
    CHECK(
        tcp_.listen({.port = kPort}, {.backlog = 2, .stream = options}, *this, keys_).has_value());
    while (!input.empty()) step(input);
    tcp_.abort(id_, now_);
    // Half-open connections and TIME-WAIT end by themselves.
    for (int i = 0; i < 10'000 && tcp_.next_deadline() != kNever; ++i) {
      now_ = std::max(now_, tcp_.next_deadline());
      tcp_.run_timers(now_);
    }
    for (packet::PacketPtr& packet : held_) packet.reset();
    tcp_.flush(now_);
    CHECK(tcp_.connections() == 0, "{} connections are left", tcp_.connections());
    CHECK(tcp_.ranges_in_use() == 0, "{} ranges are left", tcp_.ranges_in_use());
    CHECK(pool_.in_use() == 0, "{} segments are left", pool_.in_use());
  }

 private:
  static Config config() {
    return {.max_connections = 8, .max_ranges = 64, .max_time_wait = 2, .max_out_of_order = 8};
  }

  void step(Input& input) {
    switch (input.byte() % 8) {
      case 0:
        now_ += std::chrono::milliseconds(input.byte());
        tcp_.run_timers(now_);
        break;
      case 1: {
        std::array<std::byte, 4096> bytes{};
        out_.write(std::span(bytes).first(std::size_t{16} * input.byte()));
        tcp_.written(id_);
        break;
      }
      case 2: {
        std::array<std::byte, 4096> bytes;
        while (in_.read(bytes) > 0) continue;
        tcp_.consumed(id_, now_);
        break;
      }
      case 3:
        call(input.byte());
        break;
      default:
        segment(input);
        break;
    }
    tcp_.flush(now_);
  }

  void call(std::uint8_t which) {
    switch (which % 8) {
      case 0:
        tcp_.shut_down(id_, now_);
        break;
      case 1:
        tcp_.close(id_, false, now_);
        break;
      case 2:
        tcp_.abort(id_, now_);
        break;
      case 3:
        now_ += std::chrono::seconds(40);
        tcp_.run_timers(now_);
        break;
      case 4: {
        ip::PathError error{.kind = ip::PathErrorKind::kPacketTooBig, .mtu = 600};
        error.quote.source = kOurs;
        error.quote.destination = kPeer;
        error.quote.transport = {wire::be16(kPort), wire::be16(kPeerPort),
                                 wire::be32(snd_nxt_ - 1)};
        mtu_ = 600;
        if (tcp_.recognises(error)) tcp_.failed(error, now_);
        break;
      }
      case 5:
        tcp_.set_options(id_, {.congestion = static_cast<CongestionAlgorithm>(which >> 3 & 3)},
                         now_);
        break;
      default:
        if (!attached_ || released_) connect();
        break;
    }
  }

  void connect() {
    auto id = tcp_.connect({kPeer, kPeerPort}, {kOurs, kPort}, {}, attach(), now_, keys_);
    if (id) id_ = *id;
  }

  // Around what the connection expects, so that the input finds its windows.
  void segment(Input& input) {
    wire::Tcp header{.source_port = kPeerPort, .destination_port = kPort};
    header.flags = input.byte();
    const auto seq = static_cast<std::int16_t>(input.word());
    const auto ack = static_cast<std::int16_t>(input.word());
    header.sequence_number = rcv_nxt_ + static_cast<std::uint32_t>(std::int32_t{seq});
    header.acknowledgment_number = snd_nxt_ + static_cast<std::uint32_t>(std::int32_t{ack});
    header.window = input.word();
    header.urgent_pointer = header.window;
    const std::size_t size = std::size_t{8} * input.byte();
    const auto options = input.bytes(std::size_t{input.byte()} % 41 / 4 * 4);
    const std::size_t header_size = sizeof(wire::TcpHeader) + (options.size() + 3) / 4 * 4;
    std::vector<std::byte> bytes(header_size + size);
    wire::emit(header, bytes);
    wire::view_as<wire::TcpHeader>(wire::MutableBytes(bytes)).offset_flags = wire::be16(
        static_cast<std::uint16_t>(header_size / 4 << 12 | (header.flags & wire::kTcpFlagMask)));
    if (!options.empty()) {
      std::memcpy(bytes.data() + sizeof(wire::TcpHeader), options.data(), options.size());
    }
    packet::PassCounter passes;
    packet::PacketPtr packet = packet::copy_of(bytes, pool_, passes);
    packet->meta().offload.checksum = packet::Checksum::kValid;
    const ip::Datagram datagram{
        .layout = {.end = static_cast<std::uint32_t>(bytes.size()),
                   .payload = static_cast<std::uint16_t>(header_size),
                   .ip_version = 4,
                   .protocol = wire::kProtocolTcp},
        .source = kPeer,
        .destination = kOurs,
        .traffic_class = static_cast<std::uint8_t>(header.urgent_pointer & 3)};
    tcp_.receive(std::move(packet), datagram, now_);
  }

  Attachment attach() {
    out_indices_.written = out_indices_.consumed = 0;
    in_indices_.written = in_indices_.consumed = 0;
    attached_ = true;
    released_ = false;
    return {.owner = this, .send = &send_, .receive = &receive_};
  }

  // Network.
  ip::Sent send(packet::PacketPtr packet, const ip::Departure& /*departure*/,
                Instant /*at*/) override {
    CHECK(packet->size() + 20 <= 65535, "{} bytes", packet->size());
    const auto header = wire::parse_tcp(packet->first().bytes());
    CHECK(header.has_value());
    if ((header->flags & wire::kTcpRst) == 0) {
      const std::size_t size = packet->size() - header->header_size();
      snd_nxt_ = header->sequence_number + static_cast<std::uint32_t>(size) +
                 ((header->flags & (wire::kTcpSyn | wire::kTcpFin)) != 0 ? 1 : 0);
      if ((header->flags & wire::kTcpAck) != 0) rcv_nxt_ = header->acknowledgment_number;
    }
    // Frames stay below for a while, as in a queue.
    std::swap(held_[held_next_++ % held_.size()], packet);
    return {};
  }
  std::optional<wire::Ipv6Address> source_for(const wire::Ipv6Address& /*to*/) const override {
    return kOurs;
  }
  std::uint16_t mtu_to(const wire::Ipv6Address& /*to*/, Instant /*at*/) const override {
    return mtu_;
  }
  bool takes_gso(bool /*ipv4*/) const override { return true; }
  void confirm(const wire::Ipv6Address& /*to*/, Instant /*at*/) override {}

  // Owner.
  void readable(ConnectionId /*id*/, Instant /*now*/) override {
    CHECK(in_indices_.written - in_indices_.consumed <= in_.capacity());
  }
  void peer_closed(ConnectionId /*id*/, Instant /*now*/) override {}
  void writable(ConnectionId /*id*/, Instant /*now*/) override {
    CHECK(out_indices_.consumed <= out_indices_.written);
  }
  void ended(ConnectionId /*id*/, End reason, Instant /*now*/) override {
    CHECK(reason != End::kNone);
    for (packet::PacketPtr& packet : held_) packet.reset();
  }
  void released(ConnectionId id, Instant /*now*/) override {
    CHECK(id == id_);
    released_ = true;
  }
  Attachment incoming(ListenerId /*listener*/, ConnectionId id, const Tuple& /*tuple*/,
                      Instant /*now*/) override {
    if (attached_ && !released_) return {};
    id_ = id;
    return attach();
  }

  packet::Pool& pool_;
  Rng rng_{1};
  std::vector<MasterKey> keys_;  // of TCP-AO, if the input wants them
  Instant now_{std::chrono::hours(1)};
  std::uint16_t mtu_ = 1500;
  std::uint32_t rcv_nxt_ = 0;
  std::uint32_t snd_nxt_ = 0;
  ConnectionId id_;
  bool attached_ = false;
  bool released_ = false;
  std::array<std::byte, 1 << 16> out_memory_{};
  std::array<std::byte, 1 << 16> in_memory_{};
  FifoIndices out_indices_;
  FifoIndices in_indices_;
  ByteFifo out_{out_memory_, out_indices_};
  ByteFifo in_{in_memory_, in_indices_};
  OutgoingFifo send_{out_};
  IncomingFifo receive_{in_};
  Tcp tcp_;
  // Frames go before the connections from which they borrow.
  std::array<packet::PacketPtr, 3> held_;
  std::size_t held_next_ = 0;
};

}  // namespace
}  // namespace tideline::tcp

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tideline;
  static const auto pool =
      std::move(*packet::Pool::create({.segments = 256, .loans = 256, .huge_pages = false}));
  const auto target = std::make_unique<tcp::Target>(*pool);
  target->run(Input(data, size));
  return 0;
}
