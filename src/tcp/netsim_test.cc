// SPDX-License-Identifier: Apache-2.0
// Whole stacks in virtual time: how fast a transfer is over links of several kinds, against a
// table; random links, every byte compared; flows that share a bottleneck. TIDELINE_SIM_SEEDS and
// TIDELINE_SIM_FIRST_SEED make runs longer, and repeat one.
#include <gtest/gtest.h>

#include <fmt/core.h>

#include <cstdlib>
#include <memory>
#include <utility>

#include "tcp/test_net.h"

namespace tideline::tcp::test {
namespace {

using std::chrono::milliseconds;

constexpr std::array<std::pair<CongestionAlgorithm, const char*>, 4> kAlgorithms{
    {{CongestionAlgorithm::kCubic, "cubic"},
     {CongestionAlgorithm::kReno, "reno"},
     {CongestionAlgorithm::kBbr, "bbr"},
     {CongestionAlgorithm::kDctcp, "dctcp"}}};

void expect_nothing_left(SimNet& net) {
  net.run_for(std::chrono::minutes(10));
  for (SimHost* host : {&net.left(), &net.right()}) {
    EXPECT_EQ(host->tcp.connections(), 0U);
    EXPECT_EQ(host->tcp.ranges_in_use(), 0U);
    EXPECT_EQ(host->pool->in_use(), 0U);
  }
}

struct Row {
  int loss_per_mille;
  int delay_ms;       // one way
  int queue_packets;  // of 1514 bytes
  // What a transfer of 4 MB over 50 Mb/s reaches with each of kAlgorithms: Mb/s of payload, slow
  // start included.
  std::array<double, 4> reached;
};

constexpr std::array<Row, 8> kTable{{
    {0, 1, 20, {47.5, 47.5, 47.5, 47.5}},
    {0, 10, 100, {42.4, 42.4, 41.8, 42.4}},
    {0, 50, 400, {24.3, 23.8, 22.4, 23.8}},
    {0, 50, 40, {12.2, 9.3, 22.7, 9.3}},
    {1, 10, 100, {42.4, 42.4, 41.7, 42.4}},
    {10, 10, 100, {12.0, 8.8, 40.3, 8.8}},
    {10, 50, 400, {2.8, 1.9, 21.9, 1.9}},
    {50, 10, 100, {2.9, 2.5, 33.6, 2.6}},
}};

// Seconds that the transfer takes.
double transfer_time(const Row& row, CongestionAlgorithm algorithm, std::uint64_t size,
                     std::uint64_t seed) {
  SimNet net({.delay = milliseconds(row.delay_ms),
              .rate = 50'000'000,
              .queue = static_cast<std::size_t>(row.queue_packets) * 1514,
              .loss = row.loss_per_mille / 1000.0},
             seed);
  SimFlow flow(net, true, kPort, 3, size, 0, 1 << 21, {.congestion = algorithm});
  const Instant begin = net.now;
  EXPECT_TRUE(net.run([&] {
    flow.step();
    return flow.server.received == size;
  })) << "stalled";
  EXPECT_EQ(flow.server.wrong, 0U);
  return static_cast<double>((net.now - begin).count()) / 1e9;
}

// Where segments are lost at random, some patterns are worse than others: several transfers.
double goodput(const Row& row, CongestionAlgorithm algorithm) {
  constexpr std::uint64_t kSize = 4'000'000;
  const std::uint64_t runs = row.loss_per_mille == 0 ? 1 : 3;
  double time = 0;
  for (std::uint64_t seed = 1; seed <= runs; ++seed) {
    time += transfer_time(row, algorithm, kSize, seed);
  }
  return static_cast<double>(runs * kSize) * 8 / time / 1e6;
}

// The simulation is exact, so the figures repeat; a change of more than a tenth is one of
// behaviour.
TEST(Netsim, GoodputIsThatOfTheTable) {
  for (const Row& row : kTable) {
    for (std::size_t i = 0; i < kAlgorithms.size(); ++i) {
      const auto& [algorithm, name] = kAlgorithms[i];
      const double expected = row.reached[i];
      const double reached = goodput(row, algorithm);
      EXPECT_NEAR(reached, expected, expected / 10)
          << fmt::format("{}: loss {} per mille, {} ms, {} packets: {:.1f} Mb/s", name,
                         row.loss_per_mille, row.delay_ms, row.queue_packets, reached);
    }
  }
}

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// A link, a connection and two applications, all drawn from the seed.
void run_random(std::uint64_t seed) {
  Rng rng(seed);
  const auto chance = [&](double most) { return rng.below(3) == 0 ? 0 : rng.unit() * most; };
  const auto probing = static_cast<MtuProbing>(rng.below(3));
  SimNet net({.delay = Duration(static_cast<std::int64_t>(rng.below(40'000'000))),
              .rate = rng.below(2) == 0 ? 0 : 1'000'000 + rng.below(100'000'000),
              .queue = 20'000 + rng.below(200'000),
              .loss = chance(0.1),
              .duplicate = chance(0.05),
              .reorder = chance(0.1),
              .corrupt = chance(0.02),
              .mark = chance(0.1),
              .reorder_delay = Duration(static_cast<std::int64_t>(rng.below(60'000'000)))},
             seed,
             {.timestamps = rng.below(4) != 0,
              .sack = rng.below(4) != 0,
              .ecn = rng.below(2) == 0,
              .mtu_probing = probing});
  // Longer ones vanish, or all pass.
  const std::size_t longest = probing == MtuProbing::kOff ? 1514 : 1294 + rng.below(440);
  net.filter = [&](unsigned /*from*/, const std::vector<std::byte>& frame) {
    return frame.size() <= longest;
  };
  const StreamOptions options{
      .no_delay = rng.below(2) == 0,
      .pacing = rng.below(4) == 0,
      .max_segment = static_cast<std::uint16_t>(rng.below(3) == 0 ? 100 + rng.below(1300) : 0),
      .congestion = kAlgorithms[rng.below(kAlgorithms.size())].first};
  SimFlow flow(net, rng.below(2) == 0, kPort, seed, rng.below(100'000), rng.below(100'000),
               std::size_t{1} << (16 + rng.below(4)), options);
  ASSERT_TRUE(net.run([&] {
    flow.step();
    return flow.is_over();
  })) << "stalled: "
      << flow.client.received << " and " << flow.server.received << " bytes";
  flow.expect_intact();
  expect_nothing_left(net);
}

TEST(Netsim, EveryByteArrivesOnRandomLinks) {
  const std::uint64_t first = number_from("TIDELINE_SIM_FIRST_SEED", 1);
  const std::uint64_t count = number_from("TIDELINE_SIM_SEEDS", 300);
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE(fmt::format("TIDELINE_SIM_FIRST_SEED={}", seed));
    run_random(seed);
    if (HasFailure()) return;
  }
}

