// SPDX-License-Identifier: Apache-2.0
// SO_REUSEPORT: a port that several sockets share, also of several processes.
#include <signal.h>
#include <sys/wait.h>

#include <vector>

#include "fixture.h"

namespace check {
namespace {

constexpr int kConnections = 64;

class Sharing : public Sockets {
 protected:
  // Port 0: one that is free.
  static Fd sharing(int type, std::uint16_t port) {
    Fd socket = make(type);
    set(socket, SOL_SOCKET, SO_REUSEPORT, 1);
    const Address at = own(port);
    EXPECT_EQ(::bind(socket, at.raw(), at.size), 0) << std::strerror(errno);
    if (type == SOCK_STREAM) {
      EXPECT_EQ(::listen(socket, kConnections), 0) << std::strerror(errno);
    }
    return socket;
  }
  static std::vector<Fd> connect_many(std::uint16_t port) {
    std::vector<Fd> all;
    for (int i = 0; i < kConnections; ++i) {
      all.push_back(make(SOCK_STREAM));
      EXPECT_EQ(connect_to(all.back(), port), 0) << std::strerror(errno);
    }
    return all;
  }
};

TEST_F(Sharing, ListenersOfAGroupShareWhatComes) {
  const Fd first = sharing(SOCK_STREAM, 0);
  const std::uint16_t port = Address::local_of(first).port();
  Fd second = sharing(SOCK_STREAM, port);
  // Who does not say so stays out.
  const Fd other = make(SOCK_STREAM);
  const Address at = own(port);
  EXPECT_EQ(::bind(other, at.raw(), at.size), -1);
  EXPECT_EQ(errno, EADDRINUSE);
  const std::vector<Fd> near = connect_many(port);
  int accepted = 0;
  int by_first = 0;
  while (accepted < kConnections) {
    std::array<pollfd, 2> both{pollfd{.fd = first, .events = POLLIN, .revents = 0},
                               pollfd{.fd = second, .events = POLLIN, .revents = 0}};
    ASSERT_GT(::poll(both.data(), both.size(), kPatienceMs), 0) << accepted;
    for (const pollfd& each : both) {
      if (each.revents == 0) continue;
      const Fd far(::accept(each.fd, nullptr, nullptr));
      ASSERT_GE(far, 0) << std::strerror(errno);
      ++accepted;
      if (each.fd == first) ++by_first;
    }
  }
  EXPECT_GT(by_first, 0);
  EXPECT_LT(by_first, kConnections);
  second.close();
  const std::vector<Fd> more = connect_many(port);
  for (int i = 0; i < kConnections; ++i) {
    ASSERT_EQ(wait_events(first, POLLIN), POLLIN);
    const Fd far(::accept(first, nullptr, nullptr));
    ASSERT_GE(far, 0);
  }
}

TEST_F(Sharing, DatagramSocketsOfAGroupShareWhatComes) {
  const Fd first = sharing(SOCK_DGRAM, 0);
  const std::uint16_t port = Address::local_of(first).port();
  const Fd second = sharing(SOCK_DGRAM, port);
  int by_first = 0;
  const Address at = own(port);
  for (int i = 0; i < kConnections; ++i) {
    const Fd sender = make(SOCK_DGRAM);
    ASSERT_EQ(::sendto(sender, "x", 1, 0, at.raw(), at.size), 1) << std::strerror(errno);
    std::array<pollfd, 2> both{pollfd{.fd = first, .events = POLLIN, .revents = 0},
                               pollfd{.fd = second, .events = POLLIN, .revents = 0}};
    ASSERT_EQ(::poll(both.data(), both.size(), kPatienceMs), 1);
    if (both[0].revents != 0) ++by_first;
    EXPECT_EQ(receive(both[0].revents != 0 ? first : second), "x");
  }
  EXPECT_GT(by_first, 0);
  EXPECT_LT(by_first, kConnections);
}

// Where each process has a network stack of its own, a forked child has none, and is told so.
TEST_F(Sharing, ProcessesShareAPort) {
  const Fd first = sharing(SOCK_STREAM, 0);
  if (is_tideline()) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(::accept(first, nullptr, nullptr) == -1 && errno == EOPNOTSUPP ? 7 : 1);
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7) << status;
    return;
  }
  const std::uint16_t port = Address::local_of(first).port();
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const Fd out(ends[0]);
  const Fd in(ends[1]);
  const pid_t child = ::fork();
  if (child == 0) {
    const Fd second = sharing(SOCK_STREAM, port);
    ::write(in, "r", 1);
    for (;;) {
      const Fd far(::accept(second, nullptr, nullptr));
      ::send(far, "child", 5, MSG_NOSIGNAL);
    }
  }
  char ready = 0;
  ASSERT_EQ(::read(out, &ready, 1), 1);
  const std::vector<Fd> near = connect_many(port);
  std::vector<Fd> far;
  int by_child = 0;
  for (const Fd& each : near) {
    std::array<pollfd, 2> both{pollfd{.fd = first, .events = POLLIN, .revents = 0},
                               pollfd{.fd = each, .events = POLLIN, .revents = 0}};
    ASSERT_GT(::poll(both.data(), both.size(), kPatienceMs), 0);
    if (both[0].revents != 0) {
      far.emplace_back(::accept(first, nullptr, nullptr));
      ::send(far.back(), "parent", 6, MSG_NOSIGNAL);
    }
  }
  for (const Fd& each : near) {
    ASSERT_EQ(wait_events(each, POLLIN), POLLIN);
    if (receive(each) == "child") ++by_child;
  }
  EXPECT_GT(by_child, 0);
  EXPECT_LT(by_child, kConnections);
  ::kill(child, SIGKILL);
  EXPECT_EQ(::waitpid(child, nullptr, 0), child);
}

}  // namespace
}  // namespace check
