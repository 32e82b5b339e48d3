// SPDX-License-Identifier: Apache-2.0
// How bytes and datagrams move: flags, vectors, blocking, time limits, signals.
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <sys/uio.h>

#include <numeric>
#include <thread>
#include <vector>

#include "fixture.h"

namespace check {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

TEST_F(Sockets, FlagsOfReceive) {
  join();
  EXPECT_EQ(receive(far_, MSG_DONTWAIT), "");
  EXPECT_EQ(errno, EAGAIN);
  send(near_, "abcdef");
  ASSERT_EQ(wait_events(far_, POLLIN), POLLIN);
  EXPECT_EQ(receive(far_, MSG_PEEK, 3), "abc");
  EXPECT_EQ(receive(far_, 0, 2), "ab");
  EXPECT_EQ(receive(far_), "cdef");
  std::thread late([&] {
    send(near_, "first");
    std::this_thread::sleep_for(milliseconds(50));
    send(near_, "second");
  });
  EXPECT_EQ(receive(far_, MSG_WAITALL, 11), "firstsecond");
  late.join();
}

TEST_F(Sockets, VectorsAndMessages) {
  join();
  std::string a = "one ";
  std::string b = "two ";
  std::string c = "three";
  std::array<iovec, 3> parts{iovec{a.data(), a.size()}, iovec{b.data(), b.size()},
                             iovec{c.data(), c.size()}};
  EXPECT_EQ(::writev(near_, parts.data(), 3), 13);
  EXPECT_EQ(receive(far_, MSG_WAITALL, 13), "one two three");
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = 2;
  EXPECT_EQ(::sendmsg(near_, &message, 0), 8);
  ASSERT_EQ(wait_events(far_, POLLIN), POLLIN);
  std::string head(3, '\0');
  std::string tail(20, '\0');
  std::array<iovec, 2> into{iovec{head.data(), head.size()}, iovec{tail.data(), tail.size()}};
  EXPECT_EQ(::readv(far_, into.data(), 2), 8);
  EXPECT_EQ(head + tail.substr(0, 5), "one two ");
  send(near_, "again");
  ASSERT_EQ(wait_events(far_, POLLIN), POLLIN);
  message.msg_iov = into.data();
  EXPECT_EQ(::recvmsg(far_, &message, 0), 5);
  EXPECT_EQ(head, "aga");
}

TEST_F(Sockets, WaitsNoLongerThanItsTimeLimit) {
  join();
  const timeval limit{.tv_sec = 0, .tv_usec = 60'000};
  ASSERT_EQ(::setsockopt(far_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
  const auto begin = steady_clock::now();
  EXPECT_EQ(receive(far_), "");
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_GE(steady_clock::now() - begin, milliseconds(59));
  ASSERT_EQ(::setsockopt(near_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)), 0);
  const std::string block(1 << 20, 'x');
  ssize_t sent = 0;
  for (int i = 0; i < 64 && sent >= 0; ++i) sent = ::send(near_, block.data(), block.size(), 0);
  EXPECT_EQ(sent, -1);
  EXPECT_EQ(errno, EAGAIN);
}

// A thread that waits, and what becomes of it when a signal comes: it is interrupted, or goes on
// until it has what it waits for.
template <typename Wait, typename End>
void interrupt(const Wait& wait, const End& end, int flags) {
  const bool expect_interrupted = (flags & SA_RESTART) == 0;
  struct sigaction action{};
  action.sa_handler = [](int) {};
  action.sa_flags = flags;
  struct sigaction before{};
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  ssize_t got = 0;
  int error = 0;
  std::atomic<bool> done{false};
  std::thread waiter([&] {
    got = wait();
    error = errno;
    done = true;
  });
  // One that comes before the call has begun ends nothing.
  for (int i = 0; !done; ++i) {
    std::this_thread::sleep_for(milliseconds(10));
    ::pthread_kill(waiter.native_handle(), SIGUSR1);
    if (!expect_interrupted && i == 5) {
      EXPECT_FALSE(done);
      end();
      break;
    }
  }
  waiter.join();
  if (expect_interrupted) {
    EXPECT_EQ(got, -1);
    EXPECT_EQ(error, EINTR);
  } else {
    EXPECT_GE(got, 0) << std::strerror(error);
  }
  ::sigaction(SIGUSR1, &before, nullptr);
}

TEST_F(Sockets, ASignalInterruptsUnlessCallsRestart) {
  join();
  for (const int flags : {0, SA_RESTART}) {
    interrupt(
        [&] {
          char byte = 0;
          return ::recv(far_, &byte, 1, 0);
        },
        [&] { send(near_, "x"); }, flags);
    // A listener on any address: under tideline the kernel's, too.
    Fd late;
    interrupt([&] { return ssize_t{Fd(::accept(listener_, nullptr, nullptr))}; },
              [&] {
                late = make(SOCK_STREAM);
                EXPECT_EQ(connect_to(late, Address::local_of(listener_).port()), 0);
              },
              flags);
  }
}

TEST_F(Sockets, BytesAreSplicedThroughAPipe) {
  join();
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const Fd out(ends[0]);
  const Fd in(ends[1]);
  std::vector<char> sent(3 << 20);
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 7 + i / 251);
  // From near_ to far_, into the pipe, and out of it back to near_.
  std::thread writer([&] {
    for (std::size_t done = 0; done < sent.size();) {
      const ssize_t wrote = ::write(near_, sent.data() + done, sent.size() - done);
      ASSERT_GT(wrote, 0);
      done += static_cast<std::size_t>(wrote);
    }
    ::shutdown(near_, SHUT_WR);
  });
  std::thread relay([&] {
    for (;;) {
      const ssize_t came = ::splice(far_, nullptr, in, nullptr, 1 << 20, SPLICE_F_MOVE);
      ASSERT_GE(came, 0) << std::strerror(errno);
      if (came == 0) break;
      for (ssize_t left = came; left > 0;) {
        const ssize_t went = ::splice(out, nullptr, far_, nullptr, static_cast<std::size_t>(left),
                                      SPLICE_F_MOVE | SPLICE_F_MORE);
        ASSERT_GT(went, 0) << std::strerror(errno);
        left -= went;
      }
    }
    ::shutdown(far_, SHUT_WR);
  });
  std::vector<char> got;
  std::array<char, 65536> block{};
  for (ssize_t size = 0; (size = ::read(near_, block.data(), block.size())) > 0;) {
    got.insert(got.end(), block.begin(), block.begin() + size);
  }
  writer.join();
  relay.join();
  EXPECT_TRUE(got == sent);
}

TEST_F(Sockets, WhatIsNotSplicedStaysWhereItWas) {
  join();
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_NONBLOCK), 0);
  const Fd out(ends[0]);
  const Fd in(ends[1]);
  off64_t at = 0;
  EXPECT_EQ(::splice(far_, &at, in, nullptr, 10, 0), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(::splice(out, nullptr, far_, &at, 10, 0), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(::splice(out, nullptr, far_, nullptr, 10, SPLICE_F_NONBLOCK), -1);
  EXPECT_EQ(errno, EAGAIN);
  ASSERT_EQ(::fcntl(far_, F_SETFL, O_NONBLOCK), 0);
  EXPECT_EQ(::splice(far_, nullptr, in, nullptr, 10, 0), -1);
  EXPECT_EQ(errno, EAGAIN);
  // A full pipe takes nothing away from the socket.
  const std::string block(4096, 'p');
  while (::write(in, block.data(), block.size()) > 0) {
  }
  send(near_, "kept");
  ASSERT_EQ(wait_events(far_, POLLIN), POLLIN);
  EXPECT_EQ(::splice(far_, nullptr, in, nullptr, 10, SPLICE_F_NONBLOCK), -1);
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_EQ(receive(far_), "kept");
  // Nor a full socket from the pipe.
  const std::string large(1 << 20, 'l');
  while (::send(far_, large.data(), large.size(), 0) > 0) {
  }
  int before = 0;
  int after = 0;
  ASSERT_EQ(::ioctl(out, FIONREAD, &before), 0);
  ssize_t spliced = 0;
  for (ssize_t size = 0; size >= 0; spliced += size) {
    size = ::splice(out, nullptr, far_, nullptr, 1 << 20, SPLICE_F_NONBLOCK);
    if (size <= 0) break;
  }
  ASSERT_EQ(::ioctl(out, FIONREAD, &after), 0);
  EXPECT_EQ(before - after, spliced);
}

TEST_F(Sockets, VectorsAtAPlaceAreForFiles) {
  join();
  char byte = 'v';
  const iovec part{.iov_base = &byte, .iov_len = 1};
  EXPECT_EQ(::pwritev(near_, &part, 1, 0), -1);
  EXPECT_EQ(errno, ESPIPE);
  EXPECT_EQ(::preadv(near_, &part, 1, 0), -1);
  EXPECT_EQ(errno, ESPIPE);
  EXPECT_EQ(::pread(near_, &byte, 1, 0), -1);
  EXPECT_EQ(errno, ESPIPE);
  EXPECT_EQ(::pwritev2(near_, &part, 1, -1, 0), 1);  // where it stands
  EXPECT_EQ(::preadv2(far_, &part, 1, -1, 0), 1);
  EXPECT_EQ(byte, 'v');
}

TEST_F(Sockets, MegabytesArriveInOrderThroughBlockingCalls) {
  join();
  constexpr std::size_t kTotal = 16 << 20;
  std::vector<std::uint32_t> words(kTotal / 4);
  std::iota(words.begin(), words.end(), 7U);
  std::thread sender([&] {
    const char* bytes = reinterpret_cast<const char*>(words.data());
    for (std::size_t done = 0; done < kTotal;) {
      const std::size_t size = std::min<std::size_t>(kTotal - done, 1'234'567);
      ASSERT_EQ(::write(near_, bytes + done, size), static_cast<ssize_t>(size));
      done += size;
    }
    ::shutdown(near_, SHUT_WR);
  });
  std::vector<char> all;
  std::vector<char> piece(300'000);
  for (ssize_t got = 1; got > 0;) {
    got = ::read(far_, piece.data(), piece.size());
    ASSERT_GE(got, 0) << std::strerror(errno);
    all.insert(all.end(), piece.begin(), piece.begin() + got);
  }
  sender.join();
  ASSERT_EQ(all.size(), kTotal);
  EXPECT_EQ(std::memcmp(all.data(), words.data(), kTotal), 0);
}

TEST_F(Sockets, AFullSocketWouldBlock) {
  join();
  ASSERT_EQ(::fcntl(near_, F_SETFL, ::fcntl(near_, F_GETFL) | O_NONBLOCK), 0);
  const std::string block(1 << 20, 'x');
  constexpr std::size_t kMost = std::size_t{1} << 30;
  std::size_t total = 0;
  // What is on its way makes room again where it arrives.
  do {
    ssize_t sent = 0;
    for (; sent >= 0 && total < kMost; sent = ::send(near_, block.data(), block.size(), 0)) {
      total += static_cast<std::size_t>(sent);
    }
    ASSERT_LT(total, kMost);
    ASSERT_EQ(errno, EAGAIN);
  } while (wait_events(near_, POLLOUT, 50) != 0);
  std::vector<char> into(1 << 20);
  for (std::size_t received = 0; received < total;) {
    const ssize_t got = ::read(far_, into.data(), into.size());
    ASSERT_GT(got, 0);
    received += static_cast<std::size_t>(got);
  }
  EXPECT_EQ(wait_events(near_, POLLOUT), POLLOUT);
}

TEST_F(Sockets, ControlsTellAndSet) {
  join();
  send(near_, "12345");
  ASSERT_EQ(wait_events(far_, POLLIN), POLLIN);
  int size = 0;
  ASSERT_EQ(::ioctl(far_, FIONREAD, &size), 0);
  EXPECT_EQ(size, 5);
  int on = 1;
  ASSERT_EQ(::ioctl(far_, FIONBIO, &on), 0);
  EXPECT_EQ(receive(far_), "12345");
  EXPECT_EQ(receive(far_), "");
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_NE(::fcntl(far_, F_GETFL) & O_NONBLOCK, 0);
}

TEST_F(Sockets, FilesAreSentFromWhereTheyStand) {
  join();
  const Fd file(::memfd_create("file", 0));
  std::string content(200'000, '\0');
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 31 >> 4);
  ASSERT_EQ(::write(file, content.data(), content.size()), static_cast<ssize_t>(content.size()));
  off_t offset = 1000;
  std::thread sender([&] {
    for (std::size_t left = content.size() - 1000; left > 0;) {
      const ssize_t sent = ::sendfile(near_, file, &offset, left);
      ASSERT_GT(sent, 0) << std::strerror(errno);
      left -= static_cast<std::size_t>(sent);
    }
  });
  EXPECT_EQ(receive(far_, MSG_WAITALL, content.size() - 1000), content.substr(1000));
  sender.join();
  EXPECT_EQ(offset, static_cast<off_t>(content.size()));
  ASSERT_EQ(::lseek(file, 5, SEEK_SET), 5);
  EXPECT_EQ(::sendfile(near_, file, nullptr, 10), 10);
  EXPECT_EQ(::lseek(file, 0, SEEK_CUR), 15);
  EXPECT_EQ(receive(far_, MSG_WAITALL, 10), content.substr(5, 10));
}

TEST_F(Sockets, DatagramsKeepTheirBounds) {
  far_ = bound_datagram();
  near_ = make(SOCK_DGRAM);
  const Address to = own(Address::local_of(far_).port());
  for (const std::string_view text : {"first", "", "a longer third"}) {
    ASSERT_EQ(::sendto(near_, text.data(), text.size(), 0, to.raw(), to.size),
              static_cast<ssize_t>(text.size()))
        << std::strerror(errno);
  }
  Address from;
  from.size = sizeof(from.storage);
  std::array<char, 64> buffer{};
  ASSERT_EQ(::recvfrom(far_, buffer.data(), buffer.size(), 0, from.raw(), &from.size), 5);
  EXPECT_EQ(from.text(), own_text());
  EXPECT_EQ(::recv(far_, buffer.data(), buffer.size(), 0), 0);
  EXPECT_EQ(::recv(far_, buffer.data(), 4, MSG_PEEK | MSG_TRUNC), 14);
  iovec part{buffer.data(), 4};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  EXPECT_EQ(::recvmsg(far_, &message, 0), 4);
  EXPECT_EQ(message.msg_flags & MSG_TRUNC, MSG_TRUNC);
  EXPECT_EQ(std::string(buffer.data(), 4), "a lo");
  EXPECT_EQ(::sendto(far_, "back", 4, 0, from.raw(), from.size), 4);
  EXPECT_EQ(receive(near_), "back");
  const std::string large(60'000, 'l');
  ASSERT_EQ(::sendto(near_, large.data(), large.size(), 0, to.raw(), to.size), 60'000);
  EXPECT_EQ(receive(far_, 0, 65'536), large);
  const std::string too_large(66'000, 'l');
  EXPECT_EQ(::sendto(near_, too_large.data(), too_large.size(), 0, to.raw(), to.size), -1);
  EXPECT_EQ(errno, EMSGSIZE);
}

TEST_F(Sockets, AConnectedDatagramSocketHasOnePeer) {
  far_ = bound_datagram();
  near_ = make(SOCK_DGRAM);
  EXPECT_EQ(::send(near_, "x", 1, 0), -1);
  EXPECT_EQ(errno, EDESTADDRREQ);
  ASSERT_EQ(connect_to(near_, Address::local_of(far_).port()), 0);
  send(near_, "to you");
  EXPECT_EQ(receive(far_), "to you");
  const Address me = own(Address::local_of(near_).port());
  const Fd stranger = make(SOCK_DGRAM);
  ASSERT_EQ(::sendto(stranger, "strange", 7, 0, me.raw(), me.size), 7);
  ASSERT_EQ(::sendto(far_, "known", 5, 0, me.raw(), me.size), 5);
  EXPECT_EQ(receive(near_), "known");
  EXPECT_EQ(receive(near_, MSG_DONTWAIT), "");
  far_.close();
  send(near_, "anybody");
  EXPECT_NE(wait_events(near_, POLLIN) & POLLERR, 0);
  EXPECT_EQ(receive(near_), "");
  EXPECT_EQ(errno, ECONNREFUSED);
}

TEST_F(Sockets, ManyMessagesAtOnce) {
  far_ = bound_datagram();
  near_ = make(SOCK_DGRAM);
  ASSERT_EQ(connect_to(near_, Address::local_of(far_).port()), 0);
  std::array<std::string, 4> texts{"a", "bb", "ccc", "dddd"};
  std::array<iovec, 4> parts{};
  std::array<mmsghdr, 4> messages{};
  for (std::size_t i = 0; i < 4; ++i) {
    parts[i] = {texts[i].data(), texts[i].size()};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  ASSERT_EQ(::sendmmsg(near_, messages.data(), 4, 0), 4);
  EXPECT_EQ(messages[3].msg_len, 4U);
  std::array<std::array<char, 8>, 8> rooms{};
  std::array<iovec, 8> into{};
  std::array<mmsghdr, 8> received{};
  for (std::size_t i = 0; i < 8; ++i) {
    into[i] = {rooms[i].data(), rooms[i].size()};
    received[i].msg_hdr.msg_iov = &into[i];
    received[i].msg_hdr.msg_iovlen = 1;
  }
  int count = 0;
  while (count < 4) {
    const int got = ::recvmmsg(far_, received.data() + count, 8U - static_cast<unsigned>(count),
                               MSG_WAITFORONE, nullptr);
    ASSERT_GT(got, 0) << std::strerror(errno);
    count += got;
  }
  EXPECT_EQ(count, 4);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(std::string(rooms[i].data(), received[i].msg_len), texts[i]);
  }
}

}  // namespace
}  // namespace check
