// SPDX-License-Identifier: Apache-2.0
// AF_PACKET rings: frames from and to any Linux interface, without eBPF and without its driver's
// help. The fallback that works everywhere. packet(7), packet_mmap.rst.
//
// TPACKET_V2, not V3: V3 hands received frames over by the block, when it is full or when a timer
// of at least a millisecond expires; V2 hands over each at once. For sending the two are the same.
// PACKET_VNET_HDR is always on: it tells which checksums the kernel has left open, and lets frames
// of up to 64 KiB pass both ways, so GRO and GSO need not be switched off. Slots are that large.
//
// A frame is copied once by us in each direction, between ring and pool. On receive the kernel has
// copied it before; on send it maps the ring's pages.
//
// A queue is a socket with rings of its own, and the kernel spreads flows over them
// (PACKET_FANOUT). The address of the interface is our address too: the IP addresses must not be
// the kernel's.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/mapping.h"
#include "port/port.h"

namespace tideline::port {

struct PacketPortOptions {
  // Blocks of 1 MiB, each with slots for 15 frames; per queue.
  unsigned rx_blocks = 32;
  unsigned tx_blocks = 8;
  // Frames for other stations are received too; as long as the port is open.
  bool promiscuous = false;
};

class PacketPort final : public Port {
 public:
  // As many queues as pools.
  static Result<std::unique_ptr<PacketPort>> open(const std::string& interface,
                                                  const QueuePools& pools,
                                                  const PacketPortOptions& options = {});

  std::size_t rx_burst(unsigned queue, Burst& burst, Instant now) override;
  std::size_t tx_burst(unsigned queue, Burst& burst, Instant now) override;
  std::size_t tx_room(unsigned queue) override;
  int fd(unsigned queue) const override { return queues_[queue].socket.get(); }
  QueueStats stats(unsigned queue) override;

 private:
  struct Slots {
    std::byte* memory = nullptr;
    unsigned count = 0;
    unsigned next = 0;

    std::byte* at(unsigned index) const;
    void advance() { next = next + 1 == count ? 0 : next + 1; }
  };
  struct Queue {
    UniqueFd socket;
    Mapping rings;
    Slots rx;
    Slots tx;
    Pool* pool = nullptr;
    bool unsent = false;           // the kernel was too busy to take what lies in the ring
    std::size_t unsent_bytes = 0;  // put into the ring, and not yet said to have left
    std::size_t longest_unsent = 0;
    unsigned last_slot = 0;  // that was filled
  };

  PacketPort(PortInfo info, std::vector<Queue> queues)
      : Port(std::move(info)), queues_(std::move(queues)) {}

  static Result<Queue> open_queue(int interface, const PacketPortOptions& options, Pool* pool);
  PacketPtr receive(unsigned queue, const std::byte* slot);
  void put_in_slot(unsigned queue, const Packet& frame, std::byte* slot);
  void kick(unsigned queue);

  std::vector<Queue> queues_;
};

}  // namespace tideline::port
