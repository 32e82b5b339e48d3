// SPDX-License-Identifier: Apache-2.0
#include "packet/checksum.h"

#include <algorithm>
#include <cstring>

#include "wire/checksum.h"
#include "wire/endian.h"

namespace tideline::packet {
namespace {

wire::PartialChecksum sum_from(const Packet& frame, std::size_t start) {
  wire::PartialChecksum sum;
  for (const Segment* each = &frame.first(); each != nullptr; each = each->next()) {
    const wire::Bytes bytes = each->bytes();
    if (start < bytes.size()) sum.add(bytes.subspan(start));
    start -= std::min(start, bytes.size());
  }
  return sum;
}

}  // namespace

bool complete_checksum(Packet& frame, PassCounter& passes) {
  Offload& offload = frame.meta().offload;
  const std::size_t start = offload.checksum_start;
  const std::size_t at = start + offload.checksum_offset;
  if (frame.first().borrowed() || at + sizeof(wire::be16) > frame.first().bytes().size()) {
    return false;
  }
  passes.add(Pass::kChecksum, frame.size() - start);
  const std::uint16_t sum = sum_from(frame, start).checksum();
  // Zero means "none" to UDP; for the other protocols both zeros are the same (RFC 768).
  const wire::be16 field(sum == 0 ? 0xffff : sum);
  std::memcpy(frame.first().writable().data() + at, &field, sizeof(field));
  offload.checksum = Checksum::kInPacket;
  return true;
}

}  // namespace tideline::packet
