// SPDX-License-Identifier: Apache-2.0
// `tideline ports`: the kinds of wires, and what this machine allows of each. Nothing is
// changed, but the directory where members of a segment meet is made.
#include <fmt/format.h>

#include <string>
#include <vector>

#include "commands.h"
#include "machine.h"
#include "report.h"

namespace tideline::app {
namespace {

struct Kind {
  const char* name;
  const char* form;
  const char* what;
  std::string lacks;     // empty: it works here
  std::string allows{};  // what it allows beyond that
};

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
