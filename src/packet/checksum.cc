// SPDX-License-Identifier: Apache-2.0
#include "packet/checksum.h"

#include <array>
#include <bit>
#include <cstring>

#include "base/check.h"
#include "packet/copy.h"
#include "packet/pieces.h"
#include "wire/udp.h"

namespace tideline::packet {
namespace {

std::size_t field_of(const Offload& offload) {
  return std::size_t{offload.checksum_start} + offload.checksum_offset;
}

bool has_field(const Packet& packet) {
  return field_of(packet.meta().offload) + sizeof(wire::be16) <= packet.size();
}

}  // namespace

wire::be16 checksum_field(const wire::PartialChecksum& sum, std::size_t checksum_offset) {
  const bool udp = checksum_offset == offsetof(wire::UdpHeader, checksum);
  return wire::be16(udp ? wire::udp_checksum_field(sum.checksum()) : sum.checksum());
}

wire::PartialChecksum sum_range(const Packet& packet, std::size_t offset, std::size_t size,
                                PassCounter& passes) {
  CHECK(offset + size <= packet.size(), "{}+{} of {}", offset, size, packet.size());
  wire::PartialChecksum sum;
  for_each_piece(&packet.first(), offset, size,
                 [&sum](const Segment& segment, std::size_t begin, std::size_t part) {
                   sum.add(segment.bytes().subspan(begin, part));
                 });
  passes.add(Pass::kChecksum, size);
  return sum;
}

wire::PartialChecksum copy_and_sum(const Packet& packet, std::size_t offset,
                                   std::span<std::byte> to, PassCounter& passes) {
  CHECK(offset + to.size() <= packet.size(), "{}+{} of {}", offset, to.size(), packet.size());
  wire::PartialChecksum sum;
  std::byte* target = to.data();
  for_each_piece(&packet.first(), offset, to.size(),
                 [&](const Segment& segment, std::size_t begin, std::size_t part) {
                   sum.add_copy(segment.bytes().subspan(begin, part), target);
                   target += part;
                 });
  passes.add(Pass::kCopyChecksum, to.size());
  return sum;
}

bool complete_checksum(Packet& packet, PassCounter& passes) {
  Offload& offload = packet.meta().offload;
  if (offload.checksum != Checksum::kNeeded) return true;
  if (!has_field(packet)) return false;
  const std::size_t at = field_of(offload);
  bool writable = true;
  for_each_piece(&packet.first(), at, sizeof(wire::be16),
                 [&writable](const Segment& segment, std::size_t, std::size_t) {
                   writable &= !segment.borrowed();
                 });
  if (!writable) return false;
  const std::size_t start = offload.checksum_start;
  const wire::PartialChecksum sum = sum_range(packet, start, packet.size() - start, passes);
  const wire::be16 field = checksum_field(sum, offload.checksum_offset);
  const auto bytes = std::bit_cast<std::array<std::byte, sizeof(field)>>(field);
  std::size_t written = 0;
  for_each_piece(&packet.first(), at, bytes.size(),
                 [&](Segment& segment, std::size_t begin, std::size_t part) {
                   std::memcpy(segment.writable().data() + begin, &bytes[written], part);
                   written += part;
                 });
  offload.checksum = Checksum::kInPacket;
  return true;
}

bool copy_completed(const Packet& packet, std::span<std::byte> to, PassCounter& passes) {
  CHECK(to.size() == packet.size(), "{} for {}", to.size(), packet.size());
  const Offload& offload = packet.meta().offload;
  const bool needed = offload.checksum == Checksum::kNeeded;
  if (!needed || !has_field(packet)) {
    copy_out(packet, 0, to, passes);
    return !needed;
  }
  const std::size_t start = offload.checksum_start;
  copy_out(packet, 0, to.first(start), passes);
  const wire::PartialChecksum sum = copy_and_sum(packet, start, to.subspan(start), passes);
  const wire::be16 field = checksum_field(sum, offload.checksum_offset);
  std::memcpy(to.data() + field_of(offload), &field, sizeof(field));
  return true;
}

}  // namespace tideline::packet
