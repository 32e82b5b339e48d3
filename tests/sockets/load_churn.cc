// SPDX-License-Identifier: Apache-2.0
// Clients that come, transfer, fork, stop, and are killed at moments that the seed says. The parent
// has no socket, so each client attaches for itself. Those that are not killed must find everything
// as it should be.
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <unordered_map>
#include <utility>

#include "load.h"

namespace load {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t kAtOnce = 6;
// So many begin in a second at most: the ports of connections that have ended are free again after
// a minute.
constexpr milliseconds kInterval{25};

int connected(const Target& target) {
  const int fd = connect_to(target);
  if (fd < 0) fail("connect");
  return fd;
}

void transfer_in_turns(const Target& target, std::mt19937_64& random) {
  for (std::uint64_t rounds = 1 + random() % 4; rounds > 0; --rounds) {
    const int fd = connected(target);
    exchange(fd, random(), 1 + random() % 2'000'000);
    ::close(fd);
  }
}

void hold_many(const Target& target, std::mt19937_64& random) {
  std::vector<int> held;
  for (std::uint64_t count = 1 + random() % 40; count > 0; --count)
    held.push_back(connected(target));
  for (const int fd : held) ping(fd, random());
  if (random() % 2 == 0) return;  // exit() closes them
  for (const int fd : held) ::close(fd);
}

// Child and parent use the connection in turn; it ends with the last of them.
void share_with_child(const Target& target, std::mt19937_64& random) {
  const int fd = connected(target);
  ping(fd, random());
  const pid_t child = ::fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    exchange(fd, random(), 200'000);
    const int own = connected(target);
    exchange(own, random(), 50'000);
    std::exit(0);
  }
  if (!all_succeed({child})) fail("the child has failed");
  exchange(fd, random(), 100'000);
}

// The server finds a reset, with bytes under way both ways.
void leave_in_anger(const Target& target, std::mt19937_64& random) {
  const int fd = connected(target);
  const std::vector<char> bytes(1 + random() % 300'000);
  if (::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) fail("send");
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  ::close(fd);
}

// What is killed in the middle of something.
[[noreturn]] void go_on_for_ever(const Target& target, std::mt19937_64& random) {
  const int fd = connected(target);
  for (;;) {
    exchange(fd, random(), 1 + random() % 500'000);
    if (random() % 4 == 0) connected(target);
    if (random() % 8 == 0 && ::fork() == 0) {
      ::alarm(1);  // nobody else ends it
      const int own = connected(target);
      for (;; ::poll(nullptr, 0, 1)) ping(own, random());
    }
  }
}

[[noreturn]] void be_client(const Target& target, std::uint64_t seed, bool doomed) {
  std::mt19937_64 random(seed);
  if (doomed) go_on_for_ever(target, random);
  switch (random() % 4) {
    case 0:
      transfer_in_turns(target, random);
      break;
    case 1:
      hold_many(target, random);
      break;
    case 2:
      share_with_child(target, random);
      break;
    default:
      leave_in_anger(target, random);
      break;
  }
  std::exit(0);
}

struct Doom {
  bool doomed = false;
  bool stops = false;  // first
  Clock::time_point at;
};

class Churn {
 public:
  Churn(const Target& target, std::uint64_t seed) : target_(target), random_(seed) {}

  void start_one() {
    const std::uint64_t seed = random_();
    const Doom doom{.doomed = random_() % 3 == 0,
                    .stops = random_() % 3 == 0,
                    .at = Clock::now() + milliseconds(random_() % 60)};
    const pid_t child = ::fork();
    if (child < 0) fail("fork");
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // also of those that are stopped
      be_client(target_, seed, doom.doomed);
    }
    clients_.emplace(child, doom);
  }
  std::size_t running() const { return clients_.size(); }

  void kill_who_is_due() {
    for (auto& [process, doom] : clients_) {
      if (!doom.doomed || Clock::now() < doom.at) continue;
      const bool stops = std::exchange(doom.stops, false);
      ::kill(process, stops ? SIGSTOP : SIGKILL);
      if (stops) doom.at += milliseconds(50);
    }
  }

  void reap() {
    int status = 0;
    for (pid_t process = ::waitpid(-1, &status, WNOHANG); process > 0;
         process = ::waitpid(-1, &status, WNOHANG)) {
      const auto found = clients_.find(process);
      const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
      const bool done = WIFEXITED(status) && WEXITSTATUS(status) == 0;
      if (found->second.doomed ? !killed : !done) fail("a client has failed");
      ++(killed ? killed_ : done_);
      clients_.erase(found);
    }
  }
  void report() const { std::printf("%zu clients done, %zu killed\n", done_, killed_); }

 private:
  const Target& target_;
  std::mt19937_64 random_;
  std::unordered_map<pid_t, Doom> clients_;
  std::size_t done_ = 0;
  std::size_t killed_ = 0;
};

}  // namespace

int churn(const Target& target, double seconds, std::uint64_t seed) {
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  Churn clients(target, seed);
  Clock::time_point next = Clock::now();
  while (Clock::now() < end || clients.running() > 0) {
    if (Clock::now() < end && Clock::now() >= next && clients.running() < kAtOnce) {
      clients.start_one();
      next += kInterval;
    }
    ::poll(nullptr, 0, 1);
    clients.kill_who_is_due();
    clients.reap();
  }
  clients.report();
  return 0;
}

}  // namespace load
