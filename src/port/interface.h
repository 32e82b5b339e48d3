// SPDX-License-Identifier: Apache-2.0
// Linux network interfaces: what ports must know of them, and setting up the kernel's side of a
// TAP. netdevice(7), rtnetlink(7). Control path; any thread, in its network namespace.
#pragma once

#include <cstddef>
#include <string>

#include "base/error.h"
#include "wire/ip_address.h"
#include "wire/mac_address.h"

namespace tideline::port {

struct Interface {
  int index = 0;
  wire::MacAddress mac;
  std::size_t mtu = 0;
};

Result<Interface> read_interface(const std::string& name);
// How many queues the interface receives into; 1 if its driver does not say (ethtool -l).
unsigned receive_queues(const std::string& name);
Status set_interface_mtu(const std::string& name, std::size_t mtu);
Status bring_interface_up(const std::string& name);

// Adds an address with the prefix of its network. An address that is there already is no error.
// IPv6 addresses serve at once: duplicate detection would only find us.
Status add_interface_address(int index, const wire::Ipv4Prefix& address);
Status add_interface_address(int index, const wire::Ipv6Prefix& address);

}  // namespace tideline::port
