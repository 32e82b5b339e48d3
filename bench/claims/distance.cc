// SPDX-License-Identifier: Apache-2.0
// When the last byte of a message is there, by TCP and by RDMA, as the round trip grows. Virtual
// time: processors cost nothing here, links carry any rate, and only what the protocols wait for is
// seen.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>

#include "claims.h"
#include "rdma/test_network.h"
#include "tcp/test_net.h"

namespace tideline::bench_claims {
namespace {

using std::chrono::microseconds;

constexpr std::size_t kBuffer = std::size_t{8} << 20;
constexpr std::array<std::size_t, 3> kSizes{64, 64 << 10, 1 << 20};

struct TcpTimes {
  Duration fresh{};  // with the handshake
  Duration warm{};   // the next message, at once
  Duration idle{};   // another one, ten seconds and two round trips later
};

TcpTimes over_tcp(Duration round_trip, std::size_t size, std::uint64_t seed) {
  tcp::test::SimNet net({.delay = round_trip / 2}, seed);
  // ARP is not what is asked for: both know each other.
  tcp::test::SimFlow meeting(net, true, tcp::test::kPort + 1, 7, 1, 1, 1 << 16, {});
  net.run(
      [&] {
        meeting.step();
        return meeting.is_over();
      },
      std::chrono::seconds(10) + 10 * round_trip);

  TcpTimes times;
  Instant begin = net.now;
  tcp::test::SimFlow flow(net, true, tcp::test::kPort, 1, size, 0, kBuffer, {.no_delay = true});
  flow.client.closes = false;
  flow.server.to_receive = SIZE_MAX;
  const auto arrives = [&] {
    flow.step();
    return flow.server.received == flow.client.to_send;
  };
  const auto one_more = [&] {
    begin = net.now;
    flow.client.to_send += size;
    flow.client.produce();
    EXPECT_TRUE(net.run(arrives));
    return net.now - begin;
  };
  EXPECT_TRUE(net.run(arrives));
  times.fresh = net.now - begin;
  net.run_for(2 * round_trip);  // until all is acknowledged
  times.warm = one_more();
  net.run_for(std::chrono::seconds(10) + 2 * round_trip);
  times.idle = one_more();
  return times;
}

Duration over_rdma(Duration round_trip, std::size_t size, std::uint64_t seed) {
  rdma::Network net({.delay = round_trip / 2, .seed = seed});
  rdma::QueuePair& left = net.a.create(rdma::QpType::kRc);
  rdma::QueuePair& right = net.b.create(rdma::QpType::kRc);
  net.connected(left, right, {.timeout = 18});  // a second: nothing is lost here
  rdma::ByteVector from = rdma::random_bytes(size, seed);
  rdma::ByteVector to(size);
  const rdma::Sge out{rdma::Node::address_of(from), static_cast<std::uint32_t>(size),
                      net.a.share(from).key};
  const rdma::Sge in{rdma::Node::address_of(to), static_cast<std::uint32_t>(size),
                     net.b.share(to).key};
  EXPECT_EQ(net.b.context->post_recv(right, {.sges = {&in, 1}}, net.now), rdma::Posted::kPosted);
  const Instant begin = net.now;
  EXPECT_EQ(net.a.context->post_send(left, {.opcode = rdma::SendOpcode::kSend, .sges = {&out, 1}},
                                     net.now),
            rdma::Posted::kPosted);
  std::array<rdma::Completion, 1> one;
  EXPECT_TRUE(net.run([&] { return net.b.cq->poll(one) == 1; }));
  EXPECT_EQ(from, to);
  return net.now - begin;
}

}  // namespace

void distance(Run& run) {
  bench::Table table{
      .name = "distance",
      .columns = {"round_trip_us", "tcp_fresh_us", "tcp_idle_us", "tcp_warm_us", "rdma_us"},
      .rows = {}};
  const auto us = [](Duration time) { return static_cast<double>(time.count()) / 1e3; };
  bool half = true;
  for (const std::size_t size : kSizes) {
    for (const int round_trip : {10, 30, 100, 300, 1000, 3000, 10'000, 30'000, 100'000}) {
      const TcpTimes tcp = over_tcp(microseconds(round_trip), size, run.seed);
      const Duration rdma = over_rdma(microseconds(round_trip), size, run.seed);
      half = half && rdma == microseconds(round_trip) / 2;
      table.rows.push_back(
          {{fmt::format("{} B", size)},
           {static_cast<double>(round_trip), us(tcp.fresh), us(tcp.idle), us(tcp.warm), us(rdma)}});
    }
  }
  run.report.check("RDMA waits for half a round trip alone", half, "64 bytes to 1 MiB");
  run.report.table(std::move(table));
}

}  // namespace tideline::bench_claims
