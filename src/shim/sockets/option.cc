// SPDX-License-Identifier: Apache-2.0
#include "shim/sockets/option.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <string_view>

#include "base/fd.h"
#include "shim/sockets/ancillary.h"
#include "shim/sockets/calls.h"
#include "shim/sockets/epoll_set.h"
#include "shim/sockets/errors.h"
#include "shim/sockets/key_option.h"
#include "shim/sockets/libc.h"
#include "shim/sockets/process.h"
#include "shim/sockets/tcp_info.h"

namespace tideline::shim::sockets {
namespace {

using client::Info;

int give(const void* from, std::size_t length, void* value, socklen_t* size) {
  if (value == nullptr || size == nullptr) return -EFAULT;
  const auto fits = std::min(static_cast<std::size_t>(*size), length);
  std::memcpy(value, from, fits);
  *size = static_cast<socklen_t>(fits);
  return 0;
}

int give_int(int number, void* value, socklen_t* size) {
  return give(&number, sizeof(number), value, size);
}

// As Linux names them; in the order of client::Congestion.
constexpr std::array<const char*, 4> kAlgorithms{"cubic", "reno", "bbr", "dctcp"};

int get_tcp(int name, File& file, void* value, socklen_t* size) {
  switch (name) {
    case TCP_INFO: {
      const TcpInfo info = to_tcp_info(file.socket().info(), file.options);
      return give(&info, sizeof(info), value, size);
    }
    case TCP_CC_INFO: {
      tcp_cc_info info;
      const std::size_t length = to_algorithm_info(file.socket().info(), info);
      return give(&info, length, value, size);
    }
    case TCP_MAXSEG: {
      const Info info = file.socket().info();
      const bool chosen =
          info.state <= client::StreamState::kListen && file.options.max_segment > 0;
      return give_int(static_cast<int>(chosen ? file.options.max_segment : info.mss), value, size);
    }
    case TCP_CONGESTION: {
      char text[16] = {};
      std::strcpy(
          text, kAlgorithms[static_cast<std::size_t>(file.options.congestion)]);  // NOLINT: it fits
      return give(text, sizeof(text), value, size);
    }
    default:
      return kPass;
  }
}

std::int64_t to_us(const timeval& time) {
  return std::int64_t{time.tv_sec} * 1'000'000 + time.tv_usec;
}

// Four bytes or eight; all ones is no limit.
std::uint64_t pacing_rate_of(const void* value, socklen_t size) {
  if (size >= sizeof(std::uint64_t)) {
    std::uint64_t rate = 0;
    std::memcpy(&rate, value, sizeof(rate));
    return rate;
  }
  std::uint32_t rate = 0;
  std::memcpy(&rate, value, std::min<std::size_t>(size, sizeof(rate)));
  return rate == UINT32_MAX ? UINT64_MAX : rate;
}

// SO_TIMESTAMP and SO_TIMESTAMPNS, by their old names and by the new ones.
bool is_timestamp(int name) {
  return name == SO_TIMESTAMP_OLD || name == SO_TIMESTAMPNS_OLD || name == SO_TIMESTAMP_NEW ||
         name == SO_TIMESTAMPNS_NEW;
}

// What the kernel's half has made of it: at least 1, at most half of a buffer.
void note_least_read(int fd, File& file) {
  int least = 1;
  socklen_t size = sizeof(least);
  if (libc().getsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &least, &size) != 0) return;
  file.options.receive_lowat = static_cast<std::uint32_t>(std::max(least, 1));
  file.least_read.store(file.options.receive_lowat);
  EpollSet::look_again(fd);  // what is there may be enough now
}

void note_socket_option(File& file, int name, const void* value, socklen_t size, int number) {
  if (is_timestamp(name)) file.tells_time.store(number != 0 ? name : 0);
  switch (name) {
    case SO_REUSEADDR:
      file.shares_address.store(number != 0);
      return;
    case SO_REUSEPORT:
      file.shares_port.store(number != 0);
      return;
    case SO_ZEROCOPY:
      file.zero_copy.store(number != 0);
      return;
    case SO_OOBINLINE:
      file.options.urgent_inline = number != 0;
      return;
    case SO_KEEPALIVE:
      file.options.keepalive = number != 0;
      return;
    case SO_SNDBUF:  // twice, as Linux has it
      file.options.send_buffer = 2 * static_cast<std::size_t>(std::max(number, 1));
      return;
    case SO_RCVBUF:
      file.options.receive_buffer = static_cast<std::size_t>(std::max(number, 1));
      return;
    case SO_MAX_PACING_RATE:
      file.options.max_pacing_rate = pacing_rate_of(value, size);
      return;
    case SO_LINGER: {
      if (size < sizeof(linger)) return;
      linger value_now;
      std::memcpy(&value_now, value, sizeof(value_now));
      file.linger_s.store(value_now.l_onoff != 0 ? value_now.l_linger : -1);
      return;
    }
    case SO_RCVTIMEO:
    case SO_SNDTIMEO: {
      if (size < sizeof(timeval)) return;
      timeval time;
      std::memcpy(&time, value, sizeof(time));
      (name == SO_RCVTIMEO ? file.receive_timeout_us : file.send_timeout_us).store(to_us(time));
      return;
    }
    default:
      return;
  }
}

void note_tcp_option(client::Options& options, int name, int number) {
  switch (name) {
    case TCP_NODELAY:
      options.no_delay = number != 0;
      return;
    case TCP_CORK:
      options.cork = number != 0;
      return;
    case TCP_QUICKACK:
      options.quick_ack = number != 0;
      return;
    case TCP_MAXSEG:
      options.max_segment = static_cast<std::uint16_t>(std::clamp(number, 0, 65535));
      return;
    case TCP_KEEPIDLE:
      options.keepalive_idle = std::chrono::seconds(number);
      return;
    case TCP_KEEPINTVL:
      options.keepalive_interval = std::chrono::seconds(number);
      return;
    case TCP_KEEPCNT:
      options.keepalive_probes = static_cast<std::uint8_t>(std::clamp(number, 1, 127));
      return;
    case TCP_FASTOPEN:
      options.fast_open = static_cast<std::uint32_t>(std::max(number, 0));
      return;
    case TCP_FASTOPEN_CONNECT:
      options.connect_fast = number != 0;
      return;
    case TCP_DEFER_ACCEPT:
      options.defer_accept = std::chrono::seconds(std::max(number, 0));
      return;
    case TCP_NOTSENT_LOWAT:
      options.notsent_lowat = static_cast<std::uint32_t>(number);
      return;
    case TCP_USER_TIMEOUT:
      options.user_timeout = std::chrono::milliseconds(number);
      return;
    default:
      return;
  }
}

struct OptionName {
  int level;
  int name;
};

void note_option(int fd, File& file, OptionName option, const void* value, socklen_t size,
                 int number) {
  const auto [level, name] = option;
  if (level == SOL_SOCKET) note_socket_option(file, name, value, size, number);
  if (level == SOL_SOCKET && name == SO_RCVLOWAT) note_least_read(fd, file);
  if (level == IPPROTO_TCP) note_tcp_option(file.options, name, number);
  if (level == IPPROTO_TCP && name == TCP_INQ) file.tells_rest.store(number != 0);
  if (level == IPPROTO_IP && name == IP_RECVERR) file.options.reports_ipv4 = number != 0;
  if (level == IPPROTO_IPV6 && name == IPV6_RECVERR) file.options.reports_ipv6 = number != 0;
  if (level == IPPROTO_IP || level == IPPROTO_IPV6) note_ip_option(fd, file, level, name);
  if (level == IPPROTO_UDP && name == UDP_SEGMENT) {
    file.segment = static_cast<std::uint16_t>(number);
  }
}

int note_congestion(File& file, const void* value, socklen_t size) {
  const std::string_view name(static_cast<const char*>(value),
                              ::strnlen(static_cast<const char*>(value), size));
  const auto* const found = std::ranges::find(kAlgorithms, name);
  if (found == kAlgorithms.end()) return -ENOENT;
  file.options.congestion = static_cast<client::Congestion>(found - kAlgorithms.begin());
  return 0;
}

int set_congestion(File& file, const void* value, socklen_t size) {
  const int result = note_congestion(file, value, size);
  if (result == 0 && file.has_ours()) file.apply_options();
  return result;
}

// What note_option() knows. TCP-AO's keys cannot be read back.
constexpr OptionName kRecalled[] = {
    {SOL_SOCKET, SO_REUSEADDR},
    {SOL_SOCKET, SO_REUSEPORT},
    {SOL_SOCKET, SO_ZEROCOPY},
    {SOL_SOCKET, SO_OOBINLINE},
    {SOL_SOCKET, SO_KEEPALIVE},
    {SOL_SOCKET, SO_SNDBUF},
    {SOL_SOCKET, SO_RCVBUF},
    {SOL_SOCKET, SO_MAX_PACING_RATE},
    {SOL_SOCKET, SO_LINGER},
    {SOL_SOCKET, SO_RCVTIMEO},
    {SOL_SOCKET, SO_SNDTIMEO},
    {SOL_SOCKET, SO_RCVLOWAT},
    {SOL_SOCKET, SO_TIMESTAMP_OLD},
    {SOL_SOCKET, SO_TIMESTAMPNS_OLD},
    {SOL_SOCKET, SO_TIMESTAMP_NEW},
    {SOL_SOCKET, SO_TIMESTAMPNS_NEW},
    {IPPROTO_TCP, TCP_NODELAY},
    {IPPROTO_TCP, TCP_CORK},
    {IPPROTO_TCP, TCP_QUICKACK},
    {IPPROTO_TCP, TCP_MAXSEG},
    {IPPROTO_TCP, TCP_KEEPIDLE},
    {IPPROTO_TCP, TCP_KEEPINTVL},
    {IPPROTO_TCP, TCP_KEEPCNT},
    {IPPROTO_TCP, TCP_FASTOPEN},
    {IPPROTO_TCP, TCP_FASTOPEN_CONNECT},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT},
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT},
    {IPPROTO_TCP, TCP_USER_TIMEOUT},
    {IPPROTO_TCP, TCP_CONGESTION},
    {IPPROTO_TCP, TCP_INQ},
    {IPPROTO_UDP, UDP_SEGMENT},
    {IPPROTO_IP, IP_TOS},
    {IPPROTO_IP, IP_TTL},
    {IPPROTO_IP, IP_MTU_DISCOVER},
    {IPPROTO_IP, IP_RECVERR},
    {IPPROTO_IP, IP_PKTINFO},
    {IPPROTO_IP, IP_RECVTOS},
    {IPPROTO_IP, IP_RECVTTL},
    {IPPROTO_IPV6, IPV6_TCLASS},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS},
    {IPPROTO_IPV6, IPV6_MTU_DISCOVER},
    {IPPROTO_IPV6, IPV6_RECVERR},
    {IPPROTO_IPV6, IPV6_V6ONLY},
    {IPPROTO_IPV6, IPV6_RECVPKTINFO},
    {IPPROTO_IPV6, IPV6_RECVTCLASS},
    {IPPROTO_IPV6, IPV6_RECVHOPLIMIT},
};

}  // namespace

