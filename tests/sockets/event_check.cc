// SPDX-License-Identifier: Apache-2.0
// poll, select and epoll, with sockets and other descriptors in one set.
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include <set>
#include <thread>
#include <vector>

#include "fixture.h"

namespace check {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

class Events : public Sockets {
 protected:
  void SetUp() override {
    join();
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe(ends.data()), 0);
    pipe_out_ = Fd(ends[0]);
    pipe_in_ = Fd(ends[1]);
    epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
    ASSERT_GE(epoll_, 0);
  }
  int control(int operation, int fd, std::uint32_t events) {
    epoll_event event{.events = events, .data = {.u64 = static_cast<std::uint64_t>(fd)}};
    return ::epoll_ctl(epoll_, operation, fd, &event);
  }
  // Descriptors with events, of at most eight.
  std::vector<std::pair<int, std::uint32_t>> wait(int timeout_ms) {
    std::array<epoll_event, 8> events{};
    const int count = ::epoll_wait(epoll_, events.data(), 8, timeout_ms);
    EXPECT_GE(count, 0) << std::strerror(errno);
    std::vector<std::pair<int, std::uint32_t>> found;
    for (int i = 0; i < count; ++i) {
      const epoll_event event = events[static_cast<std::size_t>(i)];
      found.emplace_back(static_cast<int>(event.data.u64), std::uint32_t{event.events});
    }
    return found;
  }
  using Found = std::vector<std::pair<int, std::uint32_t>>;

  Fd pipe_out_;
  Fd pipe_in_;
  Fd epoll_;
};

TEST_F(Events, PollMixesSocketsAndPipes) {
  std::array<pollfd, 3> fds{pollfd{far_, POLLIN, 0}, pollfd{pipe_out_, POLLIN, 0},
                            pollfd{near_, POLLOUT, 0}};
  EXPECT_EQ(::poll(fds.data(), 2, 0), 0);
  const auto begin = steady_clock::now();
  EXPECT_EQ(::poll(fds.data(), 2, 30), 0);
  EXPECT_GE(steady_clock::now() - begin, milliseconds(29));
  ASSERT_EQ(::write(pipe_in_, "x", 1), 1);
  EXPECT_EQ(::poll(fds.data(), 3, kPatienceMs), 2);
  EXPECT_EQ(fds[0].revents, 0);
  EXPECT_EQ(fds[1].revents, POLLIN);
  EXPECT_EQ(fds[2].revents, POLLOUT);
  send(near_, "y");
  ASSERT_EQ(wait_events(far_, POLLIN), POLLIN);
  EXPECT_EQ(::poll(fds.data(), 2, kPatienceMs), 2);
  const timespec none{};
  EXPECT_EQ(::ppoll(fds.data(), 3, &none, nullptr), 3);
}

TEST_F(Events, ASleeperIsWokenBySocketAndByPipe) {
  for (const bool by_socket : {true, false}) {
    std::thread late([&] {
      std::this_thread::sleep_for(milliseconds(60));
      if (by_socket) {
        send(near_, "x");
      } else {
        ASSERT_EQ(::write(pipe_in_, "x", 1), 1);
      }
    });
    std::array<pollfd, 2> fds{pollfd{far_, POLLIN, 0}, pollfd{pipe_out_, POLLIN, 0}};
    EXPECT_EQ(::poll(fds.data(), 2, kPatienceMs), 1);
    EXPECT_EQ(fds[by_socket ? 0 : 1].revents, POLLIN);
    late.join();
    char byte = 0;
    EXPECT_EQ(::read(by_socket ? static_cast<int>(far_) : static_cast<int>(pipe_out_), &byte, 1),
              1);
  }
}

