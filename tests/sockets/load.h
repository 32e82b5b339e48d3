// SPDX-License-Identifier: Apache-2.0
// What the programs of socket_load share: connections whose every byte is checked. All wait with a
// time limit, so that what hangs is a failure. Single-threaded processes.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace load {

inline constexpr int kPatienceMs = 60'000;

struct Target {
  sockaddr_storage address{};
  socklen_t size = 0;

  static Target of(const std::string& text, const std::string& port);
};

// Ends the process with status 1, saying what failed and errno.
[[noreturn]] void fail(const std::string& what);

// A blocking socket that is connected; -1: errno.
int connect_to(const Target& target);
// All events of `wanted`, or fails.
void wait_events(int fd, short wanted);
// `size` bytes that follow from the seed go to a server that sends them back, and are compared.
void exchange(int fd, std::uint64_t seed, std::size_t size);
// The same in words: 8 bytes there and back.
void ping(int fd, std::uint64_t number);

// Waits for the processes; whether all ended with status 0.
bool all_succeed(const std::vector<pid_t>& processes);

// Programs: each gives the process's exit status.
int serve(const Target& target);
int hold(const Target& target);
int crowd(const Target& target, unsigned processes, std::size_t bytes);
int churn(const Target& target, double seconds, std::uint64_t seed);

}  // namespace load
