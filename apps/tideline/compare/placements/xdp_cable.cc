// SPDX-License-Identifier: Apache-2.0
#include "compare/placements/xdp_cable.h"

#include "compare/child.h"
#include "machine.h"

namespace tideline::app::compare {

std::string XdpCable::lacks() {
  for (const char* program : {"ip", "ethtool"}) {
    if (!is_installed(program)) return "it needs the programs ip and ethtool";
  }
  return xdp_lacks();
}

void XdpCable::lay() {
  run_command({"ip", "link", "add", "tlx0", "type", "veth", "peer", "name", "tlx1"});
  laid_ = true;
  for (const char* link : {"tlx0", "tlx1"}) {
    run_command({"ethtool", "-K", link, "tx", "off"});
    // Otherwise the kernel's link-local address is the one that the engine derives.
    run_command({"ip", "link", "set", link, "addrgenmode", "none"});
    run_command({"ip", "link", "set", link, "up"});
  }
}

void XdpCable::remove() {
  if (laid_) run_command({"ip", "link", "delete", "tlx0"});
  laid_ = false;
}

}  // namespace tideline::app::compare
