// SPDX-License-Identifier: Apache-2.0
// What packetdrill relies on: results of POSIX, packets that are worked off when they are sent,
// time that passes only as the script lets it, calls that sleep in the kernel, and an end where
// nothing more can come.
#include <fcntl.h>
#include <linux/tcp.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <random>
#include <thread>

#include "player.h"
#include "wire/ipv4.h"
#include "wire/protocol.h"

namespace tideline::test {
namespace {

constexpr std::uint16_t kAck = wire::kTcpAck;
constexpr std::uint16_t kPsh = wire::kTcpPsh | wire::kTcpAck;

// A blocking call, on a thread of its own as packetdrill has it; `end` is when it returned.
class Blocking {
 public:
  template <typename Body>
  Blocking(Player& player, Body body)
      : thread_([this, &player, body] {
          id_.store(::gettid());
          result = body();
          error = errno;
          end = player.now();
        }) {
    while (id_.load() == 0) ::sched_yield();
    while (!player.is_asleep(id_.load())) ::sched_yield();
  }
  void join() { thread_.join(); }

  long result = 0;
  int error = 0;
  Micros end = 0;

 private:
  std::atomic<pid_t> id_{0};
  std::thread thread_;
};

TEST(Packetdrill, DataGoesBothWaysAndTheEndIsOrderly) {
  Player player;
  auto& calls = player.calls;
  const int fd = player.accept_one();
  std::array<std::byte, 2000> bytes{};
  EXPECT_EQ(calls.write(nullptr, fd, bytes.data(), 1000), 1000);
  const Seen data = player.next();
  EXPECT_EQ(data.size, 1000U);
  EXPECT_EQ(data.header.sequence_number, player.ours(1));
  EXPECT_EQ(data.header.flags, kPsh);
  // Synchronous: what was sent can be read at once.
  player.inject(kPsh, player.theirs(1), player.ours(1001), 500);
  EXPECT_EQ(calls.read(nullptr, fd, bytes.data(), bytes.size()), 500);
  EXPECT_EQ(player.next().header.acknowledgment_number, player.theirs(501));
  player.inject(wire::kTcpFin | kAck, player.theirs(501), player.ours(1001));
  EXPECT_EQ(player.next().header.acknowledgment_number, player.theirs(502));
  EXPECT_EQ(calls.read(nullptr, fd, bytes.data(), bytes.size()), 0);
  EXPECT_EQ(calls.close(nullptr, fd), 0);
  EXPECT_EQ(player.next().header.flags, wire::kTcpFin | kAck);
  player.inject(kAck, player.theirs(502), player.ours(1002));
  player.inject(kAck, player.theirs(502), player.ours(1002));
  EXPECT_EQ(player.next().header.flags, wire::kTcpRst);
}

// An hour of time-outs takes no time, and each comes when it must.
TEST(Packetdrill, RetransmissionsComeInVirtualTime) {
  Player player;
  const int fd = player.accept_one();
  constexpr std::array<std::byte, 100> kBytes{};
  EXPECT_EQ(player.calls.write(nullptr, fd, kBytes.data(), kBytes.size()), 100);
  Micros last = player.next().at;
  std::vector<Micros> gaps;
  for (int i = 0; i < 6; ++i) {
    const Seen again = player.next();
    EXPECT_EQ(again.header.sequence_number, player.ours(1));
    gaps.push_back(again.at - last);
    last = again.at;
  }
  for (std::size_t i = 2; i < gaps.size(); ++i) {
    EXPECT_NEAR(static_cast<double>(gaps[i]), 2.0 * static_cast<double>(gaps[i - 1]), 10'000);
  }
  EXPECT_GE(player.now(), last);
}

TEST(Packetdrill, TimePassesAsTheScriptSleeps) {
  Player player;
  const Micros before = player.now();
  player.sleep(3'600'000'000 / 2);
  const Micros after = player.now();
  EXPECT_GE(after, before + 1'800'000'000);
  EXPECT_LE(after, before + 1'800'000'010);
  EXPECT_GT(player.now(), after);  // who looks again and again sees it move
}

TEST(Packetdrill, BlockingCallsSleepAndEndWhenWoken) {
  Player player;
  auto& calls = player.calls;
  const int listener = player.listen_socket();
  Blocking accepting(player, [&] { return calls.accept(nullptr, listener, nullptr, nullptr); });
  wire::TcpOptions options;
  options.mss = 1000;
  player.inject(wire::kTcpSyn, 1000, 0, 0, options);
  const std::uint32_t iss = player.next().header.sequence_number;
  player.sleep(100'000);
  const Micros acknowledged = player.now();
  player.inject(kAck, 1001, iss + 1);
  accepting.join();
  ASSERT_GE(accepting.result, 0);
  EXPECT_NEAR(static_cast<double>(accepting.end), static_cast<double>(acknowledged), 100);

  const int fd = static_cast<int>(accepting.result);
  std::array<std::byte, 100> bytes{};
  Blocking reading(player, [&] { return calls.read(nullptr, fd, bytes.data(), bytes.size()); });
  player.sleep(50'000);
  const Micros sent = player.now();
  player.inject(kPsh, 1001, iss + 1, 10);
  // It goes on as far as the next packet; the call has ended long before.
  EXPECT_EQ(player.next().header.acknowledgment_number, 1011U);
  reading.join();
  EXPECT_EQ(reading.result, 10);
  EXPECT_NEAR(static_cast<double>(reading.end), static_cast<double>(sent), 100);
  EXPECT_EQ(calls.close(nullptr, fd), 0);
  EXPECT_EQ(calls.close(nullptr, listener), 0);
}

// A time limit of a call is one of virtual time.
TEST(Packetdrill, ReceiveTimeoutEndsABlockingCall) {
  Player player;
  auto& calls = player.calls;
  const int fd = player.accept_one();
  constexpr timeval kLimit{.tv_sec = 60, .tv_usec = 0};
  EXPECT_EQ(calls.setsockopt(nullptr, fd, SOL_SOCKET, SO_RCVTIMEO, &kLimit, sizeof(kLimit)), 0);
  std::array<std::byte, 100> bytes{};
  const Micros begin = player.now();
  Blocking reading(player, [&] { return calls.read(nullptr, fd, bytes.data(), bytes.size()); });
  player.sleep(61'000'000);
  reading.join();
  EXPECT_EQ(reading.result, -1);
  EXPECT_EQ(reading.error, EAGAIN);
  EXPECT_NEAR(static_cast<double>(reading.end - begin), 60e6, 100);
  EXPECT_EQ(calls.close(nullptr, fd), 0);
}

TEST(Packetdrill, PollAndEpollTellOfReadiness) {
  Player player;
  auto& calls = player.calls;
  const int fd = player.accept_one();
  const int epfd = calls.epoll_create(nullptr, 1);
  epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.u32 = 7}};
  EXPECT_EQ(calls.epoll_ctl(nullptr, epfd, EPOLL_CTL_ADD, fd, &event), 0);
  epoll_event found{};
  EXPECT_EQ(calls.epoll_wait(nullptr, epfd, &found, 1, 0), 0);
  pollfd entry{.fd = fd, .events = POLLIN | POLLOUT, .revents = 0};
  EXPECT_EQ(calls.poll(nullptr, &entry, 1, 0), 1);
  EXPECT_EQ(entry.revents, POLLOUT);
  // On the script's own thread a wait lets time pass.
  const Micros before = player.now();
  EXPECT_EQ(calls.epoll_wait(nullptr, epfd, &found, 1, 500), 0);
  EXPECT_NEAR(static_cast<double>(player.now() - before), 500e3, 100);
  player.inject(kPsh, player.theirs(1), player.ours(1), 10);
  EXPECT_EQ(calls.epoll_wait(nullptr, epfd, &found, 1, 0), 1);
  EXPECT_EQ(found.data.u32, 7U);
  EXPECT_EQ(calls.epoll_wait(nullptr, epfd, &found, 1, 0), 0);
  EXPECT_EQ(calls.close(nullptr, epfd), 0);
  EXPECT_EQ(calls.close(nullptr, fd), 0);
}

TEST(Packetdrill, TcpInfoIsThatOfTheConnection) {
  Player player;
  auto& calls = player.calls;
  const int fd = player.accept_one();
  std::array<std::byte, 400> info{};
  socklen_t size = info.size();
  EXPECT_EQ(calls.getsockopt(nullptr, fd, IPPROTO_TCP, TCP_INFO, info.data(), &size), 0);
  EXPECT_EQ(size, 280U);
  tcp_info begin;
  static_assert(sizeof(begin) <= 280);
  std::memcpy(&begin, info.data(), sizeof(begin));
  EXPECT_EQ(begin.tcpi_state, 1);  // ESTABLISHED
  EXPECT_EQ(begin.tcpi_snd_cwnd, 10U);
  EXPECT_EQ(begin.tcpi_snd_mss, 1000U);
  EXPECT_EQ(begin.tcpi_advmss, 1460U);
  EXPECT_EQ(calls.close(nullptr, fd), 0);
}

// What the peer sends may be anything; what comes back is nothing, or TCP.
TEST(Packetdrill, HostilePacketsDoNoHarm) {
  Player player;
  const int fd = player.accept_one();
  std::mt19937 random(1);  // NOLINT(cert-msc51-cpp): the same each time
  std::vector<std::byte> packet(1500);
  for (int i = 0; i < 20'000; ++i) {
    packet.resize(1 + random() % 1500);
    for (std::byte& byte : packet) byte = static_cast<std::byte>(random());
    // Half of them with a header that looks right.
    if (random() % 2 == 0 && packet.size() > 40) {
      wire::emit(wire::Ipv4{.total_length = static_cast<std::uint16_t>(packet.size()),
                            .protocol = wire::kProtocolTcp,
                            .source = wire::Ipv4Address(192, 0, 2, 1),
                            .destination = wire::Ipv4Address(192, 168, 0, 1)},
                 packet);
    }
    player.inject_raw(packet);
  }
  EXPECT_FALSE(player.inject_raw({}));
  // The connection has not noticed.
  std::array<std::byte, 100> bytes{};
  player.inject(kPsh, player.theirs(1), player.ours(1), 10);
  EXPECT_EQ(player.calls.read(nullptr, fd, bytes.data(), bytes.size()), 10);
}

TEST(Packetdrill, ErrorsAreThoseOfPosix) {
  Player player;
  auto& calls = player.calls;
  const int fd = player.accept_one();
  EXPECT_EQ(calls.write(nullptr, fd, nullptr, 10), -1);
  EXPECT_EQ(errno, EFAULT);
  EXPECT_EQ(calls.fcntl(nullptr, fd, F_SETFL, O_NONBLOCK), 0);
  std::array<std::byte, 10> bytes{};
  EXPECT_EQ(calls.read(nullptr, fd, bytes.data(), bytes.size()), -1);
  EXPECT_EQ(errno, EAGAIN);
  player.inject(wire::kTcpRst | kAck, player.theirs(1), player.ours(1));
  EXPECT_EQ(calls.write(nullptr, fd, bytes.data(), bytes.size()), -1);
  EXPECT_EQ(errno, ECONNRESET);
  EXPECT_EQ(calls.close(nullptr, fd), 0);
  EXPECT_EQ(calls.read(nullptr, fd, bytes.data(), bytes.size()), -1);
  EXPECT_EQ(errno, EBADF);
}

TEST(Packetdrill, RealTimeIsTheClockOfTheMachine) {
  Player player("local=192.168.0.1/16,realtime");
  const int fd = player.accept_one();
  constexpr std::array<std::byte, 100> kBytes{};
  EXPECT_EQ(player.calls.write(nullptr, fd, kBytes.data(), kBytes.size()), 100);
  const Seen first = player.next();
  const Seen again = player.next();
  EXPECT_EQ(again.header.sequence_number, first.header.sequence_number);
  EXPECT_GE(again.at, first.at + 10'000);
  EXPECT_LE(again.at, player.now());
  EXPECT_EQ(player.calls.close(nullptr, fd), 0);
}

TEST(PacketdrillDeathTest, WaitingForNothingGivesUp) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        Player player("local=192.168.0.1/16,patience=5");
        player.accept_one();
        player.next();
      },
      ::testing::ExitedWithCode(3), "no packet comes");
}

TEST(PacketdrillDeathTest, FlagsThatMakeNoSenseAreToldOff) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(Player("local=192.168.0.1/16,mtu=much"), ::testing::ExitedWithCode(3),
              "mtu=much makes no sense");
  EXPECT_EXIT(Player("mtu=1500"), ::testing::ExitedWithCode(3), "no address");
}

}  // namespace
}  // namespace tideline::test
