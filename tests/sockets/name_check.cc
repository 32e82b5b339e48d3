// SPDX-License-Identifier: Apache-2.0
// Names of the C library that programs come by in other ways than the usual: what the compiler
// calls in their stead (_FORTIFY_SOURCE), pselect, close_range, EPOLLEXCLUSIVE.
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "fixture.h"

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the C library's names
extern "C" {
ssize_t __read_chk(int fd, void* to, std::size_t size, std::size_t room);
ssize_t __recv_chk(int fd, void* to, std::size_t size, std::size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void* to, std::size_t size, std::size_t room, int flags,
                       sockaddr* from, socklen_t* from_size);
int __poll_chk(pollfd* fds, nfds_t count, int timeout_ms, std::size_t room);
int __ppoll_chk(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask,
                std::size_t room);
int __dprintf_chk(int fd, int flag, const char* format, ...);
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

namespace check {
namespace {

class Names : public Sockets {
 protected:
  void SetUp() override { join(); }

  std::array<char, 64> bytes_{};
};

TEST_F(Names, FortifiedCallsDoAsTheOthers) {
  pollfd entry{.fd = far_, .events = POLLIN, .revents = 0};
  const timespec none{};
  EXPECT_EQ(__poll_chk(&entry, 1, 0, sizeof(entry)), 0);
  EXPECT_EQ(__ppoll_chk(&entry, 1, &none, nullptr, sizeof(entry)), 0);
  EXPECT_EQ(__dprintf_chk(near_, 1, "%s %d", "number", 7), 8);
  EXPECT_EQ(__poll_chk(&entry, 1, kPatienceMs, sizeof(entry)), 1);
  EXPECT_EQ(entry.revents, POLLIN);
  EXPECT_EQ(__ppoll_chk(&entry, 1, nullptr, nullptr, sizeof(entry)), 1);
  EXPECT_EQ(__recv_chk(far_, bytes_.data(), 6, bytes_.size(), MSG_PEEK), 6);
  EXPECT_EQ(std::string(bytes_.data(), 6), "number");
  EXPECT_EQ(__read_chk(far_, bytes_.data(), 4, bytes_.size()), 4);
  EXPECT_EQ(__recvfrom_chk(far_, bytes_.data(), 10, bytes_.size(), 0, nullptr, nullptr), 4);
  EXPECT_EQ(std::string(bytes_.data(), 4), "er 7");
  EXPECT_EQ(__recv_chk(far_, bytes_.data(), 10, bytes_.size(), MSG_DONTWAIT), -1);
  EXPECT_EQ(errno, EAGAIN);
  // Of datagrams, with their sender.
  const Fd server = bound_datagram();
  const Fd client = bound_datagram();
  const Address to = own(Address::local_of(server).port());
  ASSERT_EQ(::sendto(client, "datagram", 8, 0, to.raw(), to.size), 8);
  ASSERT_EQ(wait_events(server, POLLIN), POLLIN);
  Address from;
  from.size = sizeof(from.storage);
  EXPECT_EQ(__recvfrom_chk(server, bytes_.data(), 20, bytes_.size(), 0, from.raw(), &from.size), 8);
  EXPECT_EQ(from.port(), Address::local_of(client).port());
}

// That is what they are for. In a child, which ends by it.
TEST_F(Names, FortifiedCallsEndWhoWouldOverrun) {
  const auto ended_by = ::testing::KilledBySignal(SIGABRT);
  constexpr const char* kWords = "overflow";
  std::array<pollfd, 2> fds{pollfd{far_, POLLIN, 0}, pollfd{near_, POLLIN, 0}};
  send(near_, "four");
  ASSERT_EQ(wait_events(far_, POLLIN), POLLIN);
  EXPECT_EXIT(__recv_chk(far_, bytes_.data(), 4, 3, 0), ended_by, kWords);
  EXPECT_EXIT(__read_chk(far_, bytes_.data(), 4, 3), ended_by, kWords);
  EXPECT_EXIT(__recvfrom_chk(far_, bytes_.data(), 4, 3, 0, nullptr, nullptr), ended_by, kWords);
  EXPECT_EXIT(__poll_chk(fds.data(), 2, 0, sizeof(pollfd)), ended_by, kWords);
  EXPECT_EXIT(__ppoll_chk(fds.data(), 2, nullptr, nullptr, sizeof(pollfd)), ended_by, kWords);
  EXPECT_EQ(receive(far_), "four");
}

std::atomic<int> caught{0};

TEST_F(Names, PselectMixesSocketsAndPipesAndTakesAMask) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const Fd pipe_out(ends[0]);
  const Fd pipe_in(ends[1]);
  const int most =
      std::max({static_cast<int>(near_), static_cast<int>(far_), static_cast<int>(pipe_out)}) + 1;
  fd_set reading;
  fd_set writing;
  const auto wait = [&](const timespec* limit, const sigset_t* mask, bool writes) {
    FD_ZERO(&reading);
    FD_ZERO(&writing);
    FD_SET(far_, &reading);
    FD_SET(pipe_out, &reading);
    if (writes) FD_SET(near_, &writing);
    return ::pselect(most, &reading, &writing, nullptr, limit, mask);
  };
  const timespec limit{.tv_sec = 0, .tv_nsec = 20'000'000};
  EXPECT_EQ(wait(&limit, nullptr, false), 0);
  EXPECT_FALSE(FD_ISSET(far_, &reading) || FD_ISSET(pipe_out, &reading));
  EXPECT_EQ(limit.tv_nsec, 20'000'000);
  EXPECT_EQ(wait(nullptr, nullptr, true), 1);
  EXPECT_TRUE(FD_ISSET(near_, &writing));
  send(near_, "x");
  ASSERT_EQ(wait_events(far_, POLLIN), POLLIN);
  ASSERT_EQ(::write(pipe_in, "x", 1), 1);
  EXPECT_EQ(wait(nullptr, nullptr, true), 3);
  EXPECT_TRUE(FD_ISSET(far_, &reading) && FD_ISSET(pipe_out, &reading));

  // A signal that is blocked but for the wait ends it.
  ASSERT_EQ(::read(far_, bytes_.data(), 1), 1);
  ASSERT_EQ(::read(pipe_out, bytes_.data(), 1), 1);
  struct sigaction action{};
  action.sa_handler = [](int) { ++caught; };
  struct sigaction before{};
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  sigset_t blocked;
  sigset_t open;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGUSR1);
  ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &blocked, &open), 0);
  caught = 0;
  ::raise(SIGUSR1);
  EXPECT_EQ(caught, 0);
  EXPECT_EQ(wait(nullptr, &open, false), -1);
  EXPECT_EQ(errno, EINTR);
  EXPECT_EQ(caught, 1);
  ASSERT_EQ(::pthread_sigmask(SIG_SETMASK, &open, nullptr), 0);
  ::sigaction(SIGUSR1, &before, nullptr);
}

