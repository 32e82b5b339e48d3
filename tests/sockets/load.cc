// SPDX-License-Identifier: Apache-2.0
// Programs for tests of many connections, of many clients, and of clients that are killed; they
// know nothing of tideline. tests/cli/endurance_test.sh runs them.
//   socket_load serve ADDRESS PORT            sends everything back, until it is killed
//   socket_load transfer ADDRESS PORT BYTES SEED
//   socket_load hold ADDRESS PORT             as many connections as the limit of descriptors
//   allows, all used socket_load crowd ADDRESS PORT PROCESSES BYTES
//                      each with a connection; says `ready` when all have one, goes on when its
//                      input ends
//   socket_load churn ADDRESS PORT SECONDS SEED   clients that come, go, fork and are killed:
//   churn.cc
#include "load.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace load {
namespace {

// Bytes of a stream, again and again; the length is prime, so that pieces fall everywhere.
class Pattern {
 public:
  explicit Pattern(std::uint64_t seed) : bytes_(65521) {
    std::mt19937_64 random(seed);
    for (char& byte : bytes_) byte = static_cast<char>(random());
  }
  const char* at(std::size_t offset) const { return bytes_.data() + offset % bytes_.size(); }
  std::size_t piece(std::size_t offset, std::size_t most) const {
    return std::min(most, bytes_.size() - offset % bytes_.size());
  }

 private:
  std::vector<char> bytes_;
};

bool would_block() { return errno == EAGAIN || errno == EINTR; }

// Whether bytes came.
bool compare_some(int fd, const Pattern& pattern, std::size_t& received) {
  std::array<char, 65536> buffer;
  const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got < 0 && would_block()) return false;
  if (got <= 0) fail(got == 0 ? "the server has closed" : "recv");
  for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
    const std::size_t piece = pattern.piece(received, static_cast<std::size_t>(got) - at);
    if (std::memcmp(buffer.data() + at, pattern.at(received), piece) != 0) {
      fail("other bytes come back, from " + std::to_string(received));
    }
    at += piece;
    received += piece;
  }
  return true;
}

bool send_some(int fd, const Pattern& pattern, std::size_t& sent, std::size_t size) {
  if (sent == size) return false;
  const ssize_t taken =
      ::send(fd, pattern.at(sent), pattern.piece(sent, size - sent), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (taken < 0 && would_block()) return false;
  if (taken < 0) fail("send");
  sent += static_cast<std::size_t>(taken);
  return true;
}

}  // namespace

Target Target::of(const std::string& text, const std::string& port) {
  Target target;
  const auto number = htons(static_cast<std::uint16_t>(std::stoi(port)));
  auto* ipv4 = reinterpret_cast<sockaddr_in*>(&target.address);
  auto* ipv6 = reinterpret_cast<sockaddr_in6*>(&target.address);
  if (::inet_pton(AF_INET, text.c_str(), &ipv4->sin_addr) == 1) {
    ipv4->sin_family = AF_INET;
    ipv4->sin_port = number;
    target.size = sizeof(*ipv4);
  } else if (::inet_pton(AF_INET6, text.c_str(), &ipv6->sin6_addr) == 1) {
    ipv6->sin6_family = AF_INET6;
    ipv6->sin6_port = number;
    target.size = sizeof(*ipv6);
  } else {
    fail("no address: " + text);
  }
  return target;
}

void fail(const std::string& what) {
  std::fprintf(stderr, "socket_load %d: %s: %s\n", ::getpid(), what.c_str(), std::strerror(errno));
  std::fflush(stderr);
  ::_exit(1);
}

int connect_to(const Target& target) {
  const int fd = ::socket(target.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&target.address), target.size) != 0) {
    const int error = errno;
    ::close(fd);
    errno = error;
    return -1;
  }
  return fd;
}

void wait_events(int fd, short wanted) {
  pollfd entry{.fd = fd, .events = wanted, .revents = 0};
  int found = 0;
  do {
    found = ::poll(&entry, 1, kPatienceMs);
  } while (found < 0 && errno == EINTR);
  if (found < 0) fail("poll");
  if (found == 0) fail("nothing happens for a minute");
}

void exchange(int fd, std::uint64_t seed, std::size_t size) {
  const Pattern pattern(seed);
  std::size_t sent = 0;
  std::size_t received = 0;
  while (received < size) {
    const bool taken = send_some(fd, pattern, sent, size);
    const bool came = compare_some(fd, pattern, received);
    if (!taken && !came)
      wait_events(fd, static_cast<short>(sent < size ? POLLIN | POLLOUT : POLLIN));
  }
}

