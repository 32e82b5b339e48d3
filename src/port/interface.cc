// SPDX-License-Identifier: Apache-2.0
#include "port/interface.h"

#include <fmt/core.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>

#include "base/fd.h"

namespace tideline::port {
namespace {

constexpr const char* kNeedsAdmin =
    "run as root, or give the program CAP_NET_ADMIN and CAP_NET_RAW";

class InterfaceRequest {
 public:
  explicit InterfaceRequest(const std::string& name) {
    std::strncpy(request_.ifr_name, name.c_str(), sizeof(request_.ifr_name) - 1);
  }
  ifreq& data() { return request_; }

  // An ioctl about an interface; any socket will do.
  Status run(unsigned long command, std::string_view doing) {
    if (std::strlen(request_.ifr_name) == 0) {
      return fail({.kind = ErrorKind::kUsage, .what = "an interface needs a name"});
    }
    const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (socket && ::ioctl(socket.get(), command, &request_) == 0) return {};
    return fail_errno(fmt::format("cannot {} interface '{}'", doing, request_.ifr_name),
                      errno == ENODEV ? "see the interfaces with `ip link`" : kNeedsAdmin);
  }

 private:
  ifreq request_{};
};

// RTM_NEWADDR with its two attributes, IFA_LOCAL and IFA_ADDRESS.
template <std::size_t kSize>
struct AddressMessage {
  nlmsghdr header{};
  ifaddrmsg address{};
  struct Attribute {
    rtattr header{.rta_len = sizeof(rtattr) + kSize, .rta_type = 0};
    std::array<std::uint8_t, kSize> bytes{};
  };
  Attribute local;
  Attribute peer;
};

template <std::size_t kSize>
Status add_address(unsigned char family, int index, unsigned char prefix,
                   const std::array<std::uint8_t, kSize>& bytes, const std::string& text) {
  AddressMessage<kSize> message;
  message.header = {.nlmsg_len = sizeof(message),
                    .nlmsg_type = RTM_NEWADDR,
                    .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL};
  message.address = {.ifa_family = family,
                     .ifa_prefixlen = prefix,
                     .ifa_flags = IFA_F_NODAD | IFA_F_PERMANENT,
                     .ifa_scope = RT_SCOPE_UNIVERSE,
                     .ifa_index = static_cast<unsigned>(index)};
  message.local.header.rta_type = IFA_LOCAL;
  message.local.bytes = bytes;
  message.peer.header.rta_type = IFA_ADDRESS;
  message.peer.bytes = bytes;

  const std::string what = fmt::format("cannot give the interface the address {}", text);
  const UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket || ::send(socket.get(), &message, sizeof(message), 0) < 0) {
    return fail_errno(what, kNeedsAdmin);
  }
  struct {
    nlmsghdr header;
    nlmsgerr error;
    std::array<std::byte, 512> request;
  } answer{};
  const ssize_t size = ::recv(socket.get(), &answer, sizeof(answer), 0);
  if (size < 0) return fail_errno(what);
  if (static_cast<std::size_t>(size) < sizeof(answer.header) + sizeof(answer.error) ||
      answer.header.nlmsg_type != NLMSG_ERROR) {
    return fail({.what = what + ": the kernel's answer makes no sense"});
  }
  if (answer.error.error == 0 || answer.error.error == -EEXIST) return {};
  errno = -answer.error.error;
  return fail_errno(what, kNeedsAdmin);
}

}  // namespace

Result<Interface> read_interface(const std::string& name) {
  if (name.size() >= IFNAMSIZ) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = fmt::format("'{}' is too long for an interface's name", name)});
  }
  Interface interface;
  InterfaceRequest request(name);
  if (Status s = request.run(SIOCGIFINDEX, "find"); !s) return fail(std::move(s.error()));
  interface.index = request.data().ifr_ifindex;
  if (Status s = request.run(SIOCGIFMTU, "read the MTU of"); !s) return fail(std::move(s.error()));
  interface.mtu = static_cast<std::size_t>(request.data().ifr_mtu);
  if (Status s = request.run(SIOCGIFHWADDR, "read the address of"); !s) {
    return fail(std::move(s.error()));
  }
  std::array<std::uint8_t, 6> mac{};
  std::memcpy(mac.data(), request.data().ifr_hwaddr.sa_data, mac.size());
  interface.mac = wire::MacAddress(mac);
  return interface;
}

unsigned receive_queues(const std::string& name) {
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  InterfaceRequest request(name);
  request.data().ifr_data = reinterpret_cast<char*>(&channels);
  if (!request.run(SIOCETHTOOL, "count the queues of")) return 1;
  return std::max(channels.rx_count + channels.combined_count, 1U);
}

Status set_interface_mtu(const std::string& name, std::size_t mtu) {
  InterfaceRequest request(name);
  request.data().ifr_mtu = static_cast<int>(mtu);
  return request.run(SIOCSIFMTU, fmt::format("set the MTU {} of", mtu));
}

Status bring_interface_up(const std::string& name) {
  InterfaceRequest request(name);
  if (Status s = request.run(SIOCGIFFLAGS, "read the flags of"); !s) return s;
  request.data().ifr_flags |= IFF_UP;
  return request.run(SIOCSIFFLAGS, "bring up");
}

Status add_interface_address(int index, const wire::Ipv4Prefix& address) {
  return add_address(AF_INET, index, address.length, address.address.bytes(), address.to_text());
}

Status add_interface_address(int index, const wire::Ipv6Prefix& address) {
  return add_address(AF_INET6, index, address.length, address.address.bytes(), address.to_text());
}

}  // namespace tideline::port
