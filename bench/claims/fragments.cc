// SPDX-License-Identifier: Apache-2.0
// A message that takes ten packets: as one datagram in ten fragments of IP, as ten datagrams that
// are cut from one, as ten segments of a TCP connection. Two hosts' whole IP; the wire between them
// loses packets, each by itself.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <vector>

#include "claims.h"
#include "ip/stack.h"
#include "nic/segmenter.h"
#include "packet/checksum.h"
#include "packet/copy.h"
#include "packet/pool.h"
#include "tcp/test_net.h"
#include "wire/ethernet.h"

namespace tideline::bench_claims {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::uint16_t kPort = 5000;
constexpr std::size_t kPackets = 10;
constexpr std::size_t kFragment = 1480;      // bytes of a datagram in a packet of 1500
constexpr std::size_t kSegment = 1472;       // the same without UDP's header
constexpr std::uint64_t kTries = 1'000'000;  // of a message that goes until it is whole
constexpr std::array kLosses{0.001, 0.003, 0.01, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3};

class LossyWire;

class Station final : private ip::Output, private ip::Events, private ip::UdpHandler {
 public:
  Station(LossyWire& wire, std::uint8_t number, Rng& rng)
      : wire_(wire),
        pool_(packet::Pool::create({.segments = 4096, .huge_pages = false}).value()),
        stack({.mac = wire::MacAddress({2, 0, 0, 0, 0, number}),
               .address_probe = {.probes = 0, .announcements = 0},
               // Messages go one after the other: what is not whole by then never is.
               .reassembly = {.time_ipv4 = std::chrono::milliseconds(500)}},
              *pool_, rng, *this, *this),
        address(wire::Ipv6Address::mapped(address4(number))) {
    EXPECT_TRUE(
        stack.add_address(wire::Ipv4Prefix{address4(number), 24}, {}, ip::Uniqueness::kCertain));
    EXPECT_TRUE(stack.udp().bind({address, kPort}, *this));
  }

  // Cut by IP if gso_size is 0, else as a NIC cuts datagrams.
  void send(const Station& to, const Bytes& message, std::uint16_t gso_size, Instant now) {
    packet::PassCounter passes;
    packet::PacketPtr packet = packet::copy_of(message, *pool_, passes);
    ASSERT_NE(packet, nullptr);
    if (gso_size > 0) {
      packet->meta().offload.gso = packet::Gso::kUdp;
      packet->meta().offload.gso_size = gso_size;
    }
    static_cast<void>(
        stack.udp().send(std::move(packet), {{address, kPort}, {to.address, kPort}}, now));
  }
  void take(const Bytes& frame, Instant now) {
    packet::PassCounter passes;
    stack.receive(packet::copy_of(frame, *pool_, passes), now);
  }

 private:
  static wire::Ipv4Address address4(std::uint8_t number) { return {192, 0, 2, number}; }
  void transmit(packet::PacketPtr frame, Instant now) override;
  // Ten of them, or the whole message: each byte says which packet it belongs to.
  void receive(packet::PacketPtr payload, const ip::UdpPath& /*path*/, Instant /*now*/) override {
    packet::PassCounter passes;
    Bytes bytes(payload->size());
    packet::copy_out(*payload, 0, bytes, passes);
    for (const std::byte byte : bytes) arrived.at(static_cast<std::size_t>(byte)) = true;
  }
  void failed(const ip::PathError& /*error*/, Instant /*now*/) override {}

  LossyWire& wire_;
  std::unique_ptr<packet::Pool> pool_;

 public:
  ip::Stack stack;
  wire::Ipv6Address address;
  std::array<bool, kPackets> arrived{};
};

class LossyWire {
 public:
  LossyWire(double loss, std::uint64_t seed) : loss_(loss), rng_(seed) {
    // Both learn each other's MAC while nothing is lost.
    left.send(right, Bytes(1), 0, now);
    settle(true);
    left.send(right, Bytes(1), 0, now);
    settle(true);
    EXPECT_TRUE(right.arrived[0]);
  }