void ping(int fd, std::uint64_t number) {
  if (::send(fd, &number, sizeof(number), MSG_NOSIGNAL) != sizeof(number)) fail("send");
  std::uint64_t answer = 0;
  wait_events(fd, POLLIN);
  if (::recv(fd, &answer, sizeof(answer), MSG_WAITALL) != sizeof(answer)) fail("recv");
  if (answer != number) fail("another number comes back");
}

bool all_succeed(const std::vector<pid_t>& processes) {
  bool good = true;
  for (const pid_t process : processes) {
    int status = 0;
    if (::waitpid(process, &status, 0) != process) fail("waitpid");
    good &= WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  return good;
}

int hold(const Target& target) {
  std::vector<int> held;
  for (int fd = connect_to(target); fd >= 0; fd = connect_to(target)) held.push_back(fd);
  if (errno != EMFILE) fail("connection " + std::to_string(held.size() + 1));
  const std::size_t most = held.size();
  // The server has the same limit, and needs some for itself: who comes last waits for others to
  // go.
  for (int i = 0; i < 64 && !held.empty(); ++i) {
    ::close(held.back());
    held.pop_back();
  }
  for (const int fd : held) ping(fd, static_cast<std::uint64_t>(fd) << 32);
  // What is given back can be had again.
  for (int i = 0; i < 100; ++i) {
    ::close(held.back());
    held.back() = connect_to(target);
    if (held.back() < 0) fail("once more");
  }
  for (const int fd : held) ping(fd, static_cast<std::uint64_t>(fd));
  std::printf("%zu connections\n", most);
  std::fflush(stdout);
  std::array<char, 16> rest;
  while (::read(STDIN_FILENO, rest.data(), rest.size()) > 0) {
  }
  return 0;
}

// Forked before any of them has a socket, so each is a client of its own.
int crowd(const Target& target, unsigned processes, std::size_t bytes) {
  std::array<int, 2> joined{};
  std::array<int, 2> go{};
  if (::pipe(joined.data()) != 0 || ::pipe(go.data()) != 0) fail("pipe");
  std::vector<pid_t> children;
  for (unsigned i = 0; i < processes; ++i) {
    const pid_t child = ::fork();
    if (child < 0) fail("fork");
    if (child > 0) {
      children.push_back(child);
      continue;
    }
    ::close(go[1]);
    const int fd = connect_to(target);
    if (fd < 0) fail("connect");
    exchange(fd, i, bytes);
    char byte = 0;
    if (::write(joined[1], &byte, 1) != 1) fail("write");
    if (::read(go[0], &byte, 1) != 0) fail("read");
    exchange(fd, i + processes, bytes);
    std::exit(0);
  }
  ::close(joined[1]);
  char byte = 0;
  for (unsigned i = 0; i < processes; ++i) {
    if (::read(joined[0], &byte, 1) != 1) fail("not all clients have come");
  }
  std::printf("ready\n");
  std::fflush(stdout);
  while (::read(STDIN_FILENO, &byte, 1) > 0) {
  }
  ::close(go[1]);
  return all_succeed(children) ? 0 : 1;
}

}  // namespace load

int main(int count, char** words) {
  using namespace load;  // NOLINT(google-build-using-namespace): these programs
  const std::vector<std::string> word(words, words + count);
  const auto is = [&](const char* name, int most) { return count == most && word[1] == name; };
  if (is("serve", 4)) return serve(Target::of(word[2], word[3]));
  if (is("hold", 4)) return hold(Target::of(word[2], word[3]));
  if (is("transfer", 6)) {
    const int fd = connect_to(Target::of(word[2], word[3]));
    if (fd < 0) fail("connect");
    exchange(fd, std::stoull(word[5]), std::stoull(word[4]));
    return 0;
  }
  if (is("crowd", 6)) {
    return crowd(Target::of(word[2], word[3]), static_cast<unsigned>(std::stoul(word[4])),
                 std::stoull(word[5]));
  }
  if (is("churn", 6)) {
    return churn(Target::of(word[2], word[3]), std::stod(word[4]), std::stoull(word[5]));
  }
  std::fprintf(stderr, "usage: see load.cc\n");
  return 2;
}
