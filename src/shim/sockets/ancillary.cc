// SPDX-License-Identifier: Apache-2.0
#include "shim/sockets/ancillary.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/time.h>
#include <time.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/clock.h"
#include "shim/sockets/calls.h"
#include "shim/sockets/libc.h"
#include "shim/sockets/process.h"

namespace tideline::shim::sockets {
namespace {

constexpr std::uint8_t kUsualHopLimit = 64;

// IP_RECVTOS and what else asks for ancillary data. 0: it is none of them.
unsigned header_info_of(int level, int name) {
  if (level == IPPROTO_IP && name == IP_PKTINFO) return kPacketInfo4;
  if (level == IPPROTO_IP && name == IP_RECVTOS) return kTrafficClass4;
  if (level == IPPROTO_IP && name == IP_RECVTTL) return kHopLimit4;
  if (level == IPPROTO_IPV6 && name == IPV6_RECVPKTINFO) return kPacketInfo6;
  if (level == IPPROTO_IPV6 && name == IPV6_RECVTCLASS) return kTrafficClass6;
  if (level == IPPROTO_IPV6 && name == IPV6_RECVHOPLIMIT) return kHopLimit6;
  return 0;
}

bool whole_only(int path_mtu_discovery) {
  return path_mtu_discovery == IP_PMTUDISC_DO || path_mtu_discovery == IP_PMTUDISC_PROBE;
}

// Adds to a program's buffer, as put_cmsg() of Linux does.
class ControlWriter {
 public:
  explicit ControlWriter(msghdr& message) : message_(message) {}
  ~ControlWriter() { message_.msg_controllen = used_; }
  ControlWriter(const ControlWriter&) = delete;
  ControlWriter& operator=(const ControlWriter&) = delete;

  template <typename T>
  void put(int level, int type, const T& value) {
    const std::size_t room = message_.msg_controllen - std::min(used_, message_.msg_controllen);
    if (message_.msg_control == nullptr || room < CMSG_LEN(sizeof(value))) {
      message_.msg_flags |= MSG_CTRUNC;
      return;
    }
    const cmsghdr header{
        .cmsg_len = CMSG_LEN(sizeof(value)), .cmsg_level = level, .cmsg_type = type};
    auto* const at = static_cast<std::byte*>(message_.msg_control) + used_;
    std::memcpy(at, &header, sizeof(header));
    std::memcpy(at + CMSG_LEN(0), &value, sizeof(value));
    used_ += std::min(room, CMSG_SPACE(sizeof(value)));
  }

