// SPDX-License-Identifier: Apache-2.0
// token_probe: what a program feels under the shim. An ordinary socket program that is started with
// the shim preloaded; it prints one "name nanoseconds" a line. Its `token` sockets are at an
// address of the shim's, its `tcp` and `unix` sockets are the kernel's, which the shim passes
// through.
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "common/latency.h"
#include "common/process.h"

namespace {

struct Ends {
  int first;
  int second;
};

Ends tcp_pair(const char* host) {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  CHECK(::inet_pton(AF_INET, host, &address.sin_addr) == 1);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof(address);
  CHECK(::bind(listener, generic, size) == 0 && ::listen(listener, 1) == 0, "errno {}", errno);
  CHECK(::getsockname(listener, generic, &size) == 0);
  const int first = ::socket(AF_INET, SOCK_STREAM, 0);
  CHECK(::connect(first, generic, size) == 0, "errno {}", errno);
  const int second = ::accept(listener, nullptr, nullptr);
  CHECK(second >= 0, "errno {}", errno);
  ::close(listener);
  return {.first = first, .second = second};
}

Ends make_pair(const std::string& kind) {
  if (kind == "token") return tcp_pair("198.18.0.1");
  if (kind == "tcp") return tcp_pair("127.0.0.1");
  std::array<int, 2> ends{};
  CHECK(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) == 0);
  return {.first = ends[0], .second = ends[1]};
}

// The median over rounds of the time of one call.
template <typename Call>
double time_of(int calls, Call call) {
  std::vector<double> rounds;
  for (int round = 0; round < 9; ++round) {
    const std::uint64_t start = tideline::tsc_now();
    for (int i = 0; i < calls; ++i) call();
    rounds.push_back(static_cast<double>(tideline::tsc_now() - start) * 1e9 / tideline::tsc_hz() /
                     calls);
  }
  return bench::median(rounds);
}

void print(const std::string& name, double ns) { fmt::print("{} {:.2f}\n", name, ns); }

// The same call by the intercepted name and by libc's own, in turns; the kernel's part varies more
// than the difference, so the difference is taken turn by turn.
template <typename Pass, typename Direct>
void compare(const std::string& name, Pass pass, Direct direct) {
  std::vector<double> passed;
  std::vector<double> straight;
  std::vector<double> more;
  for (int turn = 0; turn < 101; ++turn) {
    std::uint64_t ticks[3] = {tideline::tsc_now()};
    for (int i = 0; i < 1000; ++i) pass();
    ticks[1] = tideline::tsc_now();
    for (int i = 0; i < 1000; ++i) direct();
    ticks[2] = tideline::tsc_now();
    const double ns = 1e6 / tideline::tsc_hz();
    passed.push_back(static_cast<double>(ticks[1] - ticks[0]) * ns);
    straight.push_back(static_cast<double>(ticks[2] - ticks[1]) * ns);
    more.push_back(passed.back() - straight.back());
  }
  print("pass." + name, bench::median(passed));
  print("direct." + name, bench::median(straight));
  print("more." + name, bench::median(more));
}

void passed_through() {
  void* libc = ::dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
  CHECK(libc != nullptr);
  auto* read_directly = reinterpret_cast<decltype(&::read)>(::dlsym(libc, "read"));
  auto* fcntl_directly = reinterpret_cast<decltype(&::fcntl)>(::dlsym(libc, "fcntl"));
  const int null = ::open("/dev/null", O_RDWR);
  char byte = 0;
  compare(
      "read", [&] { return ::read(null, &byte, 1); },
      [&] { return read_directly(null, &byte, 1); });
  compare(
      "fcntl", [&] { return ::fcntl(null, F_GETFD); },
      [&] { return fcntl_directly(null, F_GETFD); });
  ::close(null);
}

void small_messages(const std::string& kind) {
  const Ends ends = make_pair(kind);
  std::array<char, 64> message{};
  print(kind + ".write+read", time_of(20000, [&] {
          CHECK(::write(ends.first, message.data(), message.size()) == 64);
          CHECK(::read(ends.second, message.data(), message.size()) == 64);
        }));
  pollfd one{.fd = ends.second, .events = POLLIN, .revents = 0};
  print(kind + ".poll-empty", time_of(20000, [&] { return ::poll(&one, 1, 0); }));
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{.events = EPOLLIN, .data = {.fd = ends.second}};
  CHECK(::epoll_ctl(epoll, EPOLL_CTL_ADD, ends.second, &event) == 0);
  CHECK(::write(ends.first, message.data(), 1) == 1);
  print(kind + ".epoll-ready",
        time_of(20000, [&] { CHECK(::epoll_wait(epoll, &event, 1, 0) == 1); }));
  ::close(epoll);
  ::close(ends.first);
  ::close(ends.second);
}

// One side of a ping-pong in which both sides sleep in epoll_wait between the messages.
void play(int fd, int rounds, bool begins) {
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
  CHECK(::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
  std::array<char, 64> message{};
  for (int i = 0; i < rounds; ++i) {
    if (begins) CHECK(::write(fd, message.data(), message.size()) == 64);
    CHECK(::epoll_wait(epoll, &event, 1, 10000) == 1, "a wake-up was lost in round {}", i);
    CHECK(::read(fd, message.data(), message.size()) == 64);
    if (!begins) CHECK(::write(fd, message.data(), message.size()) == 64);
  }
}

// From empty to readable with the reader asleep, the reader's return included: half a round trip.
void transitions(const std::string& kind, int rounds, int other_core) {
  const Ends ends = make_pair(kind);
  bench::Child other = bench::Child::run([&] {
    bench::pin_to_core(other_core);
    play(ends.second, rounds, false);
    return 0;
  });
  bench::pin_to_core(0);
  const std::uint64_t start = tideline::tsc_now();
  play(ends.first, rounds, true);
  const double ns = static_cast<double>(tideline::tsc_now() - start) * 1e9 / tideline::tsc_hz();
  CHECK(other.succeeded());
  print(fmt::format("{}.transition-{}", kind, other_core == 0 ? "one-core" : "two-cores"),
        ns / rounds / 2);
  ::close(ends.first);
  ::close(ends.second);
}

// The first call on a number that the shim has not seen: a duplicate made behind its back.
void first_use(const std::string& name, int fd) {
  bench::LatencySamples first(500);
  for (int i = 0; i < 500; ++i) {
    const int unknown = static_cast<int>(::syscall(SYS_dup, fd));
    const std::uint64_t start = tideline::tsc_now();
    ::fcntl(unknown, F_GETFD);
    first.add_ticks(tideline::tsc_now() - start);
    ::close(unknown);
  }
  print(name, first.quantile_ns(0.5));
}

void connections(const std::string& kind) {
  print(kind + ".listen+connect+accept+close", time_of(100, [&] {
          const Ends ends = make_pair(kind);
          ::close(ends.first);
          ::close(ends.second);
        }));
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::stoi(argv[1]) : 5000;
  bench::pin_to_core(0);
  passed_through();
  for (const std::string kind : {"token", "tcp", "unix"}) {
    small_messages(kind);
    connections(kind);
  }
  const int null = ::open("/dev/null", O_RDWR);
  const Ends ends = make_pair("token");
  first_use("first-use.kernel", null);
  first_use("first-use.token", ends.second);
  for (const std::string kind : {"token", "tcp", "unix"}) {
    transitions(kind, rounds, 0);
    if (bench::usable_cores() > 1) transitions(kind, rounds, 1);
  }
  return 0;
}
