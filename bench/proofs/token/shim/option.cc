// SPDX-License-Identifier: Apache-2.0
#include "proofs/token/shim/option.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "proofs/token/layout.h"
#include "proofs/token/shim/stream.h"

namespace proofs::token {
namespace {

struct Name {
  int level;
  int name;
};

// Options whose value has no effect on queues in memory: remembered, and given back.
constexpr std::array<Name, 12> kRemembered{{{SOL_SOCKET, SO_KEEPALIVE},
                                            {SOL_SOCKET, SO_REUSEADDR},
                                            {SOL_SOCKET, SO_REUSEPORT},
                                            {IPPROTO_TCP, TCP_NODELAY},
                                            {IPPROTO_TCP, TCP_CORK},
                                            {IPPROTO_TCP, TCP_KEEPIDLE},
                                            {IPPROTO_TCP, TCP_KEEPINTVL},
                                            {IPPROTO_TCP, TCP_KEEPCNT},
                                            {IPPROTO_TCP, TCP_QUICKACK},
                                            {IPPROTO_TCP, TCP_USER_TIMEOUT},
                                            {IPPROTO_IP, IP_TOS},
                                            {IPPROTO_IP, IP_TTL}}};

std::atomic<int>* remembered(Stream& stream, int level, int name) {
  for (std::size_t i = 0; i < kRemembered.size(); ++i) {
    if (kRemembered[i].level == level && kRemembered[i].name == name) return &stream.options[i];
  }
  return nullptr;
}

int give(void* value, socklen_t* size, const void* from, std::size_t length) {
  if (value == nullptr || size == nullptr) return -EFAULT;
  *size = static_cast<socklen_t>(std::min<std::size_t>(*size, length));
  std::memcpy(value, from, *size);
  return 0;
}

int fixed_option(int name) {
  switch (name) {
    case SO_TYPE:
      return SOCK_STREAM;
    case SO_DOMAIN:
      return AF_INET;
    case SO_PROTOCOL:
      return IPPROTO_TCP;
    case SO_SNDBUF:
    case SO_RCVBUF:
      return static_cast<int>(kFifoBytes);
    case SO_ERROR:
    case SO_ACCEPTCONN:
      return 0;
    default:
      return -1;
  }
}

int timeout_ms(const timeval& time) {
  const std::int64_t ms = time.tv_sec * 1000 + (time.tv_usec + 999) / 1000;
  return ms == 0 ? -1 : static_cast<int>(std::min<std::int64_t>(ms, INT32_MAX));
}

}  // namespace

int set_option(Stream& stream, int level, int name, const void* value, socklen_t size) {
  if (value == nullptr) return -EFAULT;
  if (level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO)) {
    timeval time{};
    if (size < sizeof(time)) return -EINVAL;
    std::memcpy(&time, value, sizeof(time));
    (name == SO_RCVTIMEO ? stream.receive_timeout_ms : stream.send_timeout_ms) = timeout_ms(time);
    return 0;
  }
  int number = 0;
  if (size < sizeof(number)) return -EINVAL;
  std::memcpy(&number, value, sizeof(number));
  if (std::atomic<int>* option = remembered(stream, level, name)) {
    *option = number;
    return 0;
  }
  const bool sizes = level == SOL_SOCKET && (name == SO_SNDBUF || name == SO_RCVBUF);
  return sizes || (level == SOL_SOCKET && name == SO_LINGER) ? 0 : -ENOPROTOOPT;
}

int get_option(Stream& stream, int level, int name, void* value, socklen_t* size) {
  if (const std::atomic<int>* option = remembered(stream, level, name)) {
    const int number = *option;
    return give(value, size, &number, sizeof(number));
  }
  if (level != SOL_SOCKET) return -ENOPROTOOPT;
  if (name == SO_RCVTIMEO || name == SO_SNDTIMEO) {
    const int ms = name == SO_RCVTIMEO ? stream.receive_timeout_ms : stream.send_timeout_ms;
    const timeval time{.tv_sec = std::max(ms, 0) / 1000, .tv_usec = std::max(ms, 0) % 1000 * 1000L};
    return give(value, size, &time, sizeof(time));
  }
  const int number = fixed_option(name);
  return number < 0 ? -ENOPROTOOPT : give(value, size, &number, sizeof(number));
}

int control_stream(Stream& stream, unsigned long request, void* argument) {
  if (argument == nullptr) return -EFAULT;
  switch (request) {
    case FIONBIO:
      stream.endpoint().nonblocking.store(*static_cast<const int*>(argument) != 0 ? 1 : 0);
      return 0;
    case FIONREAD:
      *static_cast<int*>(argument) =
          static_cast<int>(std::min<std::size_t>(stream.readable_bytes(), kFifoBytes));
      return 0;
    default:
      return -ENOTTY;
  }
}

}  // namespace proofs::token
