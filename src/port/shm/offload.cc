// SPDX-License-Identifier: Apache-2.0
#include "port/shm/offload.h"

namespace tideline::port::shm {
namespace {

using packet::Checksum;
using packet::Gso;

constexpr unsigned kGsoShift = 2;
constexpr std::uint32_t kEcn = 1U << 5;

constexpr std::uint64_t field(std::uint16_t value, unsigned index) {
  return std::uint64_t{value} << (16 * index);
}
constexpr std::uint16_t field_of(std::uint64_t fields, unsigned index) {
  return static_cast<std::uint16_t>(fields >> (16 * index));
}

}  // namespace

OffloadWords pack_offload(const packet::Offload& offload) {
  OffloadWords words{.flags = static_cast<std::uint32_t>(offload.checksum) |
                              static_cast<std::uint32_t>(offload.gso) << kGsoShift};
  if (words.flags == 0) [[likely]]
    return words;
  if (offload.gso_ecn) words.flags |= kEcn;
  words.fields = field(offload.checksum_start, 0) | field(offload.checksum_offset, 1) |
                 field(offload.gso_size, 2) | field(offload.header_length, 3);
  return words;
}

std::optional<packet::Offload> unpack_offload(const OffloadWords& words) {
  const std::uint32_t checksum = words.flags & ((1U << kGsoShift) - 1);
  const std::uint32_t gso = (words.flags & (kEcn - 1)) >> kGsoShift;
  if (checksum > static_cast<std::uint32_t>(Checksum::kValid) ||
      gso > static_cast<std::uint32_t>(Gso::kRoce)) {
    return std::nullopt;
  }
  return packet::Offload{.checksum = static_cast<Checksum>(checksum),
                         .gso = static_cast<Gso>(gso),
                         .gso_ecn = (words.flags & kEcn) != 0,
                         .checksum_start = field_of(words.fields, 0),
                         .checksum_offset = field_of(words.fields, 1),
                         .gso_size = field_of(words.fields, 2),
                         .header_length = field_of(words.fields, 3)};
}

}  // namespace tideline::port::shm
