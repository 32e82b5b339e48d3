// SPDX-License-Identifier: Apache-2.0
// What the built-in workloads read out of real output of their programs (compare/samples).
#include "compare/reading.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "compare/workload.h"

namespace tideline::app::compare {
namespace {

std::string sample(const std::string& name) {
  std::ostringstream text;
  text << std::ifstream(std::string(SAMPLES) + "/" + name + ".txt").rdbuf();
  return text.str();
}

Reading read_sample(const std::string& name) {
  const std::vector<Workload> all = builtin_workloads();
  const auto workload = std::ranges::find(all, name, &Workload::name);
  EXPECT_NE(workload, all.end()) << name;
  auto reading = read_output(workload->sources, sample(name));
  EXPECT_TRUE(reading) << reading.error().message();
  return reading.value_or(Reading{});
}

TEST(Reading, Iperf3_OfTcpAndUdp) {
  const Reading tcp = read_sample("iperf3-tcp");
  EXPECT_EQ(tcp.bytes, 2579357336);
  EXPECT_NEAR(tcp.bytes_per_s * 8, 20628896936.785271, 1);
  EXPECT_FALSE(tcp.lost_share);
  const Reading udp = read_sample("iperf3-udp");
  EXPECT_EQ(udp.bytes, 219905000);
  EXPECT_NEAR(*udp.lost_share, 0.873499, 1e-6);
}

TEST(Reading, Sockperf_HasPercentiles) {
  const Reading reading = read_sample("sockperf");
  EXPECT_EQ(reading.requests, 13144);
  EXPECT_NEAR(reading.requests_per_s, 13144, 0.01);
  EXPECT_NEAR(quantile(reading.quantiles, 0.5).value_or(0), 12368, 0.01);
  EXPECT_NEAR(quantile(reading.quantiles, 0.99).value_or(0), 558849, 0.01);
  EXPECT_NEAR(quantile(reading.quantiles, 0.999).value_or(0), 3370825, 0.01);
}

TEST(Reading, Redis_NextPercentileStandsForOneThatIsNotTold) {
  const Reading reading = read_sample("redis");
  EXPECT_EQ(reading.requests, 20000);
  EXPECT_EQ(reading.requests_per_s, 125000);
  EXPECT_NEAR(quantile(reading.quantiles, 0.5).value_or(0), 191000, 0.01);
  EXPECT_GT(quantile(reading.quantiles, 0.99).value_or(0), 1e6);
}

TEST(Reading, Wrk_HasUnitsOfItsOwn) {
  const Reading reading = read_sample("nginx");
  EXPECT_EQ(reading.requests, 74439);
  EXPECT_NEAR(reading.requests_per_s, 72395.14, 0.001);
  EXPECT_NEAR(quantile(reading.quantiles, 0.5).value_or(0), 518000, 0.01);
  EXPECT_NEAR(quantile(reading.quantiles, 0.99).value_or(0), 6.91e6, 0.01);
  EXPECT_FALSE(quantile(reading.quantiles, 0.9999));
  EXPECT_NEAR(quantile(reading.quantiles, 0.999).value_or(0), 8.64e6, 0.01);
}

TEST(Reading, Curl_SumsItsFiles) {
  const Reading reading = read_sample("curl");
  EXPECT_EQ(reading.bytes, 3 * 20000000.0);
  EXPECT_NEAR(reading.bytes_per_s, 6e7 / (0.068324 + 0.014097 + 0.043205), 1);
}

TEST(Reading, Perftest_OfBandwidthAndLatency) {
  const Reading bandwidth = read_sample("ib_write_bw");
  EXPECT_EQ(bandwidth.bytes, 171536 * 65536.0);
  EXPECT_NEAR(bandwidth.bytes_per_s, 10719.91 * 1048576, 1);
  const Reading latency = read_sample("ib_send_lat");
  EXPECT_EQ(latency.requests, 20000);
  EXPECT_NEAR(quantile(latency.quantiles, 0.5).value_or(0), 1570, 0.01);
  EXPECT_NEAR(quantile(latency.quantiles, 0.99).value_or(0), 5440, 0.01);
  EXPECT_NEAR(quantile(latency.quantiles, 0.999).value_or(0), 24100, 0.01);
}

TEST(Reading, EveryWorkloadRefusesOutputOfAProgramThatFailed) {
  for (const Workload& workload : builtin_workloads()) {
    for (const char* output : {"", "error - unable to connect to server", "{\"error\": \"x\"}"}) {
      EXPECT_FALSE(read_output(workload.sources, output)) << workload.name;
    }
  }
}

TEST(Reading, LongLinesAndForeignBytesAreNoHarm) {
  const std::vector<Workload> all = builtin_workloads();
  std::string output(1 << 20, '9');
  output += "\xff\n";
  for (const Workload& workload : all) EXPECT_FALSE(read_output(workload.sources, output));
}

}  // namespace
}  // namespace tideline::app::compare
