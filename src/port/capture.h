// SPDX-License-Identifier: Apache-2.0
// Writes what passes a port into a capture file: what is received and what is handed to the port to
// send, whether the wire then takes it or not. Frames are copied, and the copy is cut into segments
// and has its checksum filled in where that is left to the port, so that readers find no bad ones.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "packet/metadata.h"
#include "port/pcap_file.h"
#include "port/port.h"

namespace tideline::port {

// Writes to `out` the frames that the wire sees of a GSO frame, whose checksum is not filled in.
// nic has one, for it owns segmentation; without one a GSO frame is written whole, as if it had
// been sent like that. May spoil `frame`.
using SegmentFunction = void (*)(std::span<std::byte> frame, const packet::Offload& offload,
                                 Instant at, PcapWriter& out, packet::PassCounter& passes);

class CapturePort final : public Port {
 public:
  CapturePort(std::unique_ptr<Port> inner, std::shared_ptr<PcapWriter> writer,
              SegmentFunction segment = nullptr);

  Status claim(const wire::Ipv6Address& address) override { return inner_->claim(address); }
  std::size_t rx_burst(unsigned queue, Burst& burst, Instant now) override;
  std::size_t tx_burst(unsigned queue, Burst& burst, Instant now) override;
  std::size_t tx_room(unsigned queue) override { return inner_->tx_room(queue); }
  int fd(unsigned queue) const override { return inner_->fd(queue); }
  void arm(unsigned queue) override { inner_->arm(queue); }
  void disarm(unsigned queue) override { inner_->disarm(queue); }
  Instant next_deadline(unsigned queue) const override { return inner_->next_deadline(queue); }
  // What the inner port counts, and the passes made here.
  QueueStats stats(unsigned queue) override;

 private:
  using FrameCopy = std::vector<std::byte>;

  void capture(unsigned queue, const Packet& frame, Instant now);

  std::unique_ptr<Port> inner_;
  std::shared_ptr<PcapWriter> writer_;
  SegmentFunction segment_;
  std::vector<FrameCopy> copies_;  // per queue, of full size at start
};

}  // namespace tideline::port
