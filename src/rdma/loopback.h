// SPDX-License-Identifier: Apache-2.0
// Packets of a device to itself, between queue pairs of one host: they never meet IP. A bounded
// queue; what does not fit is lost, as on a wire. Inside the room. Thread: the engine's lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "packet/packet.h"
#include "rdma/address.h"

namespace tideline::rdma {

class Loopback {
 public:
  static constexpr std::size_t kCapacity = 256;

  struct Item {
    packet::PacketPtr packet;  // from the BTH on
    Route route{};
  };

  Loopback() : items_(kCapacity) {}

  bool empty() const { return head_ == tail_; }
  bool push(packet::PacketPtr packet, const Route& route) {
    if (tail_ - head_ == kCapacity) return false;
    items_[tail_++ % kCapacity] = {.packet = std::move(packet), .route = route};
    return true;
  }
  Item pop() { return std::move(items_[head_++ % kCapacity]); }

 private:
  std::vector<Item> items_;
  std::uint32_t head_ = 0;
  std::uint32_t tail_ = 0;
};

}  // namespace tideline::rdma
