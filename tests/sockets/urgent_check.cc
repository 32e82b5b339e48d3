// SPDX-License-Identifier: Apache-2.0
// Urgent data (MSG_OOB), and what the network says of datagrams (IP_RECVERR).
#include <time.h>

// It wants timespec.
#include <linux/errqueue.h>
#include <netinet/ip_icmp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>

#include "fixture.h"

namespace check {
namespace {

std::string receive_urgent(int fd, int flags = 0) {
  char byte = 0;
  const ssize_t size = ::recv(fd, &byte, 1, MSG_OOB | flags);
  return size == 1 ? std::string(1, byte) : std::string();
}
void send_urgent(int fd, std::string_view text) {
  ASSERT_EQ(::send(fd, text.data(), text.size(), MSG_OOB), static_cast<ssize_t>(text.size()))
      << std::strerror(errno);
}
// So many bytes have come.
void wait_bytes(int fd, int count) {
  for (int tries = 0; tries < 10'000; ++tries) {
    int have = 0;
    ASSERT_EQ(::ioctl(fd, FIONREAD, &have), 0);
    if (have >= count) return;
    ::usleep(1000);
  }
  FAIL() << "fewer bytes than " << count;
}

TEST_F(Sockets, TheUrgentByteIsApart) {
  join();
  EXPECT_EQ(receive_urgent(far_), "");
  EXPECT_EQ(errno, EINVAL);
  send(near_, "abc");
  send_urgent(near_, "de");
  send(near_, "fgh");
  ASSERT_EQ(wait_events(far_, POLLPRI), POLLPRI);
  EXPECT_EQ(::sockatmark(far_), 0);
  EXPECT_EQ(receive_urgent(far_, MSG_PEEK), "e");
  EXPECT_EQ(receive_urgent(far_), "e");
  EXPECT_EQ(receive_urgent(far_), "");
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(wait_events(far_, POLLPRI, 0), 0);
  // Reading stops before it, and goes on behind.
  EXPECT_EQ(receive(far_), "abcd");
  EXPECT_EQ(::sockatmark(far_), 1);
  EXPECT_EQ(receive(far_, MSG_WAITALL, 3), "fgh");
  EXPECT_EQ(::sockatmark(far_), 0);
}

TEST_F(Sockets, TheUrgentByteIsInLine) {
  join();
  set(far_, SOL_SOCKET, SO_OOBINLINE, 1);
  EXPECT_EQ(get(far_, SOL_SOCKET, SO_OOBINLINE), 1);
  send(near_, "abc");
  send_urgent(near_, "d");
  send(near_, "ef");
  ASSERT_EQ(wait_events(far_, POLLPRI), POLLPRI);
  EXPECT_EQ(receive_urgent(far_), "");
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(receive(far_), "abc");
  EXPECT_EQ(::sockatmark(far_), 1);
  EXPECT_EQ(receive(far_, MSG_WAITALL, 3), "def");
  EXPECT_EQ(wait_events(far_, POLLPRI, 0), 0);
}

TEST_F(Sockets, AnUrgentByteThatIsNotReadIsLost) {
  join();
  send_urgent(near_, "x");
  ASSERT_EQ(wait_events(far_, POLLPRI), POLLPRI);
  EXPECT_EQ(wait_events(far_, POLLIN, 0), 0);
  EXPECT_EQ(::sockatmark(far_), 1);
  send(near_, "after");
  ASSERT_EQ(wait_events(far_, POLLIN), POLLIN);
  EXPECT_EQ(receive(far_), "after");
  EXPECT_EQ(receive_urgent(far_), "");
  EXPECT_EQ(errno, EINVAL);
}

// What was urgent before is a byte like any other.
TEST_F(Sockets, TheLastUrgentByteCounts) {
  join();
  send(near_, "a");
  send_urgent(near_, "b");
  send(near_, "c");
  send_urgent(near_, "d");
  send(near_, "e");
  ASSERT_EQ(wait_events(far_, POLLIN), POLLIN);
  wait_bytes(far_, 3);
  ASSERT_EQ(wait_events(far_, POLLPRI), POLLPRI);
  EXPECT_EQ(receive_urgent(far_), "d");
  EXPECT_EQ(receive(far_), "abc");
  EXPECT_EQ(::sockatmark(far_), 1);
  EXPECT_EQ(receive(far_), "e");
}

// A reader that has come to an urgent byte, and taken it, does not get it again.
TEST_F(Sockets, AnotherUrgentByteFollowsTheFirst) {
  join();
  send_urgent(near_, "1");
  ASSERT_EQ(wait_events(far_, POLLPRI), POLLPRI);
  EXPECT_EQ(receive_urgent(far_), "1");
  send(near_, "ab");
  send_urgent(near_, "2");
  ASSERT_EQ(wait_events(far_, POLLPRI), POLLPRI);
  EXPECT_EQ(receive_urgent(far_), "2");
  EXPECT_EQ(receive(far_), "ab");
  EXPECT_EQ(::sockatmark(far_), 1);
}

TEST_F(Sockets, SelectAndEpollTellOfUrgentBytes) {
  join();
  const Fd epoll(::epoll_create1(0));
  epoll_event event{.events = EPOLLPRI, .data = {.fd = far_}};
  ASSERT_EQ(::epoll_ctl(epoll, EPOLL_CTL_ADD, far_, &event), 0);
  send(near_, "usual");
  ASSERT_EQ(wait_events(far_, POLLIN), POLLIN);
  EXPECT_EQ(::epoll_wait(epoll, &event, 1, 0), 0);
  send_urgent(near_, "!");
  ASSERT_EQ(::epoll_wait(epoll, &event, 1, kPatienceMs), 1);
  EXPECT_EQ(event.events, EPOLLPRI);
  fd_set exceptions;
  FD_ZERO(&exceptions);
  FD_SET(far_, &exceptions);
  timeval now{};
  EXPECT_EQ(::select(far_ + 1, nullptr, nullptr, &exceptions, &now), 1);
  EXPECT_TRUE(FD_ISSET(far_, &exceptions));
  char byte = 0;
  iovec part{.iov_base = &byte, .iov_len = 1};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  EXPECT_EQ(::recvmsg(far_, &message, MSG_OOB), 1);
  EXPECT_EQ(byte, '!');
  EXPECT_NE(message.msg_flags & MSG_OOB, 0);
}

// --- IP_RECVERR.

struct Said {
  ssize_t size = -1;
  std::string text;
  Address to;
  Address from;
  sock_extended_err error{};
  int flags = 0;
};

Said take_report(int fd) {
  Said said;
  said.text.resize(64);
  std::array<char, 512> control{};
  iovec part{.iov_base = said.text.data(), .iov_len = said.text.size()};
  msghdr message{};
  message.msg_name = &said.to.storage;
  message.msg_namelen = sizeof(said.to.storage);
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  said.size = ::recvmsg(fd, &message, MSG_ERRQUEUE);
  if (said.size < 0) return said;
  said.text.resize(static_cast<std::size_t>(said.size));
  said.flags = message.msg_flags;
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  EXPECT_NE(header, nullptr);
  if (header == nullptr) return said;
  const bool ipv4 = own(0).family() == AF_INET;
  EXPECT_EQ(header->cmsg_level, ipv4 ? SOL_IP : SOL_IPV6);
  EXPECT_EQ(header->cmsg_type, ipv4 ? IP_RECVERR : IPV6_RECVERR);
  std::memcpy(&said.error, CMSG_DATA(header), sizeof(said.error));
  std::memcpy(&said.from.storage, CMSG_DATA(header) + sizeof(said.error),
              ipv4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
  return said;
}

void ask_for_reports(int fd) {
  const bool ipv4 = own(0).family() == AF_INET;
  set(fd, ipv4 ? SOL_IP : SOL_IPV6, ipv4 ? IP_RECVERR : IPV6_RECVERR, 1);
}

TEST_F(Sockets, AClosedPortIsReported) {
  Fd closed = bound_datagram();
  const Address there = own(Address::local_of(closed).port());
  closed.close();
  const Fd asker = make(SOCK_DGRAM);
  ask_for_reports(asker);
  EXPECT_EQ(take_report(asker).size, -1);
  EXPECT_EQ(errno, EAGAIN);
  ASSERT_EQ(::sendto(asker, "anybody?", 8, 0, there.raw(), there.size), 8);
  ASSERT_EQ(wait_events(asker, POLLIN) & POLLERR, POLLERR);
  const Said said = take_report(asker);
  ASSERT_EQ(said.size, 8) << std::strerror(errno);
  EXPECT_EQ(said.text, "anybody?");
  EXPECT_EQ(said.flags & MSG_ERRQUEUE, MSG_ERRQUEUE);
  EXPECT_EQ(said.to, there);
  EXPECT_EQ(said.from.text(), there.text());
  EXPECT_EQ(said.error.ee_errno, static_cast<unsigned>(ECONNREFUSED));
  const bool ipv4 = own(0).family() == AF_INET;
  EXPECT_EQ(said.error.ee_origin, ipv4 ? SO_EE_ORIGIN_ICMP : SO_EE_ORIGIN_ICMP6);
  EXPECT_EQ(said.error.ee_type, ipv4 ? 3 : 1);
  EXPECT_EQ(said.error.ee_code, ipv4 ? 3 : 4);
  EXPECT_EQ(said.error.ee_info, 0U);
  // The error went with it.
  EXPECT_EQ(get(asker, SOL_SOCKET, SO_ERROR), 0);
  EXPECT_EQ(wait_events(asker, POLLIN, 0), 0);
  EXPECT_EQ(take_report(asker).size, -1);
}

TEST_F(Sockets, ReportsAreKeptWhenTheErrorWasTold) {
  Fd closed = bound_datagram();
  const Address there = own(Address::local_of(closed).port());
  closed.close();
  const Fd asker = make(SOCK_DGRAM);
  ask_for_reports(asker);
  ASSERT_EQ(::sendto(asker, "1", 1, 0, there.raw(), there.size), 1);
  ASSERT_EQ(wait_events(asker, POLLIN) & POLLERR, POLLERR);
  EXPECT_EQ(get(asker, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
  EXPECT_EQ(get(asker, SOL_SOCKET, SO_ERROR), 0);
  EXPECT_EQ(wait_events(asker, POLLIN, 0) & POLLERR, POLLERR);
  const Fd epoll(::epoll_create1(0));
  epoll_event event{.events = EPOLLIN, .data = {.fd = asker}};
  ASSERT_EQ(::epoll_ctl(epoll, EPOLL_CTL_ADD, asker, &event), 0);
  ASSERT_EQ(::epoll_wait(epoll, &event, 1, 0), 1);
  EXPECT_EQ(event.events, EPOLLERR);
  EXPECT_EQ(take_report(asker).text, "1");
  EXPECT_EQ(::epoll_wait(epoll, &event, 1, 0), 0);
}

TEST_F(Sockets, WhoDoesNotAskGetsNoReports) {
  Fd closed = bound_datagram();
  const Address there = own(Address::local_of(closed).port());
  closed.close();
  const Fd asker = make(SOCK_DGRAM);
  ASSERT_EQ(::sendto(asker, "1", 1, 0, there.raw(), there.size), 1);
  EXPECT_EQ(wait_events(asker, POLLIN, 50), 0);
  EXPECT_EQ(take_report(asker).size, -1);
  EXPECT_EQ(errno, EAGAIN);
}

}  // namespace
}  // namespace check
