// SPDX-License-Identifier: Apache-2.0
#include "nic/function.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "packet/copy.h"
#include "wire/checksum.h"
#include "wire/endian.h"

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
  capabilities.roce_gso = false;
  return capabilities;
}

wire::PartialChecksum sum_from(const Packet& frame, std::size_t start) {
  wire::PartialChecksum sum;
  for (const packet::Segment* each = &frame.first(); each != nullptr; each = each->next()) {
    const wire::Bytes bytes = each->bytes();
    if (start < bytes.size()) sum.add(bytes.subspan(start));
    start -= std::min(start, bytes.size());
  }
  return sum;
}

// False if the metadata points beyond what can be written.
bool complete_checksum(Packet& frame, packet::PassCounter& passes) {
  packet::Offload& offload = frame.meta().offload;
  const std::size_t start = offload.checksum_start;
  const std::size_t at = start + offload.checksum_offset;
  if (frame.first().borrowed() || at + sizeof(wire::be16) > frame.first().bytes().size()) {
    return false;
  }
  passes.add(packet::Pass::kChecksum, frame.size() - start);
  const std::uint16_t sum = sum_from(frame, start).checksum();
  // Zero means "none" to UDP; for the other protocols both zeros are the same (RFC 768).
  const wire::be16 field(sum == 0 ? 0xffff : sum);
  std::memcpy(frame.first().writable().data() + at, &field, sizeof(field));
  offload.checksum = Checksum::kInPacket;
  return true;
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
  const Capabilities& has = port_.capabilities();
  const packet::Gso gso = frame->meta().offload.gso;
  if (gso == packet::Gso::kUdp && has.uso) return true;
  if (gso != packet::Gso::kNone) return drop(Drop::kTxGso);
  if (frame->segment_count() > 1 && !has.scatter_gather) {
    frame = packet::copy_of(*frame, pool_, stats_.passes);
    if (frame == nullptr) return drop(Drop::kTxPool);
  }
  if (frame->meta().offload.checksum != Checksum::kNeeded || has.tx_checksum) return true;
  return complete_checksum(*frame, stats_.passes) || drop(Drop::kTxOffload);
}

}  // namespace tideline::nic
