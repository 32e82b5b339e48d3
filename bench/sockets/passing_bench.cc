// SPDX-License-Identifier: Apache-2.0
// How long calls of the C library take on descriptors that are the kernel's, in nanoseconds;
// bench/sockets/passing runs it with and without the shim. The number is nobody's, so that the
// kernel refuses at once: its shortest way. The least of many rounds, for what disturbs only adds.
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace {

constexpr int kNobodys = 60'000;
constexpr int kRounds = 400;
constexpr int kCalls = 1'000;

template <typename Call>
double least_ns(const Call& call) {
  using Clock = std::chrono::steady_clock;
  double least = 1e9;
  for (int round = 0; round < kRounds; ++round) {
    const auto begin = Clock::now();
    for (int i = 0; i < kCalls; ++i) call();
    const std::chrono::duration<double, std::nano> took = Clock::now() - begin;
    least = std::min(least, took.count() / kCalls);
  }
  return least;
}

}  // namespace

int main() {
  char byte = 0;
  epoll_event event{};
  pollfd entry{.fd = kNobodys, .events = POLLIN, .revents = 0};
  const double read_ns = least_ns([&] { return ::read(kNobodys, &byte, 1); });
  const double write_ns = least_ns([&] { return ::write(kNobodys, &byte, 1); });
  const double recv_ns = least_ns([&] { return ::recv(kNobodys, &byte, 1, 0); });
  const double send_ns = least_ns([&] { return ::send(kNobodys, &byte, 1, 0); });
  const double fcntl_ns = least_ns([&] { return ::fcntl(kNobodys, F_GETFD); });
  const double close_ns = least_ns([&] { return ::close(kNobodys); });
  const double poll_ns = least_ns([&] { return ::poll(&entry, 1, 0); });
  const double epoll_ns = least_ns([&] { return ::epoll_wait(kNobodys, &event, 1, 0); });
  std::printf(
      "{\"read\": %.2f, \"write\": %.2f, \"recv\": %.2f, \"send\": %.2f, \"fcntl\": %.2f, "
      "\"close\": %.2f, "
      "\"poll\": %.2f, \"epoll_wait\": %.2f}\n",
      read_ns, write_ns, recv_ns, send_ns, fcntl_ns, close_ns, poll_ns, epoll_ns);
  return 0;
}
