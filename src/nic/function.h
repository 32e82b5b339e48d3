// SPDX-License-Identifier: Apache-2.0
// A NIC function: what a host sees of a port. It takes whole frames whose checksums are left open,
// in as many segments as they like, and GSO frames of TCP, UDP and RDMA, and does in software what
// its port lacks of that: segmentation, gathering, the checksum, as late as possible and in at most
// one pass over the payload: none if the port takes scattered frames, for segments borrow from the
// whole then. Frames for other stations stop here, unless asked for. Thread: the worker's that owns
// the port's queue.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/time.h"
#include "nic/segmenter.h"
#include "packet/packet.h"
#include "packet/pass_counter.h"
#include "packet/pool.h"
#include "port/port.h"
#include "wire/ip_address.h"
#include "wire/mac_address.h"

namespace tideline::nic {

// Why a function dropped a frame, in the order of the names in function.cc.
enum class Drop : std::uint8_t {
  kRxOtherStation,  // for another station on the link
  kTxGso,           // a GSO frame that contradicts its metadata, or whose segments are too long
  kTxOffload,       // its checksum offload points beyond the frame, or into borrowed memory
  kTxPool,          // no segment free to gather into; of a GSO frame, segments that did not leave
  kTxQueue,         // more waits for the wire than kMostWaiting
};
inline constexpr std::size_t kDropCount = static_cast<std::size_t>(Drop::kTxQueue) + 1;

// The name of its counter: "rx_other_station".
std::string_view name_of(Drop reason);

struct FunctionStats {
  std::uint64_t rx_frames = 0;  // handed up
  std::uint64_t tx_frames = 0;  // handed to the port
  std::uint64_t tx_cut = 0;     // GSO frames that were segmented here
  std::array<std::uint64_t, kDropCount> drops{};
  packet::PassCounter passes;

  std::uint64_t dropped(Drop reason) const { return drops[static_cast<std::size_t>(reason)]; }
};

class Function {
 public:
  // What the wire has no room for waits here, in order, for so long at the most. Then it is the
  // port's to drop: who does not receive holds up nobody else.
  static constexpr std::size_t kMostWaiting = 1024;  // frames
  static constexpr Duration kPatience = std::chrono::milliseconds(10);
  static constexpr Duration kRetry = std::chrono::microseconds(50);

  // Both outlive the function. The pool, of the same thread, serves what is gathered and cut.
  Function(port::Port& port, unsigned queue, packet::Pool& pool, const wire::MacAddress& mac);
  Function(const Function&) = delete;
  Function& operator=(const Function&) = delete;

  // An error if the port takes one segment only, and its frames are longer than that.
  static Status check(const port::PortInfo& port);

  const wire::MacAddress& mac() const { return mac_; }
  // What the host may rely on.
  const port::Capabilities& capabilities() const { return capabilities_; }

  // The host answers to this address: see port::Port::claim.
  Status claim(const wire::Ipv6Address& address) { return port_.claim(address); }

  // How many frames of the port's own size can leave now: Port::tx_room, less what waits here.
  std::size_t tx_room() const {
    const std::size_t room = port_.tx_room(queue_);
    return room - std::min(room, leaving_.size() + waiting_count_);
  }
  // When to call flush() for what waits.
  Instant next_deadline() const { return retry_at_; }
  // From now on frames for other stations are handed up too.
  void accept_all() { accepts_all_ = true; }

  // Adds frames for this station, and groups, to `burst`. Returns how many.
  std::size_t rx_burst(packet::Burst& burst, Instant now);
  // Takes a frame to send. It leaves with the burst: when that is full, or at flush().
  void transmit(packet::PacketPtr frame, Instant now);
  void flush(Instant now);
  // Drops what has not left yet: the port goes.
  void clear();

  const FunctionStats& stats() const { return stats_; }

 private:
  bool is_for_us(const packet::Packet& frame) const;
  void segment(packet::PacketPtr frame, Instant now);
  void segment_roce(packet::PacketPtr frame, Instant now);
  packet::PacketPtr make_segment(const Segmenter& cut, const packet::PacketRef& whole,
                                 std::size_t index);
  bool complete(packet::PacketPtr& frame);
  bool gather(packet::PacketPtr& frame);
  void leave(packet::PacketPtr frame, Instant now);
  void wait();
  void drain(Instant now);
  bool drop(Drop reason, std::uint64_t frames = 1) {
    stats_.drops[static_cast<std::size_t>(reason)] += frames;
    return false;
  }

  port::Port& port_;
  unsigned queue_;
  packet::Pool& pool_;
  wire::MacAddress mac_;
  port::Capabilities capabilities_;
  bool accepts_all_ = false;
  packet::Burst leaving_;
  // A ring of kMostWaiting.
  std::vector<packet::PacketPtr> waiting_;
  std::size_t first_waiting_ = 0;
  std::size_t waiting_count_ = 0;
  Instant full_since_ = kNever;
  Instant retry_at_ = kNever;
  FunctionStats stats_;
};

}  // namespace tideline::nic