  void put(const Station& from, Bytes frame) {
    if (carries(frame)) ++frames;
    flying_.emplace_back(&from == &left ? &right : &left, std::move(frame));
  }
  // Whether all of the message has come; `again`: what came before counts.
  bool deliver(const Bytes& message, std::uint16_t gso_size, bool again) {
    if (!again) right.arrived = {};
    left.send(right, message, gso_size, now);
    settle(false);
    return std::ranges::all_of(right.arrived, [](bool there) { return there; });
  }
  // What has come of the message before this is given up, as is what never becomes whole.
  void next() {
    now += std::chrono::seconds(1);
    left.stack.run_timers(now);
    right.stack.run_timers(now);
    settle(true);
  }

 private:
  // A piece of a message, neither ARP nor an error.
  static bool carries(const Bytes& frame) { return frame.size() > 1000; }

  void settle(bool clean) {
    while (!flying_.empty()) {
      const auto [to, frame] = std::move(flying_.front());
      flying_.pop_front();
      if (!clean && carries(frame) && rng_.unit() < loss_) continue;
      to->take(frame, now);
    }
  }

  double loss_;
  Rng rng_;
  std::deque<std::pair<Station*, Bytes>> flying_;

 public:
  Instant now{std::chrono::hours(1)};
  std::uint64_t frames = 0;
  Station left{*this, 1, rng_};
  Station right{*this, 2, rng_};
};

void Station::transmit(packet::PacketPtr frame, Instant /*now*/) {
  packet::PassCounter passes;
  if (frame->meta().offload.gso == packet::Gso::kNone) {
    ASSERT_TRUE(packet::complete_checksum(*frame, passes));
  }
  Bytes whole(frame->size());
  packet::copy_out(*frame, 0, whole, passes);
  if (frame->meta().offload.gso == packet::Gso::kNone) {
    wire_.put(*this, std::move(whole));
    return;
  }
  const auto segmenter = nic::Segmenter::create(*frame);
  ASSERT_TRUE(segmenter.has_value());
  for (std::size_t i = 0; i < segmenter->count(); ++i) {
    Bytes packet(segmenter->header_size());
    segmenter->write_headers(i, packet);
    const nic::Piece piece = segmenter->payload(i);
    const auto payload = wire::Bytes(whole).subspan(piece.offset, piece.size);
    wire::PartialChecksum sum;
    sum.add(payload);
    segmenter->fill_checksum(packet, sum);
    packet.insert(packet.end(), payload.begin(), payload.end());
    wire_.put(*this, std::move(packet));
  }
}

// Each byte names its packet; of fragments the first also carries UDP's header.
Bytes message_of(std::size_t packet, std::size_t header) {
  Bytes bytes(kPackets * packet - header);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>((i + header) / packet);
  }
  return bytes;
}

struct Arrivals {
  double fragments_once = 0;
  double fragments_four_times = 0;
  double segments_once = 0;
  double segments_twice = 0;
};

Arrivals arrivals(double loss, std::uint64_t seed, std::uint64_t messages) {
  const Bytes datagram = message_of(kFragment, 8);
  const Bytes segments = message_of(kSegment, 0);
  LossyWire wire(loss, seed);
  Arrivals counts;
  for (std::uint64_t i = 0; i < messages; ++i) {
    bool whole = wire.deliver(datagram, 0, false);
    counts.fragments_once += whole ? 1 : 0;
    for (int more = 0; more < 3; ++more) whole = wire.deliver(datagram, 0, false) || whole;
    counts.fragments_four_times += whole ? 1 : 0;
    counts.segments_once += wire.deliver(segments, kSegment, false) ? 1 : 0;
    counts.segments_twice += wire.deliver(segments, kSegment, true) ? 1 : 0;
    wire.next();
  }
  const auto all = static_cast<double>(messages);
  return {counts.fragments_once / all, counts.fragments_four_times / all,
          counts.segments_once / all, counts.segments_twice / all};
}

