// SPDX-License-Identifier: Apache-2.0
// Pairs of sockets at the address that SOCKET_CHECK_ADDRESS names, which is this program's own.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

namespace check {

inline constexpr int kPatienceMs = 10'000;

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    close();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  ~Fd() { close(); }
  operator int() const { return fd_; }  // NOLINT(google-explicit-constructor): a descriptor
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
};

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;

  // Of the address under test; "" is any address of that family.
  static Address of(const char* text, std::uint16_t port) {
    Address result;
    if (std::strchr(text, ':') != nullptr) {
      auto* ipv6 = reinterpret_cast<sockaddr_in6*>(&result.storage);
      ipv6->sin6_family = AF_INET6;
      ipv6->sin6_port = htons(port);
      EXPECT_EQ(::inet_pton(AF_INET6, text, &ipv6->sin6_addr), 1);
      result.size = sizeof(sockaddr_in6);
    } else {
      auto* ipv4 = reinterpret_cast<sockaddr_in*>(&result.storage);
      ipv4->sin_family = AF_INET;
      ipv4->sin_port = htons(port);
      EXPECT_EQ(::inet_pton(AF_INET, text, &ipv4->sin_addr), 1);
      result.size = sizeof(sockaddr_in);
    }
    return result;
  }
  static Address local_of(int fd) {
    Address result;
    result.size = sizeof(result.storage);
    EXPECT_EQ(::getsockname(fd, result.raw(), &result.size), 0);
    return result;
  }
  static Address remote_of(int fd) {
    Address result;
    result.size = sizeof(result.storage);
    EXPECT_EQ(::getpeername(fd, result.raw(), &result.size), 0);
    return result;
  }

  sockaddr* raw() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* raw() const { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
  std::uint16_t port() const {
    return ntohs(family() == AF_INET ? reinterpret_cast<const sockaddr_in*>(&storage)->sin_port
                                     : reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_port);
  }
  std::string text() const {
    std::array<char, INET6_ADDRSTRLEN> out{};
    const void* bytes =
        family() == AF_INET
            ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr)
            : &reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr;
    ::inet_ntop(family(), bytes, out.data(), out.size());
    return out.data();
  }
  friend bool operator==(const Address& a, const Address& b) {
    return a.text() == b.text() && a.port() == b.port();
  }
};

// Environment of the whole program.
inline const char* own_text() {
  const char* text = std::getenv("SOCKET_CHECK_ADDRESS");
  return text == nullptr ? "127.0.0.1" : text;
}
inline bool is_tideline() { return std::getenv("SOCKET_CHECK_TIDELINE") != nullptr; }
inline Address own(std::uint16_t port) { return Address::of(own_text(), port); }
// The kernel's under tideline, too.
inline Address loopback(std::uint16_t port) {
  return Address::of(own(0).family() == AF_INET ? "127.0.0.1" : "::1", port);
}
inline Address any() { return Address::of(own(0).family() == AF_INET ? "0.0.0.0" : "::", 0); }

inline int wait_events(int fd, short events, int timeout_ms = kPatienceMs) {
  pollfd entry{.fd = fd, .events = events, .revents = 0};
  return ::poll(&entry, 1, timeout_ms) == 1 ? entry.revents : 0;
}

inline void set(int fd, int level, int name, int value) {
  ASSERT_EQ(::setsockopt(fd, level, name, &value, sizeof(value)), 0) << std::strerror(errno);
}
inline int get(int fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof(value);
  EXPECT_EQ(::getsockopt(fd, level, name, &value, &size), 0) << std::strerror(errno);
  return value;
}

class Sockets : public ::testing::Test {
 protected:
  static Fd make(int type) { return Fd(::socket(own(0).family(), type, 0)); }
  // A listener on any address.
  static Fd listen_any(int type = SOCK_STREAM) {
    Fd listener = make(type);
    EXPECT_EQ(::bind(listener, any().raw(), any().size), 0) << std::strerror(errno);
    EXPECT_EQ(::listen(listener, 16), 0) << std::strerror(errno);
    return listener;
  }
  static int connect_to(int fd, std::uint16_t port) {
    const Address to = own(port);
    return ::connect(fd, to.raw(), to.size);
  }
  // near_ is connected to far_.
  void join() {
    listener_ = listen_any();
    near_ = make(SOCK_STREAM);
    ASSERT_EQ(connect_to(near_, Address::local_of(listener_).port()), 0) << std::strerror(errno);
    far_ = Fd(::accept(listener_, nullptr, nullptr));
    ASSERT_GE(far_, 0) << std::strerror(errno);
  }
  // The same at a port that is free, for a near_ that does not block.
  void join_again(std::uint16_t port) {
    listener_ = make(SOCK_STREAM);
    set(listener_, SOL_SOCKET, SO_REUSEADDR, 1);
    const Address at = own(port);
    ASSERT_EQ(::bind(listener_, at.raw(), at.size), 0) << std::strerror(errno);
    ASSERT_EQ(::listen(listener_, 1), 0);
    if (connect_to(near_, port) != 0) {
      ASSERT_EQ(errno, EINPROGRESS);
      ASSERT_EQ(wait_events(near_, POLLOUT), POLLOUT);
    }
    far_ = Fd(::accept(listener_, nullptr, nullptr));
    ASSERT_GE(far_, 0) << std::strerror(errno);
  }
  static Fd bound_datagram() {
    Fd socket = make(SOCK_DGRAM);
    EXPECT_EQ(::bind(socket, any().raw(), any().size), 0) << std::strerror(errno);
    return socket;
  }
  static std::string receive(int fd, int flags = 0, std::size_t most = 4096) {
    std::string text(most, '\0');
    const ssize_t size = ::recv(fd, text.data(), most, flags);
    text.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    return text;
  }
  static void send(int fd, std::string_view text) {
    ASSERT_EQ(::send(fd, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()))
        << std::strerror(errno);
  }

  Fd listener_;
  Fd near_;
  Fd far_;
};

}  // namespace check
