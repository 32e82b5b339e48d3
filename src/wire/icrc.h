// SPDX-License-Identifier: Apache-2.0
// The invariant CRC of RoCE: IBA 7.8.1, annex A17.3.3. The CRC-32 of Ethernet over the packet as it
// would be if every field that routers change were all ones. Thread: any.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "wire/view.h"

namespace tideline::wire {

// A CRC-32 (IEEE 802.3, reflected) under way: pieces are appended in order.
class Crc32 {
 public:
  constexpr Crc32() = default;
  explicit constexpr Crc32(std::uint32_t state) : state_(state) {}

  void add(Bytes bytes);
  std::uint32_t value() const { return ~state_; }

 private:
  std::uint32_t state_ = 0xffffffff;
};

namespace internal {
// The kernels: without carry-less multiplication, and with it (the processor must have it).
std::uint32_t crc32_scalar(std::uint32_t state, Bytes bytes);
std::uint32_t crc32_pclmul(std::uint32_t state, Bytes bytes);
bool has_pclmul();
}  // namespace internal

// Starts an ICRC with the headers of a packet: `packet` begins with an IPv4 or IPv6 header, or the
// GRH of RoCE v1, and holds all up to the end of the BTH at least; the BTH is at `bth`. What
// follows the BTH, up to the ICRC, is appended by the caller.
Crc32 start_icrc(Bytes packet, std::size_t bth);

// As it lies in a packet: the least significant byte first.
constexpr std::array<std::uint8_t, 4> icrc_field(std::uint32_t value) {
  return std::bit_cast<std::array<std::uint8_t, 4>>(value);
}

}  // namespace tideline::wire
