// SPDX-License-Identifier: Apache-2.0
// A port: where frames enter and leave. nic drives it; every kind of wire implements it.
//
// A queue belongs to one thread, its worker's. To sleep, a worker arms the queue, receives once
// more, and if there still is nothing waits until the descriptor is readable or the deadline has
// come; then it disarms.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/time.h"
#include "packet/packet.h"
#include "packet/pool.h"
#include "port/capabilities.h"
#include "port/stats.h"
#include "wire/ip_address.h"
#include "wire/mac_address.h"

namespace tideline::port {

using packet::Burst;
using packet::Packet;
using packet::PacketPtr;
using packet::Pool;

struct PortInfo {
  std::string name;  // as the user wrote it: "tap:tl0"
  wire::MacAddress mac;
  std::size_t mtu = 1500;  // of IP packets
  unsigned queues = 1;
  Capabilities capabilities;
};

// A pool per queue: received frames lie in it. Pools outlive the port.
using QueuePools = std::vector<Pool*>;

class Port {
 public:
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;
  virtual ~Port() = default;

  const PortInfo& info() const { return info_; }
  const Capabilities& capabilities() const { return info_.capabilities; }

  // The host behind this port answers to `address` (IPv4 mapped), or listens to it as a group. A
  // port that shares its interface with the kernel takes the frames for such addresses only; to
  // others it is all the same. Control path.
  virtual Status claim(const wire::Ipv6Address& /*address*/) { return {}; }

  // Adds received frames to `burst`, as many as there are and as it has room for. Returns how many.
  virtual std::size_t rx_burst(unsigned queue, Burst& burst, Instant now) = 0;
  // Sends the frames in order and leaves `burst` empty. What the wire does not take is dropped and
  // counted. Returns how many were taken.
  virtual std::size_t tx_burst(unsigned queue, Burst& burst, Instant now) = 0;
  // How many frames tx_burst takes now without a kTxFull, as far as the port can tell: a full burst
  // if it cannot.
  virtual std::size_t tx_room(unsigned /*queue*/) { return Burst::kCapacity; }

  // Readable when there is something to receive; while the queue is armed at least.
  virtual int fd(unsigned queue) const = 0;
  virtual void arm(unsigned /*queue*/) {}
  virtual void disarm(unsigned /*queue*/) {}
  // When to call rx_burst or tx_burst again, even if nothing arrives: frames are held back till
  // then.
  virtual Instant next_deadline(unsigned /*queue*/) const { return kNever; }

  // Memory that others can read, so that frames which borrow from it are sent without a copy. It
  // lives as long as the port. Empty: there is none.
  virtual std::span<std::byte> shared_memory() { return {}; }
  // Since when the oldest frame that borrows from there has been on its way; kNever: there is none.
  virtual Instant oldest_borrowed() const { return kNever; }
  // Ends the borrowing of frames that were sent before `before` and borrow from `memory`. Who has
  // not copied their bytes by now learns that they are lost. For memory whose owner cannot wait.
  virtual void withdraw(std::span<const std::byte> /*memory*/, Instant /*before*/) {}

  // Asks the kernel where it counts, so not on the data path.
  virtual QueueStats stats(unsigned queue) { return stats_[queue]; }

 protected:
  // The capabilities must be valid.
  explicit Port(PortInfo info);

  QueueStats& counters(unsigned queue) { return stats_[queue]; }
  // Whether the port's capabilities cover the frame; counts the drop if not.
  bool admit(unsigned queue, const Packet& frame);

 private:
  PortInfo info_;
  std::vector<QueueStats> stats_;
};

}  // namespace tideline::port