TEST_F(Events, SelectMixesSocketsAndPipes) {
  const int most =
      std::max({static_cast<int>(near_), static_cast<int>(far_), static_cast<int>(pipe_out_)}) + 1;
  fd_set reading;
  fd_set writing;
  const auto fill = [&] {
    FD_ZERO(&reading);
    FD_ZERO(&writing);
    FD_SET(far_, &reading);
    FD_SET(pipe_out_, &reading);
    FD_SET(near_, &writing);
  };
  fill();
  timeval limit{.tv_sec = 10, .tv_usec = 0};
  EXPECT_EQ(::select(most, &reading, &writing, nullptr, &limit), 1);
  EXPECT_FALSE(FD_ISSET(far_, &reading));
  EXPECT_TRUE(FD_ISSET(near_, &writing));
  send(near_, "x");
  ASSERT_EQ(wait_events(far_, POLLIN), POLLIN);
  ASSERT_EQ(::write(pipe_in_, "x", 1), 1);
  fill();
  EXPECT_EQ(::select(most, &reading, &writing, nullptr, nullptr), 3);
  FD_ZERO(&reading);
  FD_SET(far_, &reading);
  char byte = 0;
  ASSERT_EQ(::read(far_, &byte, 1), 1);
  limit = {.tv_sec = 0, .tv_usec = 20'000};
  EXPECT_EQ(::select(most, &reading, nullptr, nullptr, &limit), 0);
  EXPECT_FALSE(FD_ISSET(far_, &reading));
}

TEST_F(Events, LevelTellsUntilItIsRead) {
  ASSERT_EQ(control(EPOLL_CTL_ADD, far_, EPOLLIN), 0) << std::strerror(errno);
  EXPECT_EQ(control(EPOLL_CTL_ADD, far_, EPOLLIN), -1);
  EXPECT_EQ(errno, EEXIST);
  EXPECT_TRUE(wait(0).empty());
  send(near_, "ab");
  EXPECT_EQ(wait(kPatienceMs), (Found{{far_, EPOLLIN}}));
  EXPECT_EQ(receive(far_, 0, 1), "a");
  EXPECT_EQ(wait(kPatienceMs), (Found{{far_, EPOLLIN}}));
  EXPECT_EQ(receive(far_, 0, 1), "b");
  EXPECT_TRUE(wait(0).empty());
  ASSERT_EQ(control(EPOLL_CTL_DEL, far_, 0), 0);
  EXPECT_EQ(control(EPOLL_CTL_DEL, far_, 0), -1);
  EXPECT_EQ(errno, ENOENT);
  EXPECT_EQ(control(EPOLL_CTL_MOD, far_, EPOLLIN), -1);
  EXPECT_EQ(errno, ENOENT);
}

TEST_F(Events, EdgeTellsOncePerArrival) {
  ASSERT_EQ(control(EPOLL_CTL_ADD, far_, EPOLLIN | EPOLLET), 0);
  send(near_, "ab");
  EXPECT_EQ(wait(kPatienceMs), (Found{{far_, EPOLLIN}}));
  EXPECT_TRUE(wait(20).empty());
  send(near_, "c");
  EXPECT_EQ(wait(kPatienceMs), (Found{{far_, EPOLLIN}}));
  EXPECT_EQ(receive(far_), "abc");
  // What was there before is an edge when it is asked for anew.
  send(near_, "d");
  ASSERT_EQ(wait_events(far_, POLLIN), POLLIN);
  ASSERT_EQ(control(EPOLL_CTL_MOD, far_, EPOLLIN | EPOLLET), 0);
  EXPECT_EQ(wait(kPatienceMs), (Found{{far_, EPOLLIN}}));
}

TEST_F(Events, OneShotTellsOnceUntilItIsAskedAgain) {
  ASSERT_EQ(control(EPOLL_CTL_ADD, far_, EPOLLIN | EPOLLONESHOT), 0);
  send(near_, "a");
  EXPECT_EQ(wait(kPatienceMs), (Found{{far_, EPOLLIN}}));
  send(near_, "b");
  EXPECT_TRUE(wait(20).empty());
  ASSERT_EQ(control(EPOLL_CTL_MOD, far_, EPOLLIN | EPOLLONESHOT), 0);
  EXPECT_EQ(wait(kPatienceMs), (Found{{far_, EPOLLIN}}));
}

TEST_F(Events, EpollMixesListenersSocketsAndPipes) {
  ASSERT_EQ(control(EPOLL_CTL_ADD, listener_, EPOLLIN), 0) << std::strerror(errno);
  ASSERT_EQ(control(EPOLL_CTL_ADD, far_, EPOLLIN), 0);
  ASSERT_EQ(control(EPOLL_CTL_ADD, pipe_out_, EPOLLIN), 0);
  EXPECT_TRUE(wait(0).empty());
  ASSERT_EQ(::write(pipe_in_, "x", 1), 1);
  EXPECT_EQ(wait(kPatienceMs), (Found{{pipe_out_, EPOLLIN}}));
  send(near_, "x");
  ASSERT_EQ(wait_events(far_, POLLIN), POLLIN);
  // Together, or one after the other.
  std::set<int> ready;
  for (int tries = 0; ready.size() < 2 && tries < 1000; ++tries) {
    for (const auto& [fd, events] : wait(kPatienceMs)) ready.insert(fd);
  }
  EXPECT_EQ(ready, (std::set<int>{far_, pipe_out_}));
  EXPECT_EQ(receive(far_), "x");
  char byte = 0;
  ASSERT_EQ(::read(pipe_out_, &byte, 1), 1);
  const Fd other = make(SOCK_STREAM | SOCK_NONBLOCK);
  connect_to(other, Address::local_of(listener_).port());
  EXPECT_EQ(wait(kPatienceMs), (Found{{listener_, EPOLLIN}}));
  const Fd accepted(::accept(listener_, nullptr, nullptr));
  EXPECT_GE(accepted, 0);
  EXPECT_TRUE(wait(0).empty());
}

TEST_F(Events, EpollTellsOfRoomAndOfTheEnd) {
  ASSERT_EQ(control(EPOLL_CTL_ADD, near_, EPOLLOUT | EPOLLRDHUP), 0);
  EXPECT_EQ(wait(kPatienceMs), (Found{{near_, EPOLLOUT}}));
  ASSERT_EQ(control(EPOLL_CTL_MOD, near_, EPOLLIN | EPOLLRDHUP), 0);
  EXPECT_TRUE(wait(0).empty());
  far_.close();
  EXPECT_EQ(wait(kPatienceMs), (Found{{near_, EPOLLIN | EPOLLRDHUP}}));
}

TEST_F(Events, AThreadSleepsInEpollUntilBytesCome) {
  ASSERT_EQ(control(EPOLL_CTL_ADD, far_, EPOLLIN), 0);
  for (int round = 0; round < 5; ++round) {
    std::thread late([&] {
      std::this_thread::sleep_for(milliseconds(20));
      send(near_, "x");
    });
    EXPECT_EQ(wait(kPatienceMs), (Found{{far_, EPOLLIN}}));
    EXPECT_EQ(receive(far_), "x");
    late.join();
  }
}

TEST_F(Events, SeveralThreadsSleepInOneEpollAndEachEventWakesOne) {
  constexpr int kThreads = 3;
  ASSERT_EQ(control(EPOLL_CTL_ADD, far_, EPOLLIN | EPOLLET), 0);
  std::atomic<int> woken{0};
  std::vector<std::thread> sleepers;
  for (int i = 0; i < kThreads; ++i) {
    sleepers.emplace_back([&] {
      std::array<epoll_event, 1> event{};
      if (::epoll_wait(epoll_, event.data(), 1, kPatienceMs) == 1) ++woken;
    });
  }
  for (int i = 1; i <= kThreads; ++i) {
    std::this_thread::sleep_for(milliseconds(20));
    send(near_, "x");
    for (int tries = 0; woken < i && tries < 1000; ++tries) {
      std::this_thread::sleep_for(milliseconds(10));
    }
    EXPECT_EQ(woken, i);
  }
  for (std::thread& sleeper : sleepers) sleeper.join();
}

// `outer` tells of `inner`, and that one of what it has: a byte of far_. Then both are quiet. Outer
// may tell too often, as long as that ends.
void hear_through(int outer, int inner, int far) {
  epoll_event event{};
  int found = 0;
  for (int i = 0; i < 10 && found == 0; ++i) {
    ASSERT_EQ(::epoll_wait(outer, &event, 1, kPatienceMs), 1);
    EXPECT_EQ(event.data.u64, 99U);
    found = ::epoll_wait(inner, &event, 1, 0);
  }
  ASSERT_EQ(found, 1);
  EXPECT_EQ(event.data.u64, 7U);
  char byte = 0;
  ASSERT_EQ(::recv(far, &byte, 1, 0), 1);
  EXPECT_EQ(::epoll_wait(inner, &event, 1, 0), 0);
  int left = 10;
  for (; left > 0 && ::epoll_wait(outer, &event, 1, 0) == 1; --left) {
    EXPECT_EQ(::epoll_wait(inner, &event, 1, 0), 0);
  }
  EXPECT_GT(left, 0);
}

TEST_F(Events, AnEpollInAnotherTellsOfItsSockets) {
  join();
  set(near_, IPPROTO_TCP, TCP_NODELAY, 1);
  for (const bool nested_first : {true, false}) {
    const Fd inner(::epoll_create1(0));
    const Fd outer(::epoll_create1(0));
    epoll_event in{.events = EPOLLIN, .data = {.u64 = 7}};
    epoll_event out{.events = EPOLLIN, .data = {.u64 = 99}};
    if (nested_first) {
      ASSERT_EQ(::epoll_ctl(outer, EPOLL_CTL_ADD, inner, &out), 0);
    }
    ASSERT_EQ(::epoll_ctl(inner, EPOLL_CTL_ADD, far_, &in), 0);
    if (!nested_first) {
      ASSERT_EQ(::epoll_ctl(outer, EPOLL_CTL_ADD, inner, &out), 0);
    }
    for (int i = 0; i < 500; ++i) {  // more than any doorbell holds
      send(near_, "x");
      hear_through(outer, inner, far_);
      if (HasFatalFailure()) return;
    }
    // Asleep before it comes.
    std::thread sender([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      send(near_, "y");
    });
    hear_through(outer, inner, far_);
    sender.join();
    // Beside a socket of the outer one's own.
    epoll_event own{.events = EPOLLIN, .data = {.u64 = 5}};
    ASSERT_EQ(::epoll_ctl(outer, EPOLL_CTL_ADD, near_, &own), 0);
    send(near_, "z");
    hear_through(outer, inner, far_);
    send(far_, "back");
    ASSERT_EQ(::epoll_wait(outer, &out, 1, kPatienceMs), 1);
    EXPECT_EQ(out.data.u64, 5U);
    EXPECT_EQ(receive(near_), "back");
  }
}

TEST_F(Events, AnEpollIsPolledAndSelected) {
  join();
  const Fd inner(::epoll_create1(0));
  epoll_event event{.events = EPOLLIN, .data = {.u64 = 7}};
  ASSERT_EQ(::epoll_ctl(inner, EPOLL_CTL_ADD, far_, &event), 0);
  send(near_, "x");
  ASSERT_EQ(wait_events(far_, POLLIN), POLLIN);
  EXPECT_EQ(wait_events(inner, POLLIN), POLLIN);
  fd_set set;
  FD_ZERO(&set);
  FD_SET(inner, &set);
  FD_SET(near_, &set);
  timeval patience{.tv_sec = kPatienceMs / 1000, .tv_usec = 0};
  ASSERT_EQ(::select(std::max<int>(inner, near_) + 1, &set, nullptr, nullptr, &patience), 1);
  EXPECT_TRUE(FD_ISSET(inner, &set));
  ASSERT_EQ(::epoll_wait(inner, &event, 1, 0), 1);
  EXPECT_EQ(event.data.u64, 7U);
  EXPECT_EQ(receive(far_), "x");
}

TEST_F(Events, AClosedSocketLeavesItsSets) {
  ASSERT_EQ(control(EPOLL_CTL_ADD, far_, EPOLLIN), 0);
  send(near_, "x");
  ASSERT_EQ(wait_events(far_, POLLIN), POLLIN);
  far_.close();
  EXPECT_TRUE(wait(0).empty());
}

TEST_F(Events, AConnectIsAnEvent) {
  const Fd socket = make(SOCK_STREAM | SOCK_NONBLOCK);
  ASSERT_EQ(control(EPOLL_CTL_ADD, socket, EPOLLOUT | EPOLLET), 0);
  wait(0);  // Linux tells of a socket without a peer, too
  connect_to(socket, Address::local_of(listener_).port());
  EXPECT_EQ(wait(kPatienceMs), (Found{{socket, EPOLLOUT}}));
  EXPECT_EQ(get(socket, SOL_SOCKET, SO_ERROR), 0);
}

TEST_F(Events, DatagramsAreEvents) {
  const Fd socket = bound_datagram();
  ASSERT_EQ(control(EPOLL_CTL_ADD, socket, EPOLLIN), 0);
  EXPECT_TRUE(wait(0).empty());
  const Fd other = make(SOCK_DGRAM);
  const Address to = own(Address::local_of(socket).port());
  ASSERT_EQ(::sendto(other, "x", 1, 0, to.raw(), to.size), 1);
  EXPECT_EQ(wait(kPatienceMs), (Found{{socket, EPOLLIN}}));
  EXPECT_EQ(receive(socket), "x");
  EXPECT_TRUE(wait(0).empty());
}

// Under tideline one peer is ours, and one is the kernel's.
TEST_F(Events, ADatagramSocketHearsPeersOnBothSides) {
  const Fd peer = bound_datagram();
  const Fd kernels = make(SOCK_DGRAM);
  ASSERT_EQ(::bind(kernels, loopback(0).raw(), loopback(0).size), 0) << std::strerror(errno);
  const std::array<std::pair<int, Address>, 2> peers{{
      {peer, own(Address::local_of(peer).port())},
      {kernels, loopback(Address::local_of(kernels).port())},
  }};
  for (const std::size_t first : {0U, 1U}) {
    const Fd socket = make(SOCK_DGRAM);
    ASSERT_EQ(control(EPOLL_CTL_ADD, socket, EPOLLIN), 0);
    for (const std::size_t index : {first, 1 - first}) {
      const auto& [fd, address] = peers[index];
      ASSERT_EQ(::sendto(socket, "question", 8, 0, address.raw(), address.size), 8);
    }
    for (const std::size_t index : {first, 1 - first}) {
      std::array<char, 16> text{};
      Address from;
      from.size = sizeof(from.storage);
      const int fd = peers[index].first;
      ASSERT_EQ(::recvfrom(fd, text.data(), text.size(), 0, from.raw(), &from.size), 8);
      ASSERT_EQ(::sendto(fd, "answer", 6, 0, from.raw(), from.size), 6);
      EXPECT_EQ(wait(kPatienceMs), (Found{{socket, EPOLLIN}})) << first << index;
      EXPECT_EQ(receive(socket, MSG_DONTWAIT), "answer");
    }
    ASSERT_EQ(control(EPOLL_CTL_DEL, socket, 0), 0);
  }
}

// Connected to the kernel's side after it has spoken to ours, it stays in its sets.
TEST_F(Events, ADatagramSocketThatChangesSidesStaysInItsSets) {
  const Fd peer = bound_datagram();
  const Fd kernels = make(SOCK_DGRAM);
  ASSERT_EQ(::bind(kernels, loopback(0).raw(), loopback(0).size), 0) << std::strerror(errno);
  const Fd socket = make(SOCK_DGRAM);
  ASSERT_EQ(control(EPOLL_CTL_ADD, socket, EPOLLIN), 0);
  const Address ours = own(Address::local_of(peer).port());
  ASSERT_EQ(::sendto(socket, "x", 1, 0, ours.raw(), ours.size), 1);
  EXPECT_EQ(receive(peer), "x");
  const Address to = loopback(Address::local_of(kernels).port());
  ASSERT_EQ(::connect(socket, to.raw(), to.size), 0) << std::strerror(errno);
  send(socket, "question");
  const Address from = Address::local_of(socket);
  ASSERT_EQ(::sendto(kernels, "answer", 6, 0, from.raw(), from.size), 6) << std::strerror(errno);
  EXPECT_EQ(wait(kPatienceMs), (Found{{socket, EPOLLIN}}));
  EXPECT_EQ(receive(socket), "answer");
}

// The two threads wait for each other after they were told.
TEST_F(Events, WhatOneThreadHasNoRoomForIsAnothers) {
  const Fd second = make(SOCK_STREAM);
  ASSERT_EQ(connect_to(second, Address::local_of(listener_).port()), 0);
  const Fd other(::accept(listener_, nullptr, nullptr));
  ASSERT_GE(other, 0);
  for (const int fd : {int{far_}, int{other}}) {
    ASSERT_EQ(control(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLONESHOT), 0);
  }
  std::atomic<int> told{0};
  std::atomic<int> asleep{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      std::array<epoll_event, 1> event{};
      ++asleep;
      if (::epoll_wait(epoll_, event.data(), 1, kPatienceMs) == 1) ++told;
    });
  }
  while (asleep < 2) std::this_thread::yield();
  std::this_thread::sleep_for(milliseconds(50));
  send(near_, "x");
  send(second, "x");
  const auto end = std::chrono::steady_clock::now() + milliseconds(kPatienceMs / 2);
  while (told < 2 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  EXPECT_EQ(told, 2);
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace check
