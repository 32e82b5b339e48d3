// SPDX-License-Identifier: Apache-2.0
// A wire whose far end is the script: IP packets in and out, without Ethernet. It puts on and takes
// off Ethernet's header, and answers for the one neighbour behind which all others are. What leaves
// is checked as a receiver would: packetdrill looks at the sum of IPv4's header only.
//
// Thread: the worker's; take() and wait() on any.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/time.h"
#include "port/port.h"
#include "ring/bell.h"
#include "wire/packet_layout.h"

namespace tideline::shim::packetdrill {

struct SentPacket {
  std::vector<std::byte> bytes;
  Instant at;
};

class ScriptWire final : public port::Port {
 public:
  // The pool outlives the wire.
  static Result<std::unique_ptr<ScriptWire>> create(std::size_t mtu, port::Pool& pool);

  // A packet comes from the script. False if it is none: its first nibble is no version of IP.
  bool inject(std::span<const std::byte> packet);
  bool has_received() const { return !received_.empty(); }

  // The packet that left first of those that nobody has taken; nothing if none does before the
  // deadline of the real clock.
  std::optional<SentPacket> take();
  std::optional<SentPacket> wait(Duration patience);

  std::size_t rx_burst(unsigned queue, port::Burst& burst, Instant now) override;
  std::size_t tx_burst(unsigned queue, port::Burst& burst, Instant now) override;
  int fd(unsigned /*queue*/) const override { return bell_.fd(); }

 private:
  ScriptWire(port::PortInfo info, port::Pool& pool, ring::EventBell bell);

  void leave(std::span<const std::byte> frame, Instant now);
  void answer_arp(std::span<const std::byte> packet);
  void answer_ndp(std::span<const std::byte> packet, const wire::PacketLayout& layout);
  bool receive(std::span<const std::byte> packet, std::uint16_t ether_type);

  port::Pool& pool_;
  ring::EventBell bell_;
  std::deque<port::PacketPtr> received_;
  std::mutex mutex_;
  std::condition_variable has_sent_;
  std::deque<SentPacket> sent_;
};

}  // namespace tideline::shim::packetdrill