 private:
  msghdr& message_;
  std::size_t used_ = 0;
};

template <typename T>
bool read_value(const cmsghdr& header, T& value) {
  if (header.cmsg_len < CMSG_LEN(sizeof(value))) return false;
  std::memcpy(&value, CMSG_DATA(&header), sizeof(value));
  return true;
}

// A byte, or an int that is one; `least` and more. False: it is neither.
bool read_number(const cmsghdr& header, int least, std::uint8_t& number) {
  std::uint8_t byte = 0;
  int value = 0;
  if (header.cmsg_len == CMSG_LEN(sizeof(byte)) && read_value(header, byte)) {
    value = byte;
  } else if (!read_value(header, value)) {
    return false;
  }
  if (value < least || value > 255) return false;
  number = static_cast<std::uint8_t>(value);
  return true;
}

int result_of_reading(bool good) { return good ? 0 : -EINVAL; }

int read_ipv4(const cmsghdr& header, client::DatagramWay& way) {
  switch (header.cmsg_type) {
    case IP_TOS:
      return result_of_reading(read_number(header, 0, way.marks.traffic_class));
    case IP_TTL:
      return result_of_reading(read_number(header, 1, way.marks.hop_limit));
    case IP_PKTINFO: {
      in_pktinfo info{};
      if (!read_value(header, info)) return -EINVAL;
      if (info.ipi_spec_dst.s_addr == INADDR_ANY) return 0;
      way.source = wire::Ipv6Address::mapped(wire::Ipv4Address(ntohl(info.ipi_spec_dst.s_addr)));
      return 0;
    }
    default:
      return 0;
  }
}

// -1 is the socket's own.
int read_number_of_ipv6(const cmsghdr& header, std::uint8_t& number) {
  int value = 0;
  if (read_value(header, value) && value == -1) return 0;
  return result_of_reading(read_number(header, 0, number));
}

int read_ipv6(const cmsghdr& header, client::DatagramWay& way) {
  switch (header.cmsg_type) {
    case IPV6_TCLASS:
      return read_number_of_ipv6(header, way.marks.traffic_class);
    case IPV6_HOPLIMIT:
      return read_number_of_ipv6(header, way.marks.hop_limit);
    case IPV6_PKTINFO: {
      in6_pktinfo info{};
      if (!read_value(header, info)) return -EINVAL;
      if (IN6_IS_ADDR_UNSPECIFIED(&info.ipi6_addr)) return 0;
      way.source = wire::Ipv6Address(std::bit_cast<std::array<std::uint8_t, 16>>(info.ipi6_addr));
      return 0;
    }
    default:
      return 0;
  }
}

int read_one(const cmsghdr& header, bool ipv4, client::DatagramWay& way, std::uint16_t& segment) {
  if (header.cmsg_level == IPPROTO_UDP && header.cmsg_type == UDP_SEGMENT) {
    return result_of_reading(read_value(header, segment));
  }
  if (header.cmsg_level == IPPROTO_IP && ipv4) return read_ipv4(header, way);
  return header.cmsg_level == IPPROTO_IPV6 ? read_ipv6(header, way) : 0;
}

int give_number(int number, void* value, socklen_t* size) {
  if (value == nullptr || size == nullptr) return -EFAULT;
  const auto fits = std::min<std::size_t>(*size, sizeof(number));
  std::memcpy(value, &number, fits);
  *size = static_cast<socklen_t>(fits);
  return 0;
}

// As far as the engine knows: what it would send without fragments, and the headers.
int path_mtu(File& file, void* value, socklen_t* size) {
  const auto remote = file.socket().remote();
  const client::Info info = remote.has_value() ? file.socket().info() : client::Info();
  if (info.mss == 0) return -ENOTCONN;
  if (file.is_stream()) return give_number(static_cast<int>(info.path_mtu), value, size);
  constexpr int kUdpHeader = 8;
  const int network = remote.value_or(client::Endpoint{}).address.is_mapped() ? 20 : 40;
  return give_number(static_cast<int>(info.mss) + kUdpHeader + network, value, size);
}

void note_ipv4_option(File& file, int name, int number) {
  const auto byte = static_cast<std::uint8_t>(std::clamp(number, 0, 255));
  if (name == IP_TOS) file.marks4.traffic_class = byte;
  if (name == IP_TTL) file.marks4.hop_limit = byte;
  if (name == IP_MTU_DISCOVER) file.whole4 = whole_only(number);
}

void note_ipv6_option(File& file, int name, int number) {
  const auto byte = static_cast<std::uint8_t>(std::clamp(number, 0, 255));
  if (name == IPV6_TCLASS) file.marks6.traffic_class = byte;
  if (name == IPV6_UNICAST_HOPS) file.marks6.hop_limit = byte;
  if (name == IPV6_MTU_DISCOVER) file.whole6 = whole_only(number);
  if (name == IPV6_DONTFRAG) file.whole6 = number != 0;
  if (name == IPV6_V6ONLY) file.options.only_ipv6 = number != 0;
}

}  // namespace

void note_ip_option(int fd, File& file, int level, int name) {
  // The kernel's half has checked it, and says what it is now: IP_TOS of a stream has no ECN field,
  // and -1 stands for the usual value.
  int number = 0;
  socklen_t size = sizeof(number);
  if (libc().getsockopt(fd, level, name, &number, &size) != 0) return;
  if (const unsigned info = header_info_of(level, name); info != 0) {
    if (number != 0) {
      file.header_info.fetch_or(info);
    } else {
      file.header_info.fetch_and(~info);
    }
    return;
  }
  if (level == IPPROTO_IP) {
    note_ipv4_option(file, name, number);
  } else {
    note_ipv6_option(file, name, number);
  }
  const auto remote = file.has_ours() ? file.socket().remote() : std::nullopt;
  const bool ipv4 = file.domain == AF_INET || (remote && remote->address.is_mapped());
  file.options.marks = ipv4 ? file.marks4 : file.marks6;
}

void choose_marks(File& file, const wire::Ipv6Address& peer) {
  const client::HeaderMarks& marks = peer.is_mapped() ? file.marks4 : file.marks6;
  if (file.options.marks == marks) return;
  file.options.marks = marks;
  file.apply_options();
}

int get_ip_option(File& file, int level, int name, void* value, socklen_t* size) {
  const auto hops = [](std::uint8_t limit) { return limit == 0 ? kUsualHopLimit : limit; };
  if (level == IPPROTO_IP && name == IP_MTU) return path_mtu(file, value, size);
  if (level == IPPROTO_IPV6 && name == IPV6_MTU) return path_mtu(file, value, size);
  // Those of a connection are its listener's, of which its kernel half knows nothing.
  if (level == IPPROTO_IP && name == IP_TOS) {
    return give_number(file.marks4.traffic_class, value, size);
  }
  if (level == IPPROTO_IP && name == IP_TTL) {
    return give_number(hops(file.marks4.hop_limit), value, size);
  }
  if (level == IPPROTO_IPV6 && file.domain == AF_INET6) {
    if (name == IPV6_TCLASS) return give_number(file.marks6.traffic_class, value, size);
    if (name == IPV6_UNICAST_HOPS) return give_number(hops(file.marks6.hop_limit), value, size);
    if (name == IPV6_V6ONLY) return give_number(file.options.only_ipv6 ? 1 : 0, value, size);
  }
  return kPass;
}

int read_control(File& file, const msghdr* message, const std::optional<client::Endpoint>& to,
                 client::DatagramWay& way, std::uint16_t& segment) {
  segment = file.segment;
  way.marks = file.options.marks;
  const bool has_control = message != nullptr && message->msg_controllen > 0;
  // Who has a peer, and chose nothing that differs between the versions, need not ask for it.
  if (!to && !has_control && !file.whole4 && !file.whole6) return 0;
  const auto target = to ? to : file.socket().remote();
  if (!target) return -EDESTADDRREQ;
  const bool ipv4 = target->address.is_mapped();
  way.marks = ipv4 ? file.marks4 : file.marks6;
  way.whole = ipv4 ? file.whole4 : file.whole6;
  if (!has_control) return 0;
  auto* const whole = const_cast<msghdr*>(message);
  for (cmsghdr* each = CMSG_FIRSTHDR(whole); each != nullptr; each = CMSG_NXTHDR(whole, each)) {
    if (const int error = read_one(*each, ipv4, way, segment); error < 0) return error;
  }
  // The engine's own check is for those who mean no good.
  if (!way.source || process.sockets()->owns(*way.source)) return 0;
  return ipv4 ? -ENETUNREACH : -EINVAL;  // as Linux has it
}

// The loopback interface's, which every network namespace has: datagrams to a host's own addresses
// come from there in Linux, too.
constexpr int kInterface = 1;

namespace {

// By the clock of the day, which may have been set since.
timespec time_of_day(Instant instant) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const Duration today = std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec) -
                         (monotonic_now() - instant);
  return {.tv_sec = today.count() / 1'000'000'000, .tv_nsec = today.count() % 1'000'000'000};
}

