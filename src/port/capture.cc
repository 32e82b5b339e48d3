// SPDX-License-Identifier: Apache-2.0
#include "port/capture.h"

#include <utility>

#include "packet/checksum.h"
#include "packet/copy.h"

namespace tideline::port {
namespace {

using packet::Gso;
using packet::Offload;

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
  const Offload& offload = frame.meta().offload;
  if (offload.gso != Gso::kNone && segment_ != nullptr) {
    packet::copy_out(frame, 0, copy, passes);
    segment_(copy, offload, now, *writer_, passes);
    return;
  }
  // Where metadata makes no sense the frame is written as it is: the port will refuse it.
  (void)packet::copy_completed(frame, copy, passes);
  writer_->write(now, copy);
}

QueueStats CapturePort::stats(unsigned queue) {
  QueueStats sum = inner_->stats(queue);
  sum.passes.add(counters(queue).passes);
  return sum;
}

}  // namespace tideline::port
