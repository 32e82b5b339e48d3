// SPDX-License-Identifier: Apache-2.0
// Sockets of programs that are started beside this one: posix_spawn, system, popen, vfork and exec.
// Where the stack is in the parent, a child has none of its sockets, and is refused.
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>

#include <string>
#include <vector>

#include "fixture.h"

extern char** environ;

namespace check {
namespace {

constexpr int kNumber = 7;  // what shells can name has one digit

// So that nobody else takes it for himself meanwhile.
bool keep_number() {
  const Fd nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
  return ::dup3(nothing, kNumber, O_CLOEXEC) == kNumber;
}
[[maybe_unused]] const bool kept = keep_number();

class Spawn : public Sockets {
 protected:
  Spawn() { ::posix_spawn_file_actions_init(&actions_); }
  ~Spawn() override {
    ::posix_spawn_file_actions_destroy(&actions_);
    keep_number();
  }

  static pid_t run(const posix_spawn_file_actions_t* actions, std::vector<std::string> words,
                   char* const* environment = environ) {
    std::vector<char*> list;
    for (std::string& each : words) list.push_back(each.data());
    list.push_back(nullptr);
    pid_t child = -1;
    EXPECT_EQ(::posix_spawnp(&child, list.front(), actions, nullptr, list.data(), environment), 0);
    return child;
  }
  static pid_t shell(const posix_spawn_file_actions_t* actions, const std::string& command) {
    return run(actions, {"sh", "-c", "exec 2>/dev/null; " + command});
  }
  static bool succeeds(pid_t child) {
    int status = -1;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  // As in the kernel, or refused.
  static void expect_sent(bool done, int near, const std::string& text) {
    EXPECT_EQ(done, !is_tideline());
    if (!is_tideline()) {
      EXPECT_EQ(receive(near), text);
    }
  }
  // far_ is at kNumber, too, which children inherit.
  void join_for_children() {
    join();
    ASSERT_EQ(::dup2(far_, kNumber), kNumber);
    ::fcntl(far_, F_SETFD, FD_CLOEXEC);
    ::fcntl(near_, F_SETFD, FD_CLOEXEC);
    ::fcntl(listener_, F_SETFD, FD_CLOEXEC);
  }

  posix_spawn_file_actions_t actions_{};
};

// As inetd does it.
TEST_F(Spawn, ASocketBecomesStandardInputAndOutput) {
  join();
  ::fcntl(far_, F_SETFD, FD_CLOEXEC);
  ::posix_spawn_file_actions_adddup2(&actions_, far_, STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions_, far_, STDOUT_FILENO);
  ::posix_spawn_file_actions_addopen(&actions_, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_addclosefrom_np(&actions_, 3);
  const pid_t child = run(&actions_, {"cat"});
  far_.close();
  send(near_, "there and back");
  ::shutdown(near_, SHUT_WR);
  if (!is_tideline()) {
    EXPECT_EQ(receive(near_), "there and back");
  }
  EXPECT_EQ(succeeds(child), !is_tideline());
  // Nobody holds it any more.
  EXPECT_EQ(receive(near_), "");
}

TEST_F(Spawn, WhatIsNotCloseOnExecGoesAlong) {
  join_for_children();
  expect_sent(succeeds(shell(nullptr, "echo inherited >&7")), near_, "inherited\n");
  ::fcntl(kNumber, F_SETFD, FD_CLOEXEC);
  EXPECT_FALSE(succeeds(shell(nullptr, "echo none >&7")));
  // A number onto itself: it goes along again.
  ::posix_spawn_file_actions_adddup2(&actions_, kNumber, kNumber);
  expect_sent(succeeds(shell(&actions_, "echo again >&7")), near_, "again\n");
  send(far_, "the parent has it still");
  EXPECT_EQ(receive(near_), "the parent has it still");
}

TEST_F(Spawn, ActionsMoveAndReplaceNumbers) {
  join_for_children();
  ::posix_spawn_file_actions_adddup2(&actions_, kNumber, 5);
  ::posix_spawn_file_actions_addclose(&actions_, kNumber);
  expect_sent(succeeds(shell(&actions_, "echo moved >&5")), near_, "moved\n");
  ::posix_spawn_file_actions_addopen(&actions_, 5, "/dev/null", O_WRONLY, 0);
  EXPECT_TRUE(succeeds(shell(&actions_, "echo replaced >&5")));
  send(far_, "nothing was sent");
  EXPECT_EQ(receive(near_), "nothing was sent");
}

TEST_F(Spawn, TwoChildrenShareASocket) {
  join_for_children();
  const pid_t first = shell(nullptr, "sh -c 'echo one >&7'; true");
  EXPECT_TRUE(succeeds(first));
  EXPECT_TRUE(succeeds(shell(nullptr, "(sh -c 'echo two >&7'); true")));
  if (is_tideline()) return;
  std::string all;
  while (all.size() < 8) {
    ASSERT_EQ(wait_events(near_, POLLIN), POLLIN);
    all += receive(near_);
  }
  EXPECT_EQ(all, "one\ntwo\n");
}

TEST_F(Spawn, AFailureTakesNothingAway) {
  join_for_children();
  char program[] = "/nonexistent";
  char* const words[] = {program, nullptr};
  pid_t child = -1;
  EXPECT_EQ(::posix_spawn(&child, program, nullptr, nullptr, words, environ), ENOENT);
  EXPECT_EQ(::execv(program, words), -1);
  EXPECT_EQ(errno, ENOENT);
  send(kNumber, "still here");
  EXPECT_EQ(receive(near_), "still here");
  keep_number();
  far_.close();
  EXPECT_EQ(receive(near_), "");
}

TEST_F(Spawn, AChildThatIsKilledLetsGo) {
  join_for_children();
  const pid_t child = shell(nullptr, "kill -KILL $$; echo never >&7");
  keep_number();
  far_.close();
  EXPECT_FALSE(succeeds(child));
  EXPECT_EQ(receive(near_), "");
}

TEST_F(Spawn, AShellOfSystemHasTheSockets) {
  join_for_children();
  // NOLINTNEXTLINE(cert-env33-c,concurrency-mt-unsafe): what this is about
  const int status = std::system("exec 2>/dev/null; echo from system >&7");
  expect_sent(status == 0, near_, "from system\n");
  // NOLINTNEXTLINE(cert-env33-c,concurrency-mt-unsafe)
  EXPECT_EQ(WEXITSTATUS(std::system("exit 3")), 3);
  // NOLINTNEXTLINE(cert-env33-c,concurrency-mt-unsafe)
  EXPECT_NE(std::system(nullptr), 0);
}

TEST_F(Spawn, AShellOfPopenHasTheSockets) {
  join_for_children();
  send(near_, "to popen\n");
  FILE* const reads = ::popen("exec 2>/dev/null; head -n 1 <&7", "r");
  ASSERT_NE(reads, nullptr);
  std::array<char, 100> line{};
  const bool came = ::fgets(line.data(), line.size(), reads) != nullptr;
  EXPECT_EQ(came, !is_tideline());
  if (!is_tideline()) {
    EXPECT_STREQ(line.data(), "to popen\n");
  }
  // Beside it another, whose child does not keep the first's stream open.
  FILE* const writes = ::popen("exec 2>/dev/null; cat >&7", "w");
  ASSERT_NE(writes, nullptr);
  EXPECT_EQ(::pclose(reads) == 0, !is_tideline());
  std::fputs("from popen", writes);
  expect_sent(::pclose(writes) == 0, near_, "from popen");
  FILE* const fails = ::popen("exit 4", "re");
  ASSERT_NE(fails, nullptr);
  EXPECT_EQ(WEXITSTATUS(::pclose(fails)), 4);
  EXPECT_EQ(::popen("true", "x"), nullptr);
  EXPECT_EQ(errno, EINVAL);
}

TEST_F(Spawn, VforkAndExecMoveNumbersToo) {
  join();
  const pid_t child = ::vfork();
  if (child == 0) {
    ::dup2(far_, STDOUT_FILENO);
    ::execlp("sh", "sh", "-c", "exec 2>/dev/null; echo from vfork", nullptr);
    ::_exit(99);
  }
  expect_sent(succeeds(child), near_, "from vfork\n");
}

TEST_F(Spawn, DatagramSocketsGoAlong) {
  const Fd receiver = bound_datagram();
  Fd sender = make(SOCK_DGRAM);
  ASSERT_EQ(connect_to(sender, Address::local_of(receiver).port()), 0) << std::strerror(errno);
  ASSERT_EQ(::dup2(sender, kNumber), kNumber);
  expect_sent(succeeds(shell(nullptr, "echo datagram >&7")), receiver, "datagram\n");
}

// Environments that do not bring the library: the child has what the kernel can give it.
TEST_F(Spawn, AnEnvironmentOfTheCallersIsTaken) {
  join_for_children();
  std::string word = "SAID=word";
  char* const environment[] = {word.data(), nullptr};
  const pid_t child = run(nullptr, {"/bin/sh", "-c", "test \"$SAID\" = word"}, environment);
  EXPECT_TRUE(succeeds(child));
  send(kNumber, "undisturbed");
  EXPECT_EQ(receive(near_), "undisturbed");
}

}  // namespace
}  // namespace check
