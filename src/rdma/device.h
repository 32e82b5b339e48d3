// SPDX-License-Identifier: Apache-2.0
// One RDMA device: the transport of one host, RoCE v2 over its IP layer and v1 beside it. Sans-I/O:
// datagrams come from ip::Udp and ip::Grh, packets go to ip::Sender, time is passed in.
//
// The engine calls receive() for each of them, run() after every burst, every post
// and whenever next_deadline() has come. Packets that leave are frames of metadata gso `roce`, also
// when they are a single packet: their ICRC is not computed, and their payload may exceed the path
// MTU. Whoever sends them to a wire calls packet::segment_roce first.
//
// Thread: everything under the engine's lock (in a worker: on its thread).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "base/time.h"
#include "ip/delivery.h"
#include "packet/pool.h"
#include "rdma/address.h"
#include "rdma/context.h"
#include "rdma/core.h"
#include "rdma/counters.h"
#include "rdma/regions.h"
#include "rdma/status.h"
#include "rdma/types.h"

namespace tideline::rdma {

struct Incoming;

class Device final : public ip::ProtocolHandler {
 public:
  // All outlive the device. `pool` serves frames that are sent.
  Device(const DeviceOptions& options, ip::Sender& sender, packet::Pool& pool, Rng& rng,
         KeySource& keys);
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  ~Device();

  const DeviceLimits& limits() const { return core_.options.limits; }
  std::uint64_t node_guid() const { return core_.options.node_guid; }
  std::uint16_t lid() const { return core_.options.lids.own_lid(); }
  // How a peer is reached that a program names by LID. Fails with EINVAL if nobody can have it.
  Result<AddressVector> address_of(std::uint16_t lid) const;
  // The largest path MTU that fits the link.
  Mtu active_mtu() const { return core_.active_mtu(); }
  GidTable& gids() { return core_.gids; }
  const GidTable& gids() const { return core_.gids; }

  Context& open(MemoryAccess& memory, EventSink& sink);
  // Destroys all its objects.
  void close(Context& context);

  // ip::ProtocolHandler: whole UDP datagrams of port 4791, and what follows a GRH; unverified but
  // for their lengths.
  void receive(packet::PacketPtr packet, const ip::Datagram& datagram, Instant now) override;
  bool recognises(const ip::PathError& error) const override;
  void failed(const ip::PathError& error, Instant now) override;

  // Sends up to `frames` frames of the queue pairs that have work, in turns, and runs timers that
  // are due. Whether work is left: call again when the port has room.
  bool run(Instant now, std::size_t frames = SIZE_MAX);
  bool has_work() const { return core_.has_scheduled() || !core_.loopback.empty(); }
  Instant next_deadline() const { return core_.next_timer(); }

  // From now on what can go by it does. Before anything is registered; it outlives the device. Only
  // where addresses of programs are addresses of this process.
  void set_direct_path(DirectPath* path) {
    core_.direct = path;
    core_.regions.set_direct_path(path);
  }

  // There will be packets along that route: what is below learns the way before they come. Whether
  // it knows it.
  bool prepare(const Route& route, Instant now) {
    return route.loopback || core_.sender.prepare(route.destination, now);
  }

  const Counters& counters() const { return core_.counters; }
  DeviceStatus status() const;
  // What the queue pairs from the slot `from` on are like, as many as fit; how many. `from` becomes
  // the slot to go on at; 0: there are no more.
  std::size_t list_qps(std::uint32_t& from, std::span<QpStatus> out) const;
  // The queue pair with that number; null if there is none.
  QueuePair* find_qp(std::uint32_t number) const { return core_.find(number); }

 private:
  friend class Context;

  struct Served {
    std::size_t frames = 0;
    bool has_buffers = true;
  };

  QueuePair* destination_of(const Incoming& in);
  void deliver(Incoming& in, Instant now);
  void deliver_loopback(Instant now);
  Served serve(QueuePair& qp, std::size_t most, Instant now);

  Core core_;
  std::vector<std::unique_ptr<Context>> contexts_;
};

}  // namespace tideline::rdma