// Packets on the wire for a message of ten that goes, all of it, until it is whole.
double packets_of_datagrams(double loss, std::uint64_t seed, std::uint64_t messages) {
  const Bytes datagram = message_of(kFragment, 8);
  LossyWire wire(loss, seed);
  wire.frames = 0;
  for (std::uint64_t i = 0; i < messages; ++i) {
    for (std::uint64_t tries = 0; !wire.deliver(datagram, 0, false) && tries < kTries; ++tries) {
      if (tries % 64 == 63) wire.next();
    }
    wire.next();
  }
  return static_cast<double>(wire.frames) / static_cast<double>(messages);
}

// The same of TCP, which sends again what is missing: packets with payload for as many bytes as ten
// segments have. Without the search for the path's MTU: from 20 % on it takes the time-outs for a
// path that drops long packets (RFC 4821 §7.7), and the segments are no longer ten.
double packets_of_tcp(double loss, std::uint64_t seed, std::uint64_t messages) {
  constexpr std::size_t kTcpSegment = 1448;
  tcp::test::SimNet net({.loss = loss}, seed, {.mtu_probing = tcp::MtuProbing::kOff});
  std::uint64_t packets = 0;
  net.filter = [&](unsigned from, const Bytes& frame) {
    if (from == 0 && frame.size() > 66) ++packets;
    return true;
  };
  tcp::test::SimFlow flow(net, true, tcp::test::kPort, 1, messages * kPackets * kTcpSegment, 0,
                          1 << 18, {});
  net.run(
      [&] {
        flow.step();
        return flow.server.is_complete();
      },
      std::chrono::hours(1000));
  flow.server.consume();
  EXPECT_EQ(flow.server.received, flow.server.to_receive);
  return static_cast<double>(packets) / static_cast<double>(messages);
}

}  // namespace

void fragments(Run& run) {
  const std::uint64_t messages = run.times(10'000);
  const std::uint64_t sent = run.times(1000);
  double farthest = 0;  // from what is computed, in standard deviations
  const auto compare = [&](double seen, double expected, double deviation, std::uint64_t samples) {
    // Five more samples: of what almost never happens, one proves nothing.
    const double error = deviation / std::sqrt(static_cast<double>(samples));
    farthest = std::max(farthest,
                        (std::abs(seen - expected)) / (error + 5 / static_cast<double>(samples)));
  };
  const auto share = [&](double seen, double expected) {
    compare(seen, expected, std::sqrt(expected * (1 - expected)), messages);
  };
  bench::Table whole{
      .name = "fragments_whole",
      .columns = {"loss_%", "fragments_once_%", "fragments_once_analytic_%", "fragments_4_times_%",
                  "fragments_4_times_analytic_%", "segments_once_%", "segments_once_analytic_%",
                  "segments_twice_%", "segments_twice_analytic_%"},
      .rows = {}};
  bench::Table packets{
      .name = "fragments_packets",
      .columns = {"loss_%", "fragments", "fragments_analytic", "tcp", "segments_analytic"},
      .rows = {}};
  for (const double loss : kLosses) {
    const double all = std::pow(1 - loss, kPackets);
    const Arrivals seen = arrivals(loss, run.seed, messages);
    const double four_times = 1 - std::pow(1 - all, 4);
    const double twice = std::pow(1 - loss * loss, kPackets);
    share(seen.fragments_once, all);
    share(seen.fragments_four_times, four_times);
    share(seen.segments_once, all);
    share(seen.segments_twice, twice);
    whole.rows.push_back(
        {{},
         {100 * loss, 100 * seen.fragments_once, 100 * all, 100 * seen.fragments_four_times,
          100 * four_times, 100 * seen.segments_once, 100 * all, 100 * seen.segments_twice,
          100 * twice}});
    const double datagrams = packets_of_datagrams(loss, run.seed, sent);
    compare(datagrams / kPackets, 1 / all, std::sqrt(1 - all) / all, sent);
    packets.rows.push_back({{},
                            {100 * loss, datagrams, kPackets / all,
                             packets_of_tcp(loss, run.seed, sent), kPackets / (1 - loss)}});
  }
  run.report.check("simulated as computed", farthest < 5,
                   fmt::format("{:.1f} standard deviations at most", farthest));
  run.report.table(std::move(whole));
  run.report.table(std::move(packets));
}

}  // namespace tideline::bench_claims
