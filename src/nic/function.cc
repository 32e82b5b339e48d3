// SPDX-License-Identifier: Apache-2.0
#include "nic/function.h"

#include <fmt/format.h>

#include <utility>

#include "packet/checksum.h"
#include "packet/copy.h"
#include "wire/view.h"

namespace tideline::nic {
namespace {

using packet::Checksum;
using packet::Packet;
using packet::PacketPtr;
using port::Capabilities;

constexpr std::array<std::string_view, kDropCount> kDropNames{"rx_other_station", "tx_gso",
                                                              "tx_offload", "tx_gather_pool"};

constexpr std::size_t kOneSegment = packet::kSegmentSize - packet::kHeadroom;

Capabilities completed(Capabilities capabilities) {
  capabilities.tx_checksum = true;
  capabilities.scatter_gather = true;
  capabilities.tso4 = false;
  capabilities.tso6 = false;
  capabilities.uso = false;
  capabilities.roce_gso = false;
  return capabilities;
}

}  // namespace

std::string_view name_of(Drop reason) { return kDropNames[static_cast<std::size_t>(reason)]; }

Function::Function(port::Port& port, unsigned queue, packet::Pool& pool,
                   const wire::MacAddress& mac)
    : port_(port),
      queue_(queue),
      pool_(pool),
      mac_(mac),
      capabilities_(completed(port.capabilities())) {}

Status Function::check(const port::PortInfo& port) {
  const Capabilities& has = port.capabilities;
  if (has.scatter_gather || has.max_frame <= kOneSegment) return {};
  return fail({.kind = ErrorKind::kUsage,
               .what = fmt::format("{} cannot send frames of {} bytes: they must lie in one "
                                   "segment of {}",
                                   port.name, has.max_frame, kOneSegment),
               .remedy = fmt::format("choose an MTU of at most {}",
                                     kOneSegment - (has.max_frame - port.mtu))});
}

std::size_t Function::rx_burst(packet::Burst& burst, Instant now) {
  const std::size_t before = burst.size();
  port_.rx_burst(queue_, burst, now);
  bool gaps = false;
  for (std::size_t i = before; i < burst.size(); ++i) {
    if (is_for_us(*burst[i])) continue;
    drop(Drop::kRxOtherStation);
    burst[i].reset();
    gaps = true;
  }
  if (gaps) burst.compact();
  const std::size_t count = burst.size() - before;
  stats_.rx_frames += count;
  return count;
}

void Function::transmit(PacketPtr frame, Instant now) {
  if (!complete(frame)) return;
  ++stats_.tx_frames;
  leaving_.push(std::move(frame));
  if (leaving_.full()) flush(now);
}

void Function::flush(Instant now) {
  if (!leaving_.empty()) port_.tx_burst(queue_, leaving_, now);
}

// Ports receive no frame shorter than its header, but the first segment may be anything.
bool Function::is_for_us(const Packet& frame) const {
  const wire::Bytes head = frame.first().bytes();
  if (head.size() < sizeof(wire::MacAddress)) return false;
  const auto& to = wire::view_as<wire::MacAddress>(head);
  return to == mac_ || to.is_multicast();
}

bool Function::complete(PacketPtr& frame) {
  if (frame->meta().offload.gso != packet::Gso::kNone) return drop(Drop::kTxGso);
  const Capabilities& has = port_.capabilities();
  if (frame->segment_count() > 1 && !has.scatter_gather) {
    frame = packet::copy_of(*frame, pool_, stats_.passes);
    if (frame == nullptr) return drop(Drop::kTxPool);
  }
  if (frame->meta().offload.checksum != Checksum::kNeeded || has.tx_checksum) return true;
  return packet::complete_checksum(*frame, stats_.passes) || drop(Drop::kTxOffload);
}

}  // namespace tideline::nic