// The old forms and the new ones are the same where long has 64 bits.
void put_time(int name, Instant arrived, ControlWriter& writer) {
  static_assert(sizeof(timeval) == 16 && sizeof(timespec) == 16);
  const timespec time = time_of_day(arrived);
  if (name == SO_TIMESTAMPNS_OLD || name == SO_TIMESTAMPNS_NEW) {
    writer.put(SOL_SOCKET, name, time);
  } else {
    writer.put(SOL_SOCKET, name, timeval{.tv_sec = time.tv_sec, .tv_usec = time.tv_nsec / 1000});
  }
}

}  // namespace

void put_header_info(const File& file, const client::Received& received, msghdr& message) {
  const unsigned wanted = file.header_info.load(std::memory_order_relaxed);
  ControlWriter writer(message);
  if (const int name = file.tells_time.load(std::memory_order_relaxed); name != 0) {
    put_time(name, received.arrived, writer);
  }
  if (wanted == 0) return;
  const wire::Ipv6Address& to = received.to.address;
  const int hop_limit = received.marks.hop_limit;
  if ((wanted & kPacketInfo6) != 0) {
    writer.put(
        IPPROTO_IPV6, IPV6_PKTINFO,
        in6_pktinfo{.ipi6_addr = std::bit_cast<in6_addr>(to.bytes()), .ipi6_ifindex = kInterface});
  }
  if (to.is_mapped()) {
    if ((wanted & kPacketInfo4) != 0) {
      const in_addr address{.s_addr = htonl(to.mapped_ipv4().value())};
      writer.put(
          IPPROTO_IP, IP_PKTINFO,
          in_pktinfo{.ipi_ifindex = kInterface, .ipi_spec_dst = address, .ipi_addr = address});
    }
    if ((wanted & kHopLimit4) != 0) writer.put(IPPROTO_IP, IP_TTL, hop_limit);
    if ((wanted & kTrafficClass4) != 0) {
      writer.put(IPPROTO_IP, IP_TOS, received.marks.traffic_class);
    }
    return;
  }
  if ((wanted & kHopLimit6) != 0) writer.put(IPPROTO_IPV6, IPV6_HOPLIMIT, hop_limit);
  if ((wanted & kTrafficClass6) != 0) {
    writer.put(IPPROTO_IPV6, IPV6_TCLASS, int{received.marks.traffic_class});
  }
}

}  // namespace tideline::shim::sockets
