// SPDX-License-Identifier: Apache-2.0
// `tideline ports`: the kinds of wires, and what this machine allows of each. Nothing is
// changed, but the directory where members of a segment meet is made.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "base/fd.h"
#include "commands.h"
#include "port/xdp_program.h"
#include "report.h"
#include "shm_wire.h"

namespace tideline::app {
namespace {

struct Kind {
  const char* name;
  const char* form;
  const char* what;
  std::string lacks;     // empty: it works here
  std::string allows{};  // what it allows beyond that
};

bool may_configure_network() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
  if (::syscall(SYS_capget, &header, data.data()) != 0) return false;
  return (data[0].effective & (1U << CAP_NET_ADMIN)) != 0;
}

std::string tap_lacks() {
  const UniqueFd tun(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  if (!tun) {
    return fmt::format("cannot open /dev/net/tun: {}; load the module tun, or run as root",
                       std::strerror(errno));
  }
  return may_configure_network() ? "" : "run as root, or give the program CAP_NET_ADMIN";
}

std::string packet_lacks() {
  const UniqueFd socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (socket) return "";
  return fmt::format(
      "cannot open a packet socket: {}; run as root, or give the program "
      "CAP_NET_RAW",
      std::strerror(errno));
}

std::string xdp_lacks() {
  const UniqueFd socket(::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (socket) {
    const auto program = port::XdpProgram::load(false);
    return program ? "" : program.error().message();
  }
  return fmt::format("cannot open an AF_XDP socket: {}; {}", std::strerror(errno),
                     port::kXdpNeedsCapabilities);
}

}  // namespace

int ports(bool json) {
  const std::vector<Kind> kinds{
      {.name = "shm",
       .form = "shm:NAME",
       .what = "an Ethernet segment among processes of this user; addresses are leased",
       .lacks = shm_lacks(),
       .allows = shm_allows()},
      {.name = "tap",
       .form = "tap:NAME[,peer=A/L][,peer6=A/L]",
       .what = "a cable to this machine's kernel; the device is made and removed",
       .lacks = tap_lacks()},
      {.name = "packet",
       .form = "packet:IF",
       .what = "an interface, through AF_PACKET rings; addresses must not be the kernel's",
       .lacks = packet_lacks()},
      {.name = "xdp",
       .form = "xdp:IF[,mode=zerocopy|copy|generic][,all]",
       .what =
           "an interface, through AF_XDP; takes frames for our addresses only, which must not be "
           "the kernel's, but capture and relay take all, and the kernel gets none; on a veth, the "
           "other end needs `ethtool -K PEER tx off`",
       .lacks = xdp_lacks()},
      {.name = "dgram",
       .form = "dgram:LOCAL,REMOTE",
       .what = "frames over AF_UNIX datagrams, as QEMU's -netdev dgram",
       .lacks = {}},
      {.name = "pcap",
       .form = "pcap:IN[,OUT][,fast]",
       .what = "replays a capture file, in its time or fast; what is sent goes to the other",
       .lacks = {}},
  };
  if (json) {
    auto object = begin_json("ports", true);
    for (const Kind& kind : kinds) {
      object["ports"].push_back({{"name", kind.name},
                                 {"form", kind.form},
                                 {"usable", kind.lacks.empty()},
                                 {"lacks", kind.lacks},
                                 {"allows", kind.allows}});
    }
    print_json(object);
    return kDone;
  }
  for (const Kind& kind : kinds) {
    fmt::print("{:34} {}\n{:34} {}\n", kind.form, kind.what, "",
               kind.lacks.empty() ? "works here" : "NOT here: " + kind.lacks);
    if (!kind.allows.empty()) fmt::print("{:34} {}\n", "", kind.allows);
  }
  return kDone;
}

}  // namespace tideline::app
