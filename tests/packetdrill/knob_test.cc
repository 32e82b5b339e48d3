// SPDX-License-Identifier: Apache-2.0
// What scripts can set of TCP (--so_flags): that it does something.
#include <gtest/gtest.h>
#include <linux/tcp.h>
#include <netinet/in.h>

#include <array>
#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

#include "player.h"

namespace tideline::test {
namespace {

constexpr std::string_view kHost = "local=192.168.0.1/16,";

// How many bytes go before anything is acknowledged, of many that are written; the peer's segments
// are 1000 bytes.
std::size_t first_flight(std::string_view flags) {
  Player player(std::string(kHost) + std::string(flags));
  const int fd = player.accept_one();
  const std::vector<std::byte> bytes(30'000);
  EXPECT_EQ(player.calls.write(nullptr, fd, bytes.data(), bytes.size()),
            static_cast<ssize_t>(bytes.size()));
  std::size_t sent = 0;
  // All but what comes with a timer: that is of a later time.
  for (Micros begin = 0;;) {
    const Seen seen = player.next();
    if (begin == 0) begin = seen.at;
    if (seen.at > begin + 10'000) break;
    sent += seen.size;
  }
  EXPECT_EQ(player.calls.close(nullptr, fd), 0);
  return sent;
}

TEST(Knobs, InitialWindow) {
  EXPECT_EQ(first_flight(""), 10'000U);
  EXPECT_EQ(first_flight("initcwnd=4"), 4'000U);
  EXPECT_EQ(first_flight("initcwnd=20"), 20'000U);
}

TEST(Knobs, InitialReceiveWindow) {
  Player player(std::string(kHost) + "initrwnd=10");
  player.listen_socket();
  player.inject(wire::kTcpSyn, 0, 0);
  EXPECT_EQ(player.next().header.window, 14'600);
}

// So many segments behind a hole are losses' sign.
bool repairs_after(std::string_view flags, unsigned sacked) {
  Player player(std::string(kHost) + "tcp_early_retrans=0," + std::string(flags));
  const int fd = player.accept_one();
  constexpr std::size_t kSegment = 1000;
  const std::vector<std::byte> bytes(10 * kSegment);
  EXPECT_EQ(player.calls.write(nullptr, fd, bytes.data(), bytes.size()),
            static_cast<ssize_t>(bytes.size()));
  std::size_t taken = 0;
  while (taken < bytes.size()) taken += player.next().size;
  player.sleep(10'000);  // a round trip, of which a quarter is waited for what is late
  const Micros before = player.now();
  wire::TcpOptions options;
  options.sack_count = 1;
  options.sack[0] = {player.ours(1 + kSegment),
                     player.ours(1 + (1 + sacked) * static_cast<std::uint32_t>(kSegment))};
  player.inject(wire::kTcpAck, player.theirs(1), player.ours(1), 0, options);
  const Seen again = player.next();
  EXPECT_EQ(again.header.sequence_number, player.ours(1));
  EXPECT_EQ(player.calls.close(nullptr, fd), 0);
  return again.at < before + 1'000;
}

TEST(Knobs, Reordering) {
  EXPECT_TRUE(repairs_after("tcp_reordering=3", 3));
  EXPECT_FALSE(repairs_after("tcp_reordering=6", 3));
  EXPECT_TRUE(repairs_after("tcp_reordering=6", 6));
}

// When the last segment is sent again: as a probe, two round trips later, or by time-out.
Micros repair_of_the_tail(std::string_view flags) {
  Player player(std::string(kHost) + std::string(flags));
  const int fd = player.accept_one();
  const std::vector<std::byte> bytes(2'000);
  EXPECT_EQ(player.calls.write(nullptr, fd, bytes.data(), bytes.size()),
            static_cast<ssize_t>(bytes.size()));
  const Micros first = player.next().at;
  Seen seen = player.next();
  while (seen.at < first + 1'000) seen = player.next();
  EXPECT_EQ(player.calls.close(nullptr, fd), 0);
  return seen.at - first;
}

TEST(Knobs, TailProbes) {
  EXPECT_LT(repair_of_the_tail("tcp_early_retrans=3"), 150'000);
  EXPECT_GE(repair_of_the_tail("tcp_early_retrans=0"), 190'000);
}

std::string_view algorithm_of(Player& player, int fd, std::array<char, 16>& name) {
  auto size = static_cast<socklen_t>(name.size());
  EXPECT_EQ(player.calls.getsockopt(nullptr, fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), &size),
            0);
  return name.data();
}

int choose(Player& player, int fd, std::string_view name) {
  errno = 0;
  const auto size = static_cast<socklen_t>(name.size());
  const int result =
      player.calls.setsockopt(nullptr, fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), size);
  return result == 0 ? 0 : errno;
}

TEST(Knobs, CongestionControl) {
  Player player(std::string(kHost) +
                "tcp_congestion_control=dctcp,tcp_available_congestion_control=reno cubic dctcp,"
                "tcp_allowed_congestion_control=reno dctcp");
  const int fd = player.accept_one();
  std::array<char, 16> name{};
  EXPECT_EQ(algorithm_of(player, fd, name), "dctcp");
  EXPECT_EQ(choose(player, fd, "bbr"), ENOENT);
  EXPECT_EQ(choose(player, fd, "cubic"), EPERM);
  EXPECT_EQ(algorithm_of(player, fd, name), "dctcp");
  EXPECT_EQ(choose(player, fd, "reno"), 0);
  EXPECT_EQ(algorithm_of(player, fd, name), "reno");
  EXPECT_EQ(player.calls.close(nullptr, fd), 0);
}

// Whether who asks for ECN gets it.
bool is_ecn_granted(std::string_view flags) {
  Player player(std::string(kHost) + std::string(flags));
  player.listen_socket();
  player.inject(wire::kTcpSyn | wire::kTcpEce | wire::kTcpCwr, 0, 0);
  return (player.next().header.flags & wire::kTcpEce) != 0;
}

TEST(Knobs, Ecn) {
  EXPECT_TRUE(is_ecn_granted(""));
  EXPECT_TRUE(is_ecn_granted("tcp_ecn=2"));
  EXPECT_FALSE(is_ecn_granted("tcp_ecn=0"));
}

}  // namespace
}  // namespace tideline::test