int set_option(int fd, File& file, int level, int name, const void* value, socklen_t size) {
  const bool only_ipv6 = level == IPPROTO_IPV6 && name == IPV6_V6ONLY && file.domain == AF_INET6;
  if (only_ipv6 && file.has_ours() && file.socket().local().port != 0) return -EINVAL;
  if (is_key_option(level, name) && file.is_stream()) {
    return set_key_option(fd, file, name, value, size);
  }
  // Nobody puts datagrams together here: who asks does without it, and does not wait for lengths.
  if (level == IPPROTO_UDP && name == UDP_GRO && !file.is_stream()) return -ENOPROTOOPT;
  const bool congestion = level == IPPROTO_TCP && name == TCP_CONGESTION;
  const int taken = libc().setsockopt(fd, level, name, value, size);
  if (congestion && value != nullptr && file.is_stream()) {
    // While undecided, what either side has is accepted; ours answers for its own.
    const int result = set_congestion(file, value, size);
    return file.has_ours() ? result : (taken == 0 || result == 0 ? 0 : -errno);
  }
  if (taken != 0) return -errno;
  int number = 0;
  if (value != nullptr && size >= sizeof(number)) std::memcpy(&number, value, sizeof(number));
  const client::Options before = file.options;
  note_option(fd, file, {level, name}, value, size, number);
  // TCP_NODELAY sends what was held back, each time.
  const bool pushes = level == IPPROTO_TCP && name == TCP_NODELAY && number != 0;
  if (file.has_ours() && (pushes || !(file.options == before))) file.apply_options();
  return 0;
}

