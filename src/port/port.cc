// SPDX-License-Identifier: Apache-2.0
#include "port/port.h"

#include <optional>
#include <utility>

#include "base/check.h"

namespace tideline::port {
namespace {

using packet::Checksum;
using packet::Gso;
using packet::Offload;

bool takes_offload(const Capabilities& capabilities, const Packet& frame) {
  const Offload& offload = frame.meta().offload;
  if (offload.checksum == Checksum::kNeeded) {
    if (!capabilities.tx_checksum) return false;
    if (offload.checksum_start + offload.checksum_offset + 2U > frame.size()) return false;
  }
  if (offload.gso == Gso::kNone) return true;
  return takes_gso(capabilities, offload.gso) && offload.gso_size > 0 &&
         offload.header_length < frame.size() &&
         (offload.checksum == Checksum::kNeeded || offload.gso == Gso::kRoce);
}

std::optional<Drop> objection(const Capabilities& capabilities, const Packet& frame) {
  if (frame.size() < kMinFrame) return Drop::kTxShort;
  const bool gso = frame.meta().offload.gso != Gso::kNone;
  if (frame.size() > (gso ? kMaxGsoFrame : capabilities.max_frame)) return Drop::kTxLong;
  if (frame.segment_count() > 1 && !capabilities.scatter_gather) return Drop::kTxScattered;
  if (!takes_offload(capabilities, frame)) return Drop::kTxOffload;
  return std::nullopt;
}

}  // namespace

Port::Port(PortInfo info) : info_(std::move(info)), stats_(info_.queues) {
  const Status valid = validate(info_.capabilities);
  CHECK(valid.has_value(), "{}: {}", info_.name, valid.error().message());
  CHECK(info_.queues > 0);
}

bool Port::admit(unsigned queue, const Packet& frame) {
  const std::optional<Drop> reason = objection(info_.capabilities, frame);
  if (!reason) [[likely]]
    return true;
  counters(queue).drop(*reason);
  return false;
}

}  // namespace tideline::port
