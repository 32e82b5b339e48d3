// SPDX-License-Identifier: Apache-2.0
// How many frames of 1400 bytes per second pass a veth through our af_xdp port, and through DPDK's
// af_xdp driver: each end a program on a core of its own. In the same run, alternating. Needs root,
// iproute2, ethtool and, for the comparison, the package dpdk.
#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "common/cli.h"
#include "common/network.h"
#include "common/process.h"
#include "common/report.h"
#include "stations.h"

namespace {

using bench::xdp::Kind;

void run(const std::string& command) {
  // NOLINTNEXTLINE(bugprone-command-processor): fixed commands of this file
  CHECK(std::system(command.c_str()) == 0, "`{}` failed", command);
}

// A fresh cable for each measurement, so that nothing of the last one is left.
void lay_cable() {
  run("ip link del bx0 2>/dev/null || true");
  run("ip link add bx0 type veth peer name bx1");
  for (const char* end : {"bx0", "bx1"}) {
    run(fmt::format("echo 1 > /proc/sys/net/ipv6/conf/{}/disable_ipv6", end));
    run(fmt::format("ethtool -K {} tx off > /dev/null", end));
    run(fmt::format("ip link set {} up", end));
  }
}

// Frames per second that arrive.
double measure(Kind sender, Kind receiver) {
  lay_cable();
  const int last_core = bench::usable_cores() - 1;
  const auto far = bench::xdp::receive_on(receiver, "bx1", last_core);
  far->wait_until_ready();
  const bench::Child near = bench::xdp::send_on(sender, "bx0", 0);
  // The sender starts, and both get to full speed; DPDK takes a second.
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  return far->rate();
}

using Pairs = std::vector<std::pair<double, double>>;

int compare(const bench::Options& options) {
  bench::Report report("xdp", "1400-byte frames over veth: our af_xdp port and DPDK's driver");
  const int rounds = options.quick ? 2 : 5;
  if (bench::usable_cores() < 2) report.note("one core: sender and receiver take turns");
  if (!bench::xdp::has_dpdk()) {
    report.note("no dpdk-testpmd here (package dpdk): our figures only");
    double sum = 0;
    for (int i = 0; i < rounds; ++i) sum += measure(Kind::kTideline, Kind::kTideline);
    report.figure("sender and receiver ours", sum / rounds / 1e6, "Mpps");
    return report.finish(options.json);
  }
  Pairs both;
  Pairs sending;
  Pairs receiving;
  Pairs bits;
  for (int i = 0; i < rounds; ++i) {
    const double dpdk = measure(Kind::kDpdk, Kind::kDpdk) / 1e6;
    const double ours = measure(Kind::kTideline, Kind::kTideline) / 1e6;
    both.emplace_back(ours, dpdk);
    sending.emplace_back(measure(Kind::kTideline, Kind::kDpdk) / 1e6, dpdk);
    receiving.emplace_back(measure(Kind::kDpdk, Kind::kTideline) / 1e6, dpdk);
    constexpr double kGigabits = bench::xdp::kFrame * 8 / 1e3;
    bits.emplace_back(ours * kGigabits, dpdk * kGigabits);
  }
  report.figure("sender and receiver ours", both, "Mpps", "both DPDK's");
  report.figure("the same in bits", bits, "Gb/s", "both DPDK's");
  report.figure("sender ours, receiver DPDK's", sending, "Mpps", "both DPDK's");
  report.figure("sender DPDK's, receiver ours", receiving, "Mpps", "both DPDK's");
  return report.finish(options.json);
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Options options =
      bench::parse_options(argc, argv, "af_xdp port against DPDK's af_xdp driver, over veth");
  const auto status = bench::run_contained([&] { return compare(options); });
  if (status) return *status;
  fmt::print(stderr, "{}\n", status.error().message());
  return 3;
}
