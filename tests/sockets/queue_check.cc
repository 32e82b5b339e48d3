// SPDX-License-Identifier: Apache-2.0
// What waits in a socket: how much of it is worth a wake-up (SO_RCVLOWAT), how much the peer has
// not yet taken (SIOCOUTQ), when it came (SO_TIMESTAMP), and whether it comes by the dozen
// (UDP_GRO).
#include <linux/sockios.h>
#include <netinet/udp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/time.h>
#include <time.h>

#include <atomic>
#include <thread>

#include "fixture.h"

namespace check {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

class Queues : public Sockets {
 protected:
  static constexpr int kLeast = 100;

  static int readable(int fd) {
    int size = -1;
    EXPECT_EQ(::ioctl(fd, FIONREAD, &size), 0) << std::strerror(errno);
    return size;
  }
  static int outgoing(int fd, unsigned long request = SIOCOUTQ) {
    int size = -1;
    EXPECT_EQ(::ioctl(fd, request, &size), 0) << std::strerror(errno);
    return size;
  }
  // Until `done`; false after a while.
  template <typename Done>
  static bool until(const Done& done) {
    const auto end = steady_clock::now() + milliseconds(kPatienceMs);
    while (!done()) {
      if (steady_clock::now() > end) return false;
      std::this_thread::sleep_for(milliseconds(1));
    }
    return true;
  }
  // So many bytes from near_ have come to far_.
  void bring(int size) {
    const int before = readable(far_);
    send(near_, std::string(static_cast<std::size_t>(size), 'x'));
    ASSERT_TRUE(until([&] { return readable(far_) == before + size; }));
  }
  bool is_told(int epoll, int timeout_ms) {
    epoll_event event{};
    return ::epoll_wait(epoll, &event, 1, timeout_ms) == 1 && (event.events & EPOLLIN) != 0;
  }
  static bool is_selected(int fd) {
    fd_set reading;
    FD_ZERO(&reading);
    FD_SET(fd, &reading);
    timeval none{};
    return ::select(fd + 1, &reading, nullptr, nullptr, &none) == 1;
  }
};

TEST_F(Queues, LessThanTheLeastWakesNobody) {
  join();
  EXPECT_EQ(get(far_, SOL_SOCKET, SO_RCVLOWAT), 1);
  set(far_, SOL_SOCKET, SO_RCVLOWAT, kLeast);
  EXPECT_EQ(get(far_, SOL_SOCKET, SO_RCVLOWAT), kLeast);
  const Fd level(::epoll_create1(0));
  const Fd edge(::epoll_create1(0));
  epoll_event event{.events = EPOLLIN, .data = {.fd = 1}};
  ASSERT_EQ(::epoll_ctl(level, EPOLL_CTL_ADD, far_, &event), 0);
  event.events = EPOLLIN | EPOLLET;
  ASSERT_EQ(::epoll_ctl(edge, EPOLL_CTL_ADD, far_, &event), 0);
  bring(kLeast - 1);
  EXPECT_EQ(wait_events(far_, POLLIN, 20), 0);
  EXPECT_EQ(wait_events(far_, POLLRDNORM, 0), 0);
  EXPECT_EQ(wait_events(far_, POLLIN | POLLOUT, 0), POLLOUT);
  EXPECT_FALSE(is_selected(far_));
  EXPECT_FALSE(is_told(level, 20));
  EXPECT_FALSE(is_told(edge, 0));
  bring(1);
  EXPECT_EQ(wait_events(far_, POLLIN), POLLIN);
  EXPECT_TRUE(is_selected(far_));
  EXPECT_TRUE(is_told(level, kPatienceMs));
  EXPECT_TRUE(is_told(edge, kPatienceMs));
  EXPECT_FALSE(is_told(edge, 0));
  // What is there is read, be it as little as it is.
  EXPECT_EQ(receive(far_, 0, 30).size(), 30U);
  EXPECT_EQ(wait_events(far_, POLLIN, 0), 0);
  EXPECT_FALSE(is_told(level, 0));
  EXPECT_EQ(receive(far_, MSG_DONTWAIT, 1000).size(), 70U);
  // Another number counts at once; 0 is 1.
  bring(10);
  EXPECT_EQ(wait_events(far_, POLLIN, 0), 0);
  EXPECT_FALSE(is_told(level, 0) || is_told(edge, 0));
  set(far_, SOL_SOCKET, SO_RCVLOWAT, 10);
  EXPECT_TRUE(is_told(level, kPatienceMs) && is_told(edge, kPatienceMs));
  EXPECT_EQ(wait_events(far_, POLLIN), POLLIN);
  set(far_, SOL_SOCKET, SO_RCVLOWAT, 0);
  EXPECT_EQ(get(far_, SOL_SOCKET, SO_RCVLOWAT), 1);
  // The end is worth it.
  set(far_, SOL_SOCKET, SO_RCVLOWAT, kLeast);
  EXPECT_EQ(wait_events(far_, POLLIN, 0), 0);
  ASSERT_EQ(::shutdown(near_, SHUT_WR), 0);
  EXPECT_EQ(wait_events(far_, POLLIN), POLLIN);
  EXPECT_TRUE(is_told(level, kPatienceMs));
}

TEST_F(Queues, ACallThatBlocksWaitsForTheLeast) {
  join();
  set(far_, SOL_SOCKET, SO_RCVLOWAT, kLeast);
  bring(60);
  std::atomic<bool> done{false};
  std::size_t got = 0;
  std::thread reader([&] {
    got = receive(far_, 0, 1000).size();
    done = true;
  });
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_FALSE(done);
  send(near_, std::string(30, 'y'));
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_FALSE(done);
  // Linux counts what came since the call has begun to wait.
  send(near_, std::string(kLeast, 'z'));
  reader.join();
  EXPECT_GE(got, std::size_t{kLeast});
  ASSERT_TRUE(until([&] { return readable(far_) == 90 + kLeast - static_cast<int>(got); }));
  (void)receive(far_, MSG_DONTWAIT, 1000);
  // No more than there is room for.
  bring(10);
  EXPECT_EQ(receive(far_, 0, 10).size(), 10U);
  // Time is up: what there is.
  const timeval limit{.tv_sec = 0, .tv_usec = 60'000};
  ASSERT_EQ(::setsockopt(far_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
  bring(40);
  const auto begin = steady_clock::now();
  EXPECT_EQ(receive(far_, 0, 1000).size(), 40U);
  EXPECT_GE(steady_clock::now() - begin, milliseconds(59));
  EXPECT_EQ(receive(far_, 0, 1000), "");
  EXPECT_EQ(errno, EAGAIN);
  // The end: what there is.
  bring(7);
  ASSERT_EQ(::shutdown(near_, SHUT_WR), 0);
  EXPECT_EQ(receive(far_, 0, 1000).size(), 7U);
  EXPECT_EQ(receive(far_, 0, 1000), "");
}

// More than a window as it is at first, and than what a front end keeps for a stream.
TEST_F(Queues, ALargeLeastIsReached) {
  constexpr int kMuch = 200'000;
  listener_ = listen_any();
  set(listener_, SOL_SOCKET, SO_RCVLOWAT, kMuch);
  near_ = make(SOCK_STREAM);
  ASSERT_EQ(connect_to(near_, Address::local_of(listener_).port()), 0);
  far_ = Fd(::accept(listener_, nullptr, nullptr));
  EXPECT_EQ(get(far_, SOL_SOCKET, SO_RCVLOWAT), kMuch);
  std::thread writer([&] {
    const std::string all(kMuch, 'm');
    for (std::size_t sent = 0; sent < all.size();) {
      const ssize_t size = ::send(near_, all.data() + sent, all.size() - sent, 0);
      ASSERT_GT(size, 0) << std::strerror(errno);
      sent += static_cast<std::size_t>(size);
    }
  });
  EXPECT_EQ(wait_events(far_, POLLIN), POLLIN);
  EXPECT_EQ(readable(far_), kMuch);
  EXPECT_EQ(receive(far_, 0, kMuch).size(), std::size_t{kMuch});
  writer.join();
  // More than there can ever be is waited for until no more can come.
  set(far_, SOL_SOCKET, SO_RCVLOWAT, INT32_MAX);
  std::atomic<bool> stop{false};
  std::thread floods([&] {
    const std::string block(100'000, 'f');
    while (!stop) {
      if (::send(near_, block.data(), block.size(), MSG_DONTWAIT) < 0) {
        std::this_thread::sleep_for(milliseconds(1));
      }
    }
  });
  EXPECT_EQ(wait_events(far_, POLLIN), POLLIN);
  EXPECT_GT(readable(far_), 4096);
  stop = true;
  floods.join();
}

TEST_F(Queues, AWaitForAllBringsNoAncillaryData) {
  join();
  bring(20);
  std::array<char, 20> bytes{};
  std::array<char, 64> control{};
  iovec part{.iov_base = bytes.data(), .iov_len = bytes.size()};
  msghdr message{.msg_iov = &part,
                 .msg_iovlen = 1,
                 .msg_control = control.data(),
                 .msg_controllen = control.size()};
  EXPECT_EQ(::recvmsg(far_, &message, MSG_WAITALL), 20);
  EXPECT_EQ(message.msg_controllen, 0U);
  EXPECT_EQ(message.msg_flags, 0);
}

TEST_F(Queues, WhatThePeerHasNotTakenIsTold) {
  join();
  EXPECT_EQ(outgoing(near_), 0);
  EXPECT_EQ(outgoing(near_, SIOCOUTQNSD), 0);
  const std::string block(100'000, 'b');
  int sent = 0;
  // Until the peer takes no more.
  while (wait_events(near_, POLLOUT, 300) == POLLOUT) {
    const ssize_t size = ::send(near_, block.data(), block.size(), MSG_DONTWAIT);
    if (size > 0) sent += static_cast<int>(size);
  }
  const int unsent = outgoing(near_, SIOCOUTQNSD);
  const int untaken = outgoing(near_);
  EXPECT_GT(unsent, 0);
  EXPECT_GE(untaken, unsent);
  EXPECT_LE(untaken, sent);
  int received = 0;
  while (received < sent) {
    const std::size_t size = receive(far_, 0, 1 << 16).size();
    ASSERT_GT(size, 0U);
    received += static_cast<int>(size);
  }
  EXPECT_TRUE(until([&] { return outgoing(near_) == 0; }));
  EXPECT_EQ(outgoing(near_, SIOCOUTQNSD), 0);
  int size = 0;
  for (const unsigned long request : std::array<unsigned long, 2>{SIOCOUTQ, SIOCOUTQNSD}) {
    EXPECT_EQ(::ioctl(listener_, request, &size), -1);
    EXPECT_EQ(errno, EINVAL);
  }
  const Fd fresh = make(SOCK_STREAM);
  EXPECT_EQ(outgoing(fresh), 0);
  const Fd datagrams = bound_datagram();
  EXPECT_EQ(outgoing(datagrams), 0);
}

// The ancillary data of the next datagram: its time, and no other data. Nothing if it has none.
struct Stamp {
  int type = 0;
  std::int64_t nanoseconds = 0;
};
Stamp stamp_of_next(int fd) {
  std::array<char, 64> bytes{};
  alignas(cmsghdr) std::array<char, 256> control{};
  iovec part{.iov_base = bytes.data(), .iov_len = bytes.size()};
  msghdr message{.msg_iov = &part,
                 .msg_iovlen = 1,
                 .msg_control = control.data(),
                 .msg_controllen = control.size()};
  EXPECT_EQ(wait_events(fd, POLLIN), POLLIN);
  EXPECT_EQ(::recvmsg(fd, &message, 0), 1) << std::strerror(errno);
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  if (header == nullptr) return {};
  EXPECT_EQ(header->cmsg_level, SOL_SOCKET);
  EXPECT_EQ(CMSG_NXTHDR(&message, const_cast<cmsghdr*>(header)), nullptr);
  Stamp stamp{.type = header->cmsg_type};
  if (stamp.type == SO_TIMESTAMP) {
    timeval time{};
    EXPECT_EQ(header->cmsg_len, CMSG_LEN(sizeof(time)));
    std::memcpy(&time, CMSG_DATA(header), sizeof(time));
    stamp.nanoseconds = (time.tv_sec * 1'000'000 + time.tv_usec) * 1000;
  } else {
    timespec time{};
    EXPECT_EQ(header->cmsg_len, CMSG_LEN(sizeof(time)));
    std::memcpy(&time, CMSG_DATA(header), sizeof(time));
    stamp.nanoseconds = time.tv_sec * 1'000'000'000 + time.tv_nsec;
  }
  return stamp;
}
std::int64_t day_now() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

TEST_F(Queues, ADatagramTellsWhenItCame) {
  const Fd server = bound_datagram();
  const Fd client = make(SOCK_DGRAM);
  const Address to = own(Address::local_of(server).port());
  ASSERT_EQ(::connect(client, to.raw(), to.size), 0);
  send(client, "x");
  EXPECT_EQ(stamp_of_next(server).type, 0);
  constexpr std::int64_t kTick = 1'000'000;  // clocks are read one after the other
  for (const int name : {SO_TIMESTAMP, SO_TIMESTAMPNS}) {
    set(server, SOL_SOCKET, name, 1);
    EXPECT_EQ(get(server, SOL_SOCKET, name), 1);
    // When it came, not when it is read. The kernel begins with that some time after it was asked,
    // and tells until then when it is read.
    const auto is_told = [&] {
      const std::int64_t before = day_now();
      send(client, "x");
      EXPECT_EQ(wait_events(server, POLLIN), POLLIN);
      const std::int64_t after = day_now();
      std::this_thread::sleep_for(milliseconds(10));
      const Stamp stamp = stamp_of_next(server);
      EXPECT_EQ(stamp.type, name);
      EXPECT_GE(stamp.nanoseconds, before - kTick);
      return stamp.nanoseconds <= after + kTick;
    };
    EXPECT_TRUE(until(is_told));
  }
  // The one takes the other's place, and goes with either.
  EXPECT_EQ(get(server, SOL_SOCKET, SO_TIMESTAMP), 0);
  set(server, SOL_SOCKET, SO_TIMESTAMP, 0);
  EXPECT_EQ(get(server, SOL_SOCKET, SO_TIMESTAMPNS), 0);
  send(client, "x");
  EXPECT_EQ(stamp_of_next(server).type, 0);
  // No room for it.
  set(server, SOL_SOCKET, SO_TIMESTAMP, 1);
  send(client, "x");
  ASSERT_EQ(wait_events(server, POLLIN), POLLIN);
  std::array<char, 8> bytes{};
  std::array<char, 8> control{};
  iovec part{.iov_base = bytes.data(), .iov_len = bytes.size()};
  msghdr message{.msg_iov = &part,
                 .msg_iovlen = 1,
                 .msg_control = control.data(),
                 .msg_controllen = control.size()};
  ASSERT_EQ(::recvmsg(server, &message, 0), 1);
  EXPECT_EQ(message.msg_flags & MSG_CTRUNC, MSG_CTRUNC);
}

// Several come as one, which says so; or who asks for that is refused, and need not look for it.
TEST_F(Queues, DatagramsComeTogetherOrThatIsRefused) {
  const Fd server = bound_datagram();
  const int on = 1;
  const bool together = ::setsockopt(server, IPPROTO_UDP, UDP_GRO, &on, sizeof(on)) == 0;
  if (!together) {
    EXPECT_EQ(errno, ENOPROTOOPT);
  }
  EXPECT_EQ(get(server, IPPROTO_UDP, UDP_GRO), together ? 1 : 0);
  const Fd client = make(SOCK_DGRAM);
  set(client, IPPROTO_UDP, UDP_SEGMENT, 100);
  const Address to = own(Address::local_of(server).port());
  ASSERT_EQ(::connect(client, to.raw(), to.size), 0);
  send(client, std::string(250, 's'));
  ASSERT_EQ(wait_events(server, POLLIN), POLLIN);
  EXPECT_EQ(receive(server).size(), together ? 250U : 100U);
}

}  // namespace
}  // namespace check