// Jain's index of flows of equal round trip on one bottleneck; 1 is perfect.
TEST(Netsim, FlowsShareABottleneck) {
  for (const auto& [algorithm, name] : kAlgorithms) {
    SimNet net({.delay = milliseconds(10), .rate = 40'000'000, .queue = 100'000}, 5);
    std::vector<std::unique_ptr<SimFlow>> flows;
    flows.reserve(4);
    for (std::uint16_t i = 0; i < 4; ++i) {
      flows.push_back(std::make_unique<SimFlow>(net, true, static_cast<std::uint16_t>(kPort + i),
                                                i + 1, 1'000'000'000, 0, 1 << 19,
                                                StreamOptions{.congestion = algorithm}));
    }
    net.run(
        [&] {
          for (auto& flow : flows) flow->step();
          return false;
        },
        std::chrono::seconds(10));
    double sum = 0;
    double squares = 0;
    for (auto& flow : flows) {
      const auto share = static_cast<double>(flow->server.received);
      sum += share;
      squares += share * share;
      EXPECT_EQ(flow->server.wrong, 0U);
    }
    const double index = sum * sum / (4 * squares);
    EXPECT_GT(index, 0.8) << name;
    EXPECT_GT(sum * 8 / 10, 0.85 * 40'000'000) << name << ": the link is not used";
    RecordProperty(fmt::format("jain_{}", name), fmt::format("{:.3f}", index));
  }
}

// A peer that does not read for long, then does.
TEST(Netsim, AFullWindowOpensAgain) {
  SimNet net({.delay = milliseconds(2), .loss = 0.2}, 9);
  SimFlow flow(net, true, kPort, 1, 300'000, 0, 1 << 16, {});
  flow.server.reads = false;
  net.run(
      [&] {
        flow.step();
        return false;
      },
      std::chrono::minutes(10));
  EXPECT_EQ(flow.client.end, End::kNone);
  flow.server.reads = true;
  flow.server.consume();
  ASSERT_TRUE(net.run([&] { return flow.is_over(); })) << "stalled";
  flow.expect_intact();
  expect_nothing_left(net);
}

}  // namespace
}  // namespace tideline::tcp::test