void recall_options(int fd, File& file) {
  // What differs from a socket that nobody has told anything.
  const UniqueFd plain(libc().socket(file.domain, file.is_stream() ? SOCK_STREAM : SOCK_DGRAM, 0));
  if (!plain) return;
  for (const OptionName option : kRecalled) {
    std::array<char, 16> usual{};
    std::array<char, 16> value{};
    socklen_t usual_size = usual.size();
    socklen_t size = value.size();
    const auto [level, name] = option;
    if (libc().getsockopt(plain.get(), level, name, usual.data(), &usual_size) != 0 ||
        libc().getsockopt(fd, level, name, value.data(), &size) != 0 || usual == value) {
      continue;
    }
    if (level == IPPROTO_TCP && name == TCP_CONGESTION) {
      note_congestion(file, value.data(), size);
      continue;
    }
    int number = 0;
    std::memcpy(&number, value.data(), sizeof(number));
    const bool doubled = level == SOL_SOCKET && (name == SO_SNDBUF || name == SO_RCVBUF);
    note_option(fd, file, option, value.data(), size, doubled ? number / 2 : number);
  }
}

// What ours answers of a socket that it has; or kPass.
static int get_own_option(File& file, int level, int name, void* value, socklen_t* size) {
  if (level == IPPROTO_IP || level == IPPROTO_IPV6) {
    return get_ip_option(file, level, name, value, size);
  }
  if (level == SOL_SOCKET && name == SO_ERROR) {
    return give_int(errno_of(file.socket().take_error()), value, size);
  }
  // Of a connection it is its listener's, of which its kernel half knows nothing.
  if (level == SOL_SOCKET && name == SO_RCVLOWAT) {
    return give_int(static_cast<int>(file.least_read.load()), value, size);
  }
  if (level == SOL_SOCKET && name == SO_ACCEPTCONN) {
    const bool listens = file.socket().info().state == client::StreamState::kListen;
    return give_int(listens ? 1 : 0, value, size);
  }
  if (level != IPPROTO_TCP || !file.is_stream()) return kPass;
  if (name == TCP_NODELAY) return give_int(file.options.no_delay ? 1 : 0, value, size);
  return get_tcp(name, file, value, size);
}

