// SPDX-License-Identifier: Apache-2.0
#include "port/capture.h"

#include <utility>

#include "packet/copy.h"
#include "wire/checksum.h"

namespace tideline::port {
namespace {

using packet::Checksum;
using packet::Gso;
using packet::Offload;
using packet::Pass;

// Completes a checksum that was left to the wire. Metadata that points beyond the frame is left
// alone: the frame is written as it is.
void fill_checksum(std::span<std::byte> frame, const Offload& offload,
                   packet::PassCounter& passes) {
  const std::size_t field = std::size_t{offload.checksum_start} + offload.checksum_offset;
  if (field + 2 > frame.size()) return;
  const auto summed = frame.subspan(offload.checksum_start);
  std::uint16_t checksum = wire::checksum(summed);
  // Zero means "none" to UDP; elsewhere both zeros of one's complement are the same (RFC 768).
  if (checksum == 0) checksum = 0xffff;
  frame[field] = static_cast<std::byte>(checksum >> 8);
  frame[field + 1] = static_cast<std::byte>(checksum);
  passes.add(Pass::kChecksum, summed.size());
}

}  // namespace

CapturePort::CapturePort(std::unique_ptr<Port> inner, std::shared_ptr<PcapWriter> writer,
                         SegmentFunction segment)
    : Port(inner->info()),
      inner_(std::move(inner)),
      writer_(std::move(writer)),
      segment_(segment),
      copies_(info().queues, FrameCopy(kMaxGsoFrame)) {}

std::size_t CapturePort::rx_burst(unsigned queue, Burst& burst, Instant now) {
  const std::size_t before = burst.size();
  const std::size_t count = inner_->rx_burst(queue, burst, now);
  for (std::size_t i = before; i < burst.size(); ++i) capture(queue, *burst[i], now);
  return count;
}

std::size_t CapturePort::tx_burst(unsigned queue, Burst& burst, Instant now) {
  for (const PacketPtr& frame : burst) {
    if (frame != nullptr) capture(queue, *frame, now);
  }
  return inner_->tx_burst(queue, burst, now);
}

void CapturePort::capture(unsigned queue, const Packet& frame, Instant now) {
  // No port takes a longer one.
  if (frame.size() > copies_[queue].size()) return;
  const std::span<std::byte> copy = std::span(copies_[queue]).first(frame.size());
  packet::PassCounter& passes = counters(queue).passes;
  packet::copy_out(frame, 0, copy, passes);
  const Offload& offload = frame.meta().offload;
  if (offload.gso != Gso::kNone && segment_ != nullptr) {
    segment_(copy, offload, now, *writer_);
    return;
  }
  if (offload.checksum == Checksum::kNeeded) fill_checksum(copy, offload, passes);
  writer_->write(now, copy);
}

QueueStats CapturePort::stats(unsigned queue) {
  QueueStats sum = inner_->stats(queue);
  sum.passes.add(counters(queue).passes);
  return sum;
}

}  // namespace tideline::port
