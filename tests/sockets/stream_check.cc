// SPDX-License-Identifier: Apache-2.0
// The life of a connection: names, connecting, ends of both sides, errors.
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/stat.h>

#include <thread>

#include "fixture.h"

namespace check {
namespace {

TEST_F(Sockets, NamesAgreeOnBothSides) {
  join();
  EXPECT_EQ(Address::local_of(near_), Address::remote_of(far_));
  EXPECT_EQ(Address::remote_of(near_), Address::local_of(far_));
  EXPECT_EQ(Address::remote_of(near_), own(Address::local_of(listener_).port()));
  const Fd fresh = make(SOCK_STREAM);
  Address none;
  none.size = sizeof(none.storage);
  EXPECT_EQ(::getpeername(fresh, none.raw(), &none.size), -1);
  EXPECT_EQ(errno, ENOTCONN);
}

TEST_F(Sockets, AreSocketsToTheSystem) {
  join();
  for (const int fd :
       {static_cast<int>(listener_), static_cast<int>(near_), static_cast<int>(far_)}) {
    struct stat status{};
    ASSERT_EQ(::fstat(fd, &status), 0);
    EXPECT_TRUE(S_ISSOCK(status.st_mode));
    EXPECT_EQ(get(fd, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
    EXPECT_EQ(get(fd, SOL_SOCKET, SO_DOMAIN), own(0).family());
    EXPECT_EQ(get(fd, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
    EXPECT_EQ(get(fd, SOL_SOCKET, SO_ERROR), 0);
  }
  EXPECT_EQ(get(listener_, SOL_SOCKET, SO_ACCEPTCONN), 1);
  EXPECT_EQ(get(near_, SOL_SOCKET, SO_ACCEPTCONN), 0);
}

TEST_F(Sockets, AcceptTellsTheAddressAndTakesFlags) {
  listener_ = listen_any();
  near_ = make(SOCK_STREAM);
  ASSERT_EQ(connect_to(near_, Address::local_of(listener_).port()), 0);
  Address peer;
  peer.size = sizeof(peer.storage);
  far_ = Fd(::accept4(listener_, peer.raw(), &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
  ASSERT_GE(far_, 0);
  EXPECT_EQ(peer, Address::local_of(near_));
  EXPECT_EQ(::fcntl(far_, F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(::fcntl(far_, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
  EXPECT_EQ(receive(far_), "");
  EXPECT_EQ(errno, EAGAIN);
}

TEST_F(Sockets, AnAddressIsInUseOnce) {
  listener_ = listen_any();
  const Address taken = own(Address::local_of(listener_).port());
  const Fd other = make(SOCK_STREAM);
  EXPECT_EQ(::bind(other, taken.raw(), taken.size), -1);
  EXPECT_EQ(errno, EADDRINUSE);
  listener_.close();
  EXPECT_EQ(::bind(other, taken.raw(), taken.size), 0) << std::strerror(errno);
}

TEST_F(Sockets, AClosedPortRefuses) {
  listener_ = listen_any();
  const std::uint16_t port = Address::local_of(listener_).port();
  listener_.close();
  near_ = make(SOCK_STREAM);
  char byte = 0;
  EXPECT_EQ(connect_to(near_, port), -1);
  EXPECT_EQ(errno, ECONNREFUSED);
  EXPECT_EQ(::recv(near_, &byte, 1, 0), -1);
  EXPECT_EQ(errno, ENOTCONN);
  EXPECT_EQ(::send(near_, &byte, 1, MSG_NOSIGNAL), -1);
  EXPECT_EQ(errno, EPIPE);
}

TEST_F(Sockets, ARefusedSocketMayConnectAgain) {
  listener_ = listen_any();
  const std::uint16_t port = Address::local_of(listener_).port();
  listener_.close();
  near_ = make(SOCK_STREAM | SOCK_NONBLOCK);
  if (connect_to(near_, port) != 0 && errno == EINPROGRESS) {
    EXPECT_NE(wait_events(near_, POLLOUT) & (POLLERR | POLLHUP), 0);
    EXPECT_EQ(connect_to(near_, port), -1);
    EXPECT_EQ(errno, ECONNREFUSED);
  }
  join_again(port);
  EXPECT_EQ(get(near_, SOL_SOCKET, SO_ERROR), 0);
  send(near_, "now");
  EXPECT_EQ(receive(far_), "now");
}

TEST_F(Sockets, NonBlockingConnectTellsItsEndByPollAndError) {
  listener_ = listen_any();
  const std::uint16_t port = Address::local_of(listener_).port();
  near_ = make(SOCK_STREAM | SOCK_NONBLOCK);
  if (connect_to(near_, port) != 0) {
    EXPECT_EQ(errno, EINPROGRESS);
  }
  EXPECT_EQ(wait_events(near_, POLLOUT), POLLOUT);
  EXPECT_EQ(get(near_, SOL_SOCKET, SO_ERROR), 0);
  EXPECT_EQ(wait_events(listener_, POLLIN), POLLIN);
  listener_.close();
  const Fd refused = make(SOCK_STREAM | SOCK_NONBLOCK);
  if (connect_to(refused, port) != 0) {
    EXPECT_TRUE(errno == EINPROGRESS || errno == ECONNREFUSED);
    if (errno == EINPROGRESS) {
      EXPECT_NE(wait_events(refused, POLLOUT) & (POLLERR | POLLHUP), 0);
      EXPECT_EQ(get(refused, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
      EXPECT_EQ(get(refused, SOL_SOCKET, SO_ERROR), 0);
    }
  }
}

TEST_F(Sockets, AConnectedSocketDoesNotConnectAgain) {
  join();
  EXPECT_EQ(connect_to(near_, Address::local_of(listener_).port()), -1);
  EXPECT_EQ(errno, EISCONN);
}

TEST_F(Sockets, ShutdownEndsOneDirection) {
  join();
  send(near_, "last");
  ASSERT_EQ(::shutdown(near_, SHUT_WR), 0);
  EXPECT_EQ(receive(far_, MSG_WAITALL, 4), "last");
  EXPECT_EQ(wait_events(far_, POLLIN | POLLRDHUP) & POLLRDHUP, POLLRDHUP);
  EXPECT_EQ(receive(far_), "");
  send(far_, "answer");
  EXPECT_EQ(receive(near_), "answer");
  EXPECT_EQ(::send(near_, "x", 1, MSG_NOSIGNAL), -1);
  EXPECT_EQ(errno, EPIPE);
}

TEST_F(Sockets, AShutListenerEndsAccept) {
  listener_ = listen_any();
  int accepted = 0;
  int error = 0;
  std::thread waits([&] {
    accepted = ::accept(listener_, nullptr, nullptr);
    error = errno;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  ASSERT_EQ(::shutdown(listener_, SHUT_RDWR), 0) << std::strerror(errno);
  waits.join();
  EXPECT_EQ(accepted, -1);
  EXPECT_EQ(error, EINVAL);
}

TEST_F(Sockets, ABrokenPipeIsSignalled) {
  join();
  ASSERT_EQ(::shutdown(near_, SHUT_WR), 0);
  static volatile sig_atomic_t signals = 0;
  const auto before = ::signal(SIGPIPE, [](int) { signals = signals + 1; });
  EXPECT_EQ(::write(near_, "x", 1), -1);
  EXPECT_EQ(errno, EPIPE);
  EXPECT_EQ(signals, 1);
  ::signal(SIGPIPE, before);
}

TEST_F(Sockets, UnreadBytesResetThePeer) {
  join();
  send(near_, "unread");
  ASSERT_EQ(wait_events(far_, POLLIN), POLLIN);
  far_.close();
  EXPECT_NE(wait_events(near_, POLLIN) & (POLLERR | POLLHUP), 0);
  EXPECT_EQ(receive(near_), "");
  EXPECT_EQ(errno, ECONNRESET);
}

TEST_F(Sockets, LingerOfZeroResetsThePeer) {
  join();
  const linger now{.l_onoff = 1, .l_linger = 0};
  ASSERT_EQ(::setsockopt(near_, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
  near_.close();
  char byte = 0;
  EXPECT_EQ(::read(far_, &byte, 1), -1);
  EXPECT_EQ(errno, ECONNRESET);
}

TEST_F(Sockets, OptionsAreKept) {
  join();
  struct Option {
    int level;
    int name;
    int value;
  };
  for (const auto& [level, name, value] :
       std::initializer_list<Option>{{IPPROTO_TCP, TCP_NODELAY, 1},
                                     {SOL_SOCKET, SO_KEEPALIVE, 1},
                                     {IPPROTO_TCP, TCP_KEEPIDLE, 30},
                                     {IPPROTO_TCP, TCP_KEEPINTVL, 7},
                                     {IPPROTO_TCP, TCP_KEEPCNT, 3},
                                     {IPPROTO_TCP, TCP_USER_TIMEOUT, 5000},
                                     {SOL_SOCKET, SO_REUSEADDR, 1}}) {
    set(near_, level, name, value);
    EXPECT_EQ(get(near_, level, name), value) << level << " " << name;
  }
  set(near_, IPPROTO_TCP, TCP_NODELAY, 0);
  EXPECT_EQ(get(near_, IPPROTO_TCP, TCP_NODELAY), 0);
  EXPECT_EQ(::setsockopt(near_, SOL_SOCKET, 9999, "xxxx", 4), -1);
  EXPECT_EQ(errno, ENOPROTOOPT);
}

TEST_F(Sockets, InfoTellsTheState) {
  join();
  send(near_, "some bytes");
  EXPECT_EQ(receive(far_), "some bytes");
  tcp_info info{};
  socklen_t size = sizeof(info);
  ASSERT_EQ(::getsockopt(near_, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
  EXPECT_EQ(info.tcpi_state, TCP_ESTABLISHED);
  EXPECT_GT(info.tcpi_snd_mss, 500U);
  EXPECT_GT(info.tcpi_snd_cwnd, 0U);
  size = sizeof(info);
  ASSERT_EQ(::getsockopt(listener_, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
  EXPECT_EQ(info.tcpi_state, TCP_LISTEN);
  for (const std::string_view algorithm : {"bbr", "dctcp", "cubic", "reno"}) {
    const auto length = static_cast<socklen_t>(algorithm.size());
    if (::setsockopt(near_, IPPROTO_TCP, TCP_CONGESTION, algorithm.data(), length) != 0) {
      ASSERT_EQ(errno, ENOENT) << algorithm;  // of a kernel that lacks the module
      ASSERT_NE(algorithm, "reno");
      continue;
    }
    std::array<char, 16> name{};
    size = name.size();
    ASSERT_EQ(::getsockopt(near_, IPPROTO_TCP, TCP_CONGESTION, name.data(), &size), 0);
    EXPECT_EQ(std::string_view(name.data()), algorithm);
  }
  EXPECT_EQ(::setsockopt(near_, IPPROTO_TCP, TCP_CONGESTION, "none", 4), -1);
  EXPECT_EQ(errno, ENOENT);
}

TEST_F(Sockets, ADualStackListenerTakesIpv4) {
  listener_ = listen_any();
  const char* const ipv4 = std::getenv("SOCKET_CHECK_IPV4");
  if (own(0).family() == AF_INET) {
    const int no = 0;
    EXPECT_EQ(::setsockopt(listener_, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no)), -1);
    EXPECT_EQ(errno, ENOPROTOOPT);
    return;
  }
  ASSERT_NE(ipv4, nullptr);
  const Address to = Address::of(ipv4, Address::local_of(listener_).port());
  near_ = Fd(::socket(AF_INET, SOCK_STREAM, 0));
  ASSERT_EQ(::connect(near_, to.raw(), to.size), 0) << std::strerror(errno);
  far_ = Fd(::accept(listener_, nullptr, nullptr));
  EXPECT_EQ(Address::remote_of(far_).text(), std::string("::ffff:") + ipv4);
  send(near_, "mapped");
  EXPECT_EQ(receive(far_), "mapped");
}

TEST_F(Sockets, OneWithoutAPeerSaysSo) {
  near_ = make(SOCK_STREAM);
  EXPECT_EQ(::send(near_, "x", 1, MSG_NOSIGNAL), -1);
  EXPECT_EQ(errno, EPIPE);
  EXPECT_EQ(receive(near_), "");
  EXPECT_EQ(errno, ENOTCONN);
  EXPECT_EQ(::shutdown(near_, SHUT_WR), -1);
  EXPECT_EQ(errno, ENOTCONN);
}

}  // namespace
}  // namespace check
