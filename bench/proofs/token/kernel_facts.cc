// SPDX-License-Identifier: Apache-2.0
#include "proofs/token/kernel_facts.h"

#include <fmt/core.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "common/latency.h"
#include "proofs/token/token_pair.h"

namespace proofs::token {
namespace {

TokenPair token(int number) {
  auto pair = make_token(SOCK_STREAM, fmt::format("facts-{}-{}", ::getpid(), number));
  CHECK(pair.has_value(), "{}", pair.error().message());
  return std::move(*pair);
}

short events_of(int fd) {
  pollfd one{.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP, .revents = 0};
  ::poll(&one, 1, 0);
  return one.revents;
}

int edges(int epoll) {
  epoll_event event;
  return ::epoll_wait(epoll, &event, 1, 0);
}

int watch_edges(int fd) {
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data = {}};
  CHECK(::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
  return epoll;
}

void check_properties(bench::Report& report) {
  const TokenPair pair = token(1);
  std::array<char, 4096> page{};
  int taken = 0;
  while (::send(pair.near.get(), page.data(), page.size(), MSG_DONTWAIT) > 0) ++taken;
  const bool filled = (events_of(pair.near.get()) & POLLOUT) == 0;
  while (::recv(pair.far.get(), page.data(), page.size(), MSG_DONTWAIT) > 0) {
  }
  const bool emptied = (events_of(pair.near.get()) & POLLOUT) != 0;
  report.check("one 4 KiB send makes a token unwritable", taken == 1 && filled && emptied,
               fmt::format("{} sends taken; writable again when the far end is emptied", taken));

  const int epoll = watch_edges(pair.near.get());
  int seen = 0;
  for (int i = 0; i < 3; ++i) {
    CHECK(::send(pair.far.get(), "x", 1, MSG_DONTWAIT) == 1);
    seen += edges(epoll);
  }
  report.check("each byte is an edge, read away or not", seen == 3 && edges(epoll) == 0,
               fmt::format("{} edges for 3 bytes that were never read", seen));
  ::shutdown(pair.far.get(), SHUT_WR);
  const short after = events_of(pair.near.get());
  report.check("shutdown of the far end is RDHUP at the token",
               (after & POLLRDHUP) != 0 && edges(epoll) == 1, fmt::format("events {:#x}", after));
  ::close(epoll);

  const TokenPair other = token(2);
  const int copy = ::dup(other.near.get());
  ::close(::dup(other.near.get()));
  char byte = 0;
  const bool open = ::recv(other.far.get(), &byte, 1, MSG_DONTWAIT) < 0;
  report.check("a duplicate has the token's cookie, and keeps it open",
               open && socket_cookie(copy) == other.cookie && other.cookie != pair.cookie,
               fmt::format("cookie {}", other.cookie));
  ::close(copy);
}

template <typename Call>
double nanoseconds(Call call) {
  std::vector<double> rounds;
  for (int round = 0; round < 9; ++round) {
    const std::uint64_t start = tideline::tsc_now();
    for (int i = 0; i < 5000; ++i) call();
    rounds.push_back(static_cast<double>(tideline::tsc_now() - start) * 1e9 / tideline::tsc_hz() /
                     5000);
  }
  return bench::median(rounds);
}

// A wake and its reception in epoll_wait, by one thread: system calls only, no sleeping.
void time_wakes(bench::Report& report) {
  const TokenPair pair = token(3);
  const int doorbell = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  const int by_token = watch_edges(pair.near.get());
  const int by_doorbell = watch_edges(doorbell);
  const std::uint64_t one = 1;
  std::array<char, 4096> page{};
  const double ring = nanoseconds([&] {
    CHECK(::write(doorbell, &one, sizeof(one)) == 8);
    CHECK(edges(by_doorbell) == 1);
  });
  const double byte = nanoseconds([&] {
    CHECK(::send(pair.far.get(), "x", 1, MSG_DONTWAIT) == 1);
    CHECK(edges(by_token) == 1);
    CHECK(::recv(pair.near.get(), page.data(), page.size(), MSG_DONTWAIT) == 1);
  });
  report.figure("kernel: byte to token, epoll_wait, read", byte, "ns", "eventfd, edge, no read",
                ring);
  report.figure("kernel: fill a token and empty it", nanoseconds([&] {
                  CHECK(::send(pair.near.get(), page.data(), page.size(), MSG_DONTWAIT) == 4096);
                  CHECK(::recv(pair.far.get(), page.data(), page.size(), MSG_DONTWAIT) == 4096);
                }),
                "ns");
  ::close(by_token);
  ::close(by_doorbell);
  ::close(doorbell);
}

double slab_kib() {
  std::ifstream file("/proc/meminfo");
  std::string word;
  double value = 0;
  while (file >> word) {
    if (word == "Slab:" && file >> value) return value;
  }
  return 0;
}

void measure_memory(bench::Report& report) {
  constexpr int kTokens = 4000;
  const double before = slab_kib();
  std::vector<TokenPair> tokens;
  tokens.reserve(kTokens);
  for (int i = 0; i < kTokens; ++i) tokens.push_back(token(100 + i));
  const double one = (slab_kib() - before) / kTokens;
  report.figure("kernel memory of one token, both ends and name", one, "KiB");
}

}  // namespace

void report_kernel_facts(bench::Report& report) {
  check_properties(report);
  time_wakes(report);
  measure_memory(report);
}

}  // namespace proofs::token
