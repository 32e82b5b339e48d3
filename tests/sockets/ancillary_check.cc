// SPDX-License-Identifier: Apache-2.0
// Ancillary data: to which address a datagram came; what became of sends without copies; how much
// is left to read.
#include <time.h>
// It needs what comes before.
#include <linux/errqueue.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include "fixture.h"

namespace check {
namespace {

struct Message {
  std::array<char, 100> bytes{};
  alignas(cmsghdr) std::array<char, 256> control{};
  iovec part{.iov_base = bytes.data(), .iov_len = bytes.size()};
  msghdr header{};

  ssize_t receive(int fd, int flags = 0) {
    header = {};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    return ::recvmsg(fd, &header, flags);
  }
  template <typename T>
  bool find(int level, int type, T& value) {
    for (cmsghdr* each = CMSG_FIRSTHDR(&header); each != nullptr;
         each = CMSG_NXTHDR(&header, each)) {
      if (each->cmsg_level != level || each->cmsg_type != type) continue;
      if (each->cmsg_len < CMSG_LEN(sizeof(value))) return false;
      std::memcpy(&value, CMSG_DATA(each), sizeof(value));
      return true;
    }
    return false;
  }
};

TEST_F(Sockets, ADatagramTellsWhereItWasSentTo) {
  const Fd server = bound_datagram();
  const bool ipv4 = own(0).family() == AF_INET;
  set(server, ipv4 ? IPPROTO_IP : IPPROTO_IPV6, ipv4 ? IP_PKTINFO : IPV6_RECVPKTINFO, 1);
  for (const Address& to :
       {own(Address::local_of(server).port()), loopback(Address::local_of(server).port())}) {
    const Fd sender = make(SOCK_DGRAM);
    ASSERT_EQ(::sendto(sender, "x", 1, 0, to.raw(), to.size), 1) << std::strerror(errno);
    ASSERT_EQ(wait_events(server, POLLIN), POLLIN);
    Message message;
    ASSERT_EQ(message.receive(server), 1);
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (ipv4) {
      in_pktinfo info{};
      ASSERT_TRUE(message.find(IPPROTO_IP, IP_PKTINFO, info));
      ::inet_ntop(AF_INET, &info.ipi_addr, text.data(), text.size());
    } else {
      in6_pktinfo info{};
      ASSERT_TRUE(message.find(IPPROTO_IPV6, IPV6_PKTINFO, info));
      ::inet_ntop(AF_INET6, &info.ipi6_addr, text.data(), text.size());
    }
    EXPECT_EQ(to.text(), text.data());
    EXPECT_EQ(message.header.msg_flags & MSG_CTRUNC, 0);
  }
}

TEST_F(Sockets, SendsWithoutCopiesAreNotified) {
  join();
  Message message;
  EXPECT_EQ(message.receive(near_, MSG_ERRQUEUE), -1);
  EXPECT_EQ(errno, EAGAIN);
  set(near_, SOL_SOCKET, SO_ZEROCOPY, 1);
  const Fd epoll(::epoll_create1(0));
  epoll_event event{.events = EPOLLET, .data = {.u64 = 7}};
  ASSERT_EQ(::epoll_ctl(epoll, EPOLL_CTL_ADD, near_, &event), 0);
  EXPECT_EQ(::epoll_wait(epoll, &event, 1, 0), 0);
  const std::string block(20'000, 'z');
  std::uint32_t next = 0;
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(::send(near_, block.data(), block.size(), MSG_ZEROCOPY), 20'000);
  }
  EXPECT_EQ(receive(far_, MSG_WAITALL, 60'000).size(), 60'000U);
  ASSERT_EQ(::epoll_wait(epoll, &event, 1, kPatienceMs), 1);
  EXPECT_NE(event.events & EPOLLERR, 0U);
  while (next < 3) {
    ASSERT_NE(wait_events(near_, 0) & POLLERR, 0);
    ASSERT_EQ(message.receive(near_, MSG_ERRQUEUE), 0) << std::strerror(errno);
    const bool ipv4 = own(0).family() == AF_INET;
    sock_extended_err error{};
    ASSERT_TRUE(message.find(ipv4 ? SOL_IP : SOL_IPV6, ipv4 ? IP_RECVERR : IPV6_RECVERR, error));
    EXPECT_EQ(error.ee_errno, 0U);
    EXPECT_EQ(error.ee_origin, SO_EE_ORIGIN_ZEROCOPY);
    EXPECT_EQ(error.ee_info, next);
    next = error.ee_data + 1;
    EXPECT_NE(message.header.msg_flags & MSG_ERRQUEUE, 0);
  }
  EXPECT_EQ(next, 3U);
  EXPECT_EQ(message.receive(near_, MSG_ERRQUEUE), -1);
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_EQ(wait_events(near_, 0, 0), 0);
}

TEST_F(Sockets, WhoIsAcceptedIsNotifiedAsItsListener) {
  const Fd listener = make(SOCK_STREAM);
  set(listener, SOL_SOCKET, SO_ZEROCOPY, 1);
  ASSERT_EQ(::bind(listener, any().raw(), any().size), 0) << std::strerror(errno);
  ASSERT_EQ(::listen(listener, 1), 0);
  const Fd near = make(SOCK_STREAM);
  ASSERT_EQ(connect_to(near, Address::local_of(listener).port()), 0) << std::strerror(errno);
  const Fd far(::accept(listener, nullptr, nullptr));
  ASSERT_GE(far, 0) << std::strerror(errno);
  ASSERT_EQ(::send(far, "bytes", 5, MSG_ZEROCOPY), 5);
  EXPECT_EQ(receive(near, MSG_WAITALL, 5), "bytes");
  EXPECT_NE(wait_events(far, 0) & POLLERR, 0);
  Message message;
  EXPECT_EQ(message.receive(far, MSG_ERRQUEUE), 0) << std::strerror(errno);
}

TEST_F(Sockets, WhatIsLeftToReadIsTold) {
  join();
  const auto rest = [&](std::size_t size) {
    Message message;
    message.part.iov_len = size;
    int value = -1;
    EXPECT_EQ(message.receive(far_), static_cast<ssize_t>(size)) << std::strerror(errno);
    return message.find(SOL_TCP, TCP_CM_INQ, value) ? value : -1;
  };
  const auto wait_bytes = [&](int count) {
    for (int have = 0; have < count; ::usleep(1000)) {
      ASSERT_EQ(::ioctl(far_, FIONREAD, &have), 0);
    }
  };
  send(near_, "0123456789");
  wait_bytes(10);
  EXPECT_EQ(rest(2), -1);
  set(far_, IPPROTO_TCP, TCP_INQ, 1);
  EXPECT_EQ(get(far_, IPPROTO_TCP, TCP_INQ), 1);
  EXPECT_EQ(rest(5), 3);
  EXPECT_EQ(rest(3), 0);
  send(near_, "abc");
  ASSERT_EQ(::shutdown(near_, SHUT_WR), 0);
  ASSERT_EQ(wait_events(far_, POLLRDHUP), POLLRDHUP);
  wait_bytes(3);
  EXPECT_EQ(rest(3), 1);  // the end
  EXPECT_EQ(receive(far_), "");
}

}  // namespace
}  // namespace check
