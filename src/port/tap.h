// SPDX-License-Identifier: Apache-2.0
// A TAP: an Ethernet cable to this machine's kernel. Frames of up to 64 KiB pass both ways without
// checksums and unsegmented (IFF_VNET_HDR, TUNSETOFFLOAD); several queues (IFF_MULTI_QUEUE), over
// which the kernel spreads flows. linux/Documentation/networking/tuntap.rst.
//
// A frame takes one system call; the kernel copies it, and we do not. The device vanishes with the
// port.
#pragma once

#include <sys/uio.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "port/port.h"
#include "port/vnet_header.h"
#include "wire/ip_address.h"

namespace tideline::port {

// `tap:NAME[,peer=ADDRESS/LENGTH][,peer6=ADDRESS/LENGTH]`, without the `tap:`.
struct TapSpec {
  std::string name;
  std::optional<wire::Ipv4Prefix> peer;  // of the kernel's side
  std::optional<wire::Ipv6Prefix> peer6;
  std::size_t mtu = 1500;

  static Result<TapSpec> parse(std::string_view text);
};

class TapPort final : public Port {
 public:
  // Creates the device with as many queues as pools, sets up the kernel's side, and brings it up.
  static Result<std::unique_ptr<TapPort>> open(const TapSpec& spec, const QueuePools& pools);

  std::size_t rx_burst(unsigned queue, Burst& burst, Instant now) override;
  std::size_t tx_burst(unsigned queue, Burst& burst, Instant now) override;
  int fd(unsigned queue) const override { return queues_[queue].file.get(); }

 private:
  // The longest frame in segments with headroom each.
  static constexpr std::size_t kPieces =
      (kMaxGsoFrame + packet::kSegmentSize - packet::kHeadroom - 1) /
      (packet::kSegmentSize - packet::kHeadroom);

  struct Queue {
    UniqueFd file;
    Pool* pool = nullptr;
    // Where the next frame goes. What it does not reach serves the one after.
    std::array<PacketPtr, kPieces> pieces{};
    std::size_t ready = 0;  // pieces that are there
  };

  TapPort(PortInfo info, std::vector<Queue> queues)
      : Port(std::move(info)), queues_(std::move(queues)) {}

  void refill(Queue& queue);
  PacketPtr take(Queue& queue, std::size_t size);
  bool receive(unsigned queue, Burst& burst, Instant now);
  bool send(unsigned queue, const Packet& frame);

  std::vector<Queue> queues_;
};

}  // namespace tideline::port
