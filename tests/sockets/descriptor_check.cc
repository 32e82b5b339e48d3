// SPDX-License-Identifier: Apache-2.0
// Sockets as descriptors: duplicates, replacement, fork, exec.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include "fixture.h"

extern char** environ;

namespace check {
namespace {

int exit_status_of(pid_t child) {
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(Sockets, DuplicatesAreOneSocket) {
  join();
  Fd copy(::dup(far_));
  Fd high(::fcntl(far_, F_DUPFD_CLOEXEC, 100));
  ASSERT_GE(high, 100);
  far_.close();
  send(near_, "x");
  EXPECT_EQ(receive(copy), "x");
  ASSERT_EQ(::fcntl(copy, F_SETFL, O_NONBLOCK), 0);
  EXPECT_NE(::fcntl(high, F_GETFL) & O_NONBLOCK, 0);
  copy.close();
  send(high, "y");
  EXPECT_EQ(receive(near_), "y");
  high.close();
  EXPECT_EQ(receive(near_), "");
}

TEST_F(Sockets, ANumberIsReplaced) {
  join();
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const Fd in(ends[1]);
  const Fd out(ends[0]);
  ASSERT_EQ(::dup2(out, far_), far_);  // the last of the connection
  EXPECT_EQ(receive(near_), "");
  ASSERT_EQ(::write(in, "p", 1), 1);
  char byte = 0;
  EXPECT_EQ(::read(far_, &byte, 1), 1);
  EXPECT_EQ(byte, 'p');
  Fd again = make(SOCK_STREAM);
  ASSERT_EQ(connect_to(again, Address::local_of(listener_).port()), 0);
  ASSERT_EQ(::dup3(again, out, O_CLOEXEC), out);
  again.close();
  const Fd accepted(::accept(listener_, nullptr, nullptr));
  send(out, "through the other number");
  EXPECT_EQ(receive(accepted), "through the other number");
}

TEST_F(Sockets, NumbersAreUsedAgain) {
  join();
  for (int round = 0; round < 200; ++round) {
    near_ = make(SOCK_STREAM);
    ASSERT_EQ(connect_to(near_, Address::local_of(listener_).port()), 0) << std::strerror(errno);
    far_ = Fd(::accept(listener_, nullptr, nullptr));
    ASSERT_GE(far_, 0);
    send(near_, "hello");
    ASSERT_EQ(receive(far_), "hello");
  }
}

TEST_F(Sockets, AClosedNumberIsBad) {
  join();
  const int number = far_;
  far_.close();
  EXPECT_EQ(::send(number, "x", 1, 0), -1);
  EXPECT_EQ(errno, EBADF);
  EXPECT_EQ(::close(number), -1);
}

TEST_F(Sockets, AnExecutedChildDoesNotDisturb) {
  join();
  char program[] = "true";
  char* const words[] = {program, nullptr};
  pid_t child = -1;
  ASSERT_EQ(::posix_spawnp(&child, program, nullptr, nullptr, words, environ), 0);
  EXPECT_EQ(exit_status_of(child), 0);
  child = ::vfork();
  if (child == 0) {
    ::close(far_);
    ::execvp(program, words);
    ::_exit(99);
  }
  EXPECT_EQ(exit_status_of(child), 0);
  send(near_, "still");
  EXPECT_EQ(receive(far_), "still");
}

// In the kernel a child shares the socket; where the stack is in the parent, it is told so.
TEST_F(Sockets, AForkedChildLeavesTheParentsSocketsAlone) {
  join();
  const pid_t child = ::fork();
  if (child == 0) {
    const ssize_t sent = ::send(near_, "child", 5, MSG_NOSIGNAL);
    const bool as_expected =
        is_tideline() ? sent == -1 && errno == EOPNOTSUPP && receive(far_).empty() : sent == 5;
    std::array<int, 2> ends{};
    const bool others = ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) == 0 &&
                        ::write(ends[0], "x", 1) == 1 && wait_events(ends[1], POLLIN) == POLLIN;
    near_.close();
    far_.close();
    ::_exit(as_expected && others ? 0 : 1);
  }
  EXPECT_EQ(exit_status_of(child), 0);
  if (!is_tideline()) {
    EXPECT_EQ(receive(far_), "child");
  }
  send(near_, "parent");
  EXPECT_EQ(receive(far_), "parent");
}

TEST_F(Sockets, OtherFamiliesAreTheKernels) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
  const Fd a(ends[0]);
  const Fd b(ends[1]);
  send(a, "unix");
  EXPECT_EQ(receive(b), "unix");
  const Fd netlink(::socket(AF_NETLINK, SOCK_RAW, 0));
  EXPECT_GE(netlink, 0);
}

}  // namespace
}  // namespace check
