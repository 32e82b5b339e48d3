// SPDX-License-Identifier: Apache-2.0
// AF_XDP: frames from and to any Linux interface past the kernel's stack, which keeps the interface
// and all frames but those for addresses that the port claims. Packets lie in the pool from wire to
// host: we copy nothing; where the driver cannot place frames in our memory, the kernel copies.
//
// The MAC address is the interface's own. Frames have no offload metadata here, so checksums are
// summed by us as a frame leaves. (Newer kernels take them along with a frame, but where the driver
// leaves them to its peer, as veth does, another AF_XDP port would see them unfilled.) For the same
// reason the other side of a veth must fill its checksums: `ethtool -K IF tx off`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "packet/pool.h"
#include "port/port.h"
#include "wire/ip_address.h"

namespace tideline::port {

class XdpProgram;
class XdpQueue;

enum class XdpMode : std::uint8_t {
  kZeroCopy,  // the driver places frames in our memory
  kCopy,      // the driver hands frames over early, the kernel copies
  kGeneric,   // any interface: behind the driver, the kernel copies
};

std::string_view name_of(XdpMode mode);

struct XdpSpec {
  std::string interface;
  std::vector<XdpMode> modes{XdpMode::kZeroCopy, XdpMode::kCopy, XdpMode::kGeneric};  // best first
  // Every frame of the interface, not only those for claimed addresses: for relays and captures.
  bool take_all = false;
  // Frames in several buffers (Linux 6.6); without, frames of at most 1792 bytes.
  bool multi_buffer = true;

  // "IF[,mode=zerocopy|copy|generic][,all]".
  static Result<XdpSpec> parse(std::string_view text);
};

class XdpPort final : public Port {
 public:
  // As many queues as pools, and as the interface has receive queues: a frame that comes in on
  // another would never be seen. A pool has 256 segments or more. The first mode that works is
  // taken.
  static Result<std::unique_ptr<XdpPort>> open(const XdpSpec& spec, const QueuePools& pools);
  ~XdpPort() override;

  XdpMode mode() const { return mode_; }

  // Also what the port needs to hear on the link: the groups of neighbour discovery. An error if
  // the kernel has this address: it would be cut off.
  Status claim(const wire::Ipv6Address& address) override;
  std::size_t rx_burst(unsigned queue, Burst& burst, Instant now) override;
  std::size_t tx_burst(unsigned queue, Burst& burst, Instant now) override;
  std::size_t tx_room(unsigned queue) override;
  int fd(unsigned queue) const override;
  Instant next_deadline(unsigned queue) const override;
  QueueStats stats(unsigned queue) override;

 private:
  using Queues = std::vector<std::unique_ptr<XdpQueue>>;
  struct Attachment;

  XdpPort(PortInfo info, int interface, XdpMode mode, XdpProgram program, UniqueFd groups,
          Queues queues);

  Status join(const wire::MacAddress& group);

  int interface_;
  XdpMode mode_;
  std::unique_ptr<XdpProgram> program_;
  UniqueFd groups_;  // holds the memberships of multicast addresses
  Queues queues_;
};

}  // namespace tideline::port