TEST_F(Names, CloseRangeClosesSockets) {
  const auto number = [](int fd) { return static_cast<unsigned>(fd); };
  EXPECT_EQ(::close_range(number(far_) + 1, number(far_), 0), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(::close_range(number(far_), number(far_), 0x40), -1);
  EXPECT_EQ(errno, EINVAL);
  send(near_, "still");
  ASSERT_EQ(wait_events(far_, POLLIN), POLLIN);
  EXPECT_EQ(receive(far_), "still");
  ASSERT_EQ(::close_range(number(far_), number(far_), CLOSE_RANGE_CLOEXEC), 0);
  EXPECT_EQ(::fcntl(far_, F_GETFD), FD_CLOEXEC);
  send(near_, "open");
  ASSERT_EQ(wait_events(far_, POLLIN), POLLIN);
  EXPECT_EQ(receive(far_), "open");
  // Two numbers of one socket, at the end of all: it goes with the last.
  const int first = ::fcntl(far_, F_DUPFD, 900);
  const int second = ::fcntl(far_, F_DUPFD, 900);
  ASSERT_TRUE(first >= 900 && second > first);
  far_.close();
  ASSERT_EQ(::close_range(number(first), number(first), 0), 0);
  EXPECT_EQ(::fcntl(first, F_GETFD), -1);
  send(near_, "one left");
  ASSERT_EQ(wait_events(second, POLLIN), POLLIN);
  EXPECT_EQ(receive(second), "one left");
  ASSERT_EQ(::close_range(number(first), number(second), 0), 0);
  EXPECT_EQ(::fcntl(second, F_GETFD), -1);
  ASSERT_EQ(wait_events(near_, POLLIN), POLLIN);
  EXPECT_EQ(receive(near_), "");
}

TEST_F(Names, AnExclusiveWaiterIsWoken) {
  const std::array<Fd, 2> sets{Fd(::epoll_create1(0)), Fd(::epoll_create1(0))};
  const auto control = [&](int set, int operation, int fd, std::uint32_t events) {
    epoll_event event{.events = events, .data = {.fd = fd}};
    return ::epoll_ctl(set, operation, fd, &event);
  };
  EXPECT_EQ(control(sets[0], EPOLL_CTL_ADD, listener_, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT),
            -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(control(sets[0], EPOLL_CTL_ADD, far_, EPOLLIN | EPOLLEXCLUSIVE | EPOLLRDHUP), -1);
  EXPECT_EQ(errno, EINVAL);
  for (const Fd& set : sets) {
    ASSERT_EQ(control(set, EPOLL_CTL_ADD, listener_, EPOLLIN | EPOLLEXCLUSIVE), 0);
    ASSERT_EQ(control(set, EPOLL_CTL_ADD, far_, EPOLLIN | EPOLLEXCLUSIVE), 0);
  }
  // It is not changed, and does not become one.
  EXPECT_EQ(control(sets[0], EPOLL_CTL_MOD, far_, EPOLLIN), -1);
  EXPECT_EQ(errno, EINVAL);
  ASSERT_EQ(control(sets[0], EPOLL_CTL_ADD, near_, EPOLLIN), 0);
  EXPECT_EQ(control(sets[0], EPOLL_CTL_MOD, near_, EPOLLIN | EPOLLEXCLUSIVE), -1);
  EXPECT_EQ(errno, EINVAL);
  ASSERT_EQ(control(sets[0], EPOLL_CTL_DEL, near_, 0), 0);
  // One at least of those who wait hears of a connection, and of bytes.
  for (const bool connects : {true, false}) {
    std::atomic<int> woken{0};
    std::array<std::thread, 2> waiters;
    for (std::size_t i = 0; i < 2; ++i) {
      waiters[i] = std::thread([&, i] {
        epoll_event event{};
        // The other waits until the first says that it has been woken, and not for ever.
        for (int looks = 0; woken == 0 && looks < 200; ++looks) {
          if (::epoll_wait(sets[i], &event, 1, 50) != 1) continue;
          EXPECT_EQ(event.events, EPOLLIN);
          EXPECT_EQ(event.data.fd, connects ? listener_ : far_);
          ++woken;
        }
      });
    }
    Fd another = make(SOCK_STREAM);
    if (connects) {
      EXPECT_EQ(connect_to(another, Address::local_of(listener_).port()), 0);
    } else {
      send(near_, "x");
    }
    for (std::thread& waiter : waiters) waiter.join();
    EXPECT_GE(woken, 1);
    if (connects) {
      EXPECT_GE(Fd(::accept(listener_, nullptr, nullptr)), 0);
    }
  }
  ASSERT_EQ(control(sets[0], EPOLL_CTL_DEL, far_, 0), 0);
  EXPECT_EQ(control(sets[0], EPOLL_CTL_ADD, far_, EPOLLIN), 0);
}

}  // namespace
}  // namespace check
