// SPDX-License-Identifier: Apache-2.0
// A wire within the process: two ports, each of which receives what the other sends, offload
// metadata included. Packets change hands, no byte is touched. For tests, and for two engines in
// one program. Each end may live on a thread of its own, and so may each of its queues.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.h"
#include "port/port.h"
#include "ring/bell.h"
#include "ring/spsc_ring.h"
#include "ring/wake_flag.h"

namespace tideline::port {

struct MemoryPortOptions {
  std::size_t capacity = 1024;  // frames in flight per queue and direction; a power of two
  unsigned queues = 1;
  std::size_t mtu = 1500;
  Capabilities capabilities = {.rx_checksum = true,
                               .tx_checksum = true,
                               .scatter_gather = true,
                               .tso4 = true,
                               .tso6 = true,
                               .uso = true,
                               .roce_gso = true};
};

class MemoryPort final : public Port {
 public:
  struct Pair {
    std::unique_ptr<MemoryPort> left;
    std::unique_ptr<MemoryPort> right;
  };
  static Result<Pair> create_pair(const MemoryPortOptions& options);

  std::size_t rx_burst(unsigned queue, Burst& burst, Instant now) override;
  std::size_t tx_burst(unsigned queue, Burst& burst, Instant now) override;
  std::size_t tx_room(unsigned queue) override;
  int fd(unsigned queue) const override;
  void arm(unsigned queue) override;
  void disarm(unsigned queue) override;

 private:
  struct Lane;
  struct Wire;
  using Lanes = std::vector<std::unique_ptr<Lane>>;
  struct Queue {
    Queue(Lane& rx_lane, Lane& tx_lane);

    Lane* in;
    Lane* out;
    ring::SpscConsumer<Packet*> rx;
    ring::SpscProducer<Packet*> tx;
    ring::Notifier notifier;
  };

  MemoryPort(PortInfo info, std::shared_ptr<Wire> wire, Lanes& rx_lanes, Lanes& tx_lanes);

  std::shared_ptr<Wire> wire_;  // goes with the end that is closed last
  std::vector<Queue> queues_;
};

}  // namespace tideline::port
