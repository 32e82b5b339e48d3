// SPDX-License-Identifier: Apache-2.0
// One queue of an af_xdp port: an AF_XDP socket whose memory (UMEM) is the queue's packet pool. The
// kernel receives into segments that were lent to it, and sends from the segments of the frame, so
// no byte is copied by us. AF_XDP, af_xdp.rst of the kernel; libxdp sets the rings up.
//
//   pool --refill--> fill ring --kernel--> rx ring --receive--> burst
//   burst --send--> tx ring --kernel--> completion ring --reap--> pool
//
// A segment is one chunk of 2 KiB; the kernel keeps the first 256 bytes of it free, so a frame of
// more than 1792 bytes comes in several (XDP_USE_SG). Thread: the queue's.
#pragma once

#include <xdp/xsk.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/time.h"
#include "packet/packet.h"
#include "packet/pool.h"
#include "port/port.h"
#include "port/stats.h"
#include "port/xdp_in_flight.h"

namespace tideline::port {

struct XdpQueueOptions {
  std::string interface;
  unsigned queue = 0;
  bool zero_copy = false;     // the driver's, or the kernel copies
  bool multi_buffer = true;   // XDP_USE_SG, since Linux 6.6
  std::size_t max_frame = 0;  // longer ones are dropped on receive
};

class XdpQueue {
 public:
  // XDP_PACKET_HEADROOM of the kernel.
  static constexpr std::size_t kKernelHeadroom = 256;
  // The longest frame in one chunk.
  static constexpr std::size_t kSingleBuffer = packet::kSegmentSize - kKernelHeadroom;

  // The error's errno is that of the kernel: EOPNOTSUPP or EINVAL where it cannot do what is asked.
  static Result<std::unique_ptr<XdpQueue>> open(const XdpQueueOptions& options, Pool& pool);
  XdpQueue(const XdpQueue&) = delete;
  XdpQueue& operator=(const XdpQueue&) = delete;
  ~XdpQueue();

  int fd() const { return xsk_socket__fd(socket_.get()); }
  std::size_t receive(Burst& burst, Instant now, QueueStats& stats);
  // Puts a frame into the ring; kick() has the kernel send. Counts what it drops.
  bool send(PacketPtr frame, QueueStats& stats);
  void kick();
  std::size_t room();
  Instant next_deadline() const { return retry_at_; }
  // Adds the kernel's counters since the last time.
  void count_drops(QueueStats& stats);

 private:
  static constexpr std::uint32_t kRing = 2048;
  // Of one frame: a socket buffer of the kernel holds 17 pieces.
  static constexpr std::size_t kMaxDescriptors = 16;
  static constexpr std::size_t kBatch = 64;

  struct SocketCloser {
    void operator()(xsk_socket* socket) const { xsk_socket__delete(socket); }
  };
  struct UmemCloser {
    void operator()(xsk_umem* umem) const { xsk_umem__delete(umem); }
  };
  struct KernelDrops {
    std::uint64_t rx_ring_full = 0;
    std::uint64_t rx_dropped = 0;
    std::uint64_t fill_empty = 0;
    std::uint64_t tx_invalid = 0;
  };

  XdpQueue(XdpQueueOptions options, Pool& pool);

  Status create();
  void refill(Instant now);
  void reap();
  bool drained() const;
  PacketPtr take(const xdp_desc& descriptor);
  bool finish(PacketPtr& frame, Instant now, QueueStats& stats);
  bool fits(const Packet& frame) const;
  bool is_in_pool(std::span<const std::byte> bytes) const;

  XdpQueueOptions options_;
  Pool& pool_;
  std::span<std::byte> memory_;
  XdpInFlight in_flight_;
  std::vector<Packet*> lent_;  // by chunk: what the kernel receives into
  std::size_t lent_count_ = 0;
  std::size_t lent_target_;
  PacketPtr partial_;  // a frame whose last descriptor has not come yet
  bool unsent_ = false;
  Instant retry_at_ = kNever;
  KernelDrops kernel_drops_;
  // libxdp keeps pointers to the rings. The socket goes before its memory.
  xsk_ring_prod fill_{};
  xsk_ring_cons completion_{};
  xsk_ring_cons rx_{};
  xsk_ring_prod tx_{};
  std::unique_ptr<xsk_umem, UmemCloser> umem_;
  std::unique_ptr<xsk_socket, SocketCloser> socket_;
};

}  // namespace tideline::port
