// SPDX-License-Identifier: Apache-2.0
// Options of streams whose effect can be seen: when a connection is handed over, how much of what
// is written may wait.
#include <fcntl.h>
#include <linux/tcp.h>
#include <sys/epoll.h>

#include <thread>

#include "fixture.h"

namespace check {
namespace {

TEST_F(Sockets, ADeferredConnectionIsAcceptedWithItsData) {
  listener_ = listen_any();
  set(listener_, IPPROTO_TCP, TCP_DEFER_ACCEPT, 30);
  EXPECT_GE(get(listener_, IPPROTO_TCP, TCP_DEFER_ACCEPT), 30);
  near_ = make(SOCK_STREAM);
  ASSERT_EQ(connect_to(near_, Address::local_of(listener_).port()), 0) << std::strerror(errno);
  EXPECT_EQ(wait_events(listener_, POLLIN, 100), 0);
  send(near_, "here I am");
  ASSERT_EQ(wait_events(listener_, POLLIN), POLLIN);
  far_ = Fd(::accept(listener_, nullptr, nullptr));
  ASSERT_GE(far_, 0);
  EXPECT_EQ(receive(far_, MSG_DONTWAIT), "here I am");
}

TEST_F(Sockets, ADeferredConnectionIsAcceptedInTheEnd) {
  listener_ = listen_any();
  set(listener_, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
  near_ = make(SOCK_STREAM);
  ASSERT_EQ(connect_to(near_, Address::local_of(listener_).port()), 0) << std::strerror(errno);
  ASSERT_EQ(wait_events(listener_, POLLIN), POLLIN);
  far_ = Fd(::accept(listener_, nullptr, nullptr));
  ASSERT_GE(far_, 0);
  EXPECT_EQ(receive(far_, MSG_DONTWAIT), "");
  EXPECT_EQ(errno, EAGAIN);
  send(near_, "late");
  EXPECT_EQ(receive(far_), "late");
}

// Writes until it would block; how much that was.
std::size_t fill(int fd) {
  const std::string block(16 << 10, 'x');
  std::size_t total = 0;
  for (;;) {
    const ssize_t size = ::send(fd, block.data(), block.size(), MSG_DONTWAIT);
    if (size < 0) return total;
    total += static_cast<std::size_t>(size);
  }
}

tcp_info info_of(int fd) {
  tcp_info info{};
  socklen_t size = sizeof(info);
  EXPECT_EQ(::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
  return info;
}

// Fills it whenever it can be written to, until `done`; how much that was. Gives up at some time.
template <typename Done>
std::size_t fill_until(int fd, Done&& done) {
  std::size_t total = 0;
  for (int tries = 0; tries < 2'000; ++tries) {
    const bool writable = wait_events(fd, POLLOUT, 10) == POLLOUT;
    if (writable) total += fill(fd);
    if (done(writable)) return total;
  }
  ADD_FAILURE() << "after " << total << " bytes";
  return total;
}

// Nobody reads: what the peer has no room for waits here, and that is no more than was asked for.
TEST_F(Sockets, LittleWaitsUnsent) {
  join();
  set(far_, SOL_SOCKET, SO_RCVBUF, 64 << 10);
  constexpr std::uint32_t kLow = 8 << 10;
  constexpr std::uint32_t kFrame = 64 << 10;  // may wait in any case
  set(near_, IPPROTO_TCP, TCP_NOTSENT_LOWAT, kLow);
  EXPECT_EQ(get(near_, IPPROTO_TCP, TCP_NOTSENT_LOWAT), static_cast<int>(kLow));
  // Nothing is under way, and so it is the peer's window that holds up the rest.
  const std::size_t written = fill_until(near_, [&](bool writable) {
    const tcp_info info = info_of(near_);
    EXPECT_LE(info.tcpi_notsent_bytes, kLow + kFrame);
    return !writable && info.tcpi_unacked == 0 && info.tcpi_notsent_bytes >= kLow / 2;
  });
  std::size_t taken = 0;
  while (taken < written) {
    const std::string got = receive(far_, 0, 256 << 10);
    ASSERT_FALSE(got.empty());
    taken += got.size();
  }
  EXPECT_EQ(wait_events(near_, POLLOUT), POLLOUT);
  // Without it the whole buffer fills.
  set(near_, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 0);
  fill_until(near_, [&](bool) { return info_of(near_).tcpi_notsent_bytes > kLow + kFrame; });
}

// Edge-triggered: each time that little is left, it is told.
TEST_F(Sockets, LittleUnsentIsAnEdge) {
  join();
  set(near_, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16 << 10);
  const Fd epoll(::epoll_create1(0));
  epoll_event event{.events = EPOLLOUT | EPOLLET, .data = {.fd = near_}};
  ASSERT_EQ(::epoll_ctl(epoll, EPOLL_CTL_ADD, near_, &event), 0);
  constexpr std::size_t kTotal = 4 << 20;
  std::thread reader([&] {
    std::size_t taken = 0;
    while (taken < kTotal) {
      const std::string got = receive(far_, 0, 64 << 10);
      if (got.empty()) break;
      taken += got.size();
    }
    EXPECT_GE(taken, kTotal);
  });
  std::size_t written = 0;
  while (written < kTotal) {
    const int found = ::epoll_wait(epoll, &event, 1, kPatienceMs);
    EXPECT_EQ(found, 1) << "after " << written;
    if (found != 1) break;
    written += fill(near_);
  }
  ::shutdown(near_, SHUT_WR);
  reader.join();
}

}  // namespace
}  // namespace check