int get_option(int fd, File& file, int level, int name, void* value, socklen_t* size) {
  // Keys come before it is known whose the socket is.
  if (is_key_question(level, name) && file.is_stream() && file.ours.load() != nullptr) {
    return get_key_option(file, name, value, size);
  }
  const int result = file.has_ours() ? get_own_option(file, level, name, value, size) : kPass;
  if (result != kPass) return result;
  return libc().getsockopt(fd, level, name, value, size) == 0 ? 0 : -errno;
}

namespace {

// What the peer has not acknowledged; or what of that has not been sent.
int tell_outgoing(const File& file, unsigned long request, void* argument) {
  const Info info = file.socket().info();
  if (info.state == client::StreamState::kListen) return -EINVAL;
  std::size_t size = file.socket().outgoing_bytes();
  if (request == SIOCOUTQNSD) size -= std::min<std::size_t>(size, info.unacknowledged);
  *static_cast<int*>(argument) =
      static_cast<int>(std::min<std::size_t>(size, std::numeric_limits<int>::max()));
  return 0;
}

}  // namespace

int control_socket(int fd, File& file, unsigned long request, void* argument) {
  switch (request) {
    case FIONREAD: {
      if (!file.has_ours()) return kPass;
      const std::size_t size = file.socket().readable_bytes();
      if (size == 0) process.running()->poll();
      *static_cast<int*>(argument) = static_cast<int>(
          std::min<std::size_t>(file.socket().readable_bytes(), std::numeric_limits<int>::max()));
      return 0;
    }
    case SIOCOUTQ:
    case SIOCOUTQNSD:
      return file.has_ours() && file.is_stream() ? tell_outgoing(file, request, argument) : kPass;
    case SIOCATMARK:
      if (!file.has_ours() || !file.is_stream()) return kPass;
      *static_cast<int*>(argument) = file.socket().is_at_mark() ? 1 : 0;
      return 0;
    case FIONBIO: {
      const int flags = file_flags(fd, file);
      const bool on = *static_cast<const int*>(argument) != 0;
      return set_file_flags(fd, file, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
    }
    default:
      return kPass;
  }
}

// O_NONBLOCK of a socket with two halves is the file's, for the kernel's half must never block.
int file_flags(int fd, const File& file) {
  const int flags = libc().fcntl(fd, F_GETFL);
  if (flags < 0) return -errno;
  return file.nonblocking.load() ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
}

int set_file_flags(int fd, File& file, int flags) {
  file.nonblocking.store((flags & O_NONBLOCK) != 0);
  const int kernel = file.where() == Side::kBoth ? flags | O_NONBLOCK : flags;
  return libc().fcntl(fd, F_SETFL, kernel) == 0 ? 0 : -errno;
}

}  // namespace tideline::shim::sockets
