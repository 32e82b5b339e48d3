// SPDX-License-Identifier: Apache-2.0
// The addresses that go with a slot of a segment: who holds the slot's lease (lease.h) holds them.
// MAC addresses differ between segments, so that segments can be joined. Any thread.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include "wire/ip_address.h"
#include "wire/mac_address.h"

namespace tideline::port::shm {

// Slot 0 has 198.18.0.1/24 and 2001:db8:18::1/64, slot 1 the next.
wire::Ipv4Prefix leased_ipv4(unsigned slot);
wire::Ipv6Prefix leased_ipv6(unsigned slot);
// The slots that these addresses go with.
std::optional<unsigned> slot_of(const wire::Ipv4Address& address);
std::optional<unsigned> slot_of(const wire::Ipv6Address& address);

// The MAC addresses of a segment's members.
class MacPlan {
 public:
  explicit MacPlan(std::string_view segment);

  wire::MacAddress of_slot(unsigned slot) const;
  std::optional<unsigned> slot_of(const wire::MacAddress& mac) const {
    const std::uint64_t value = as_number(mac);
    const std::uint64_t slot = value - prefix_;
    if (slot >= kSlots) return std::nullopt;
    return static_cast<unsigned>(slot);
  }

 private:
  static constexpr std::uint64_t kSlots = 64;

  static std::uint64_t as_number(const wire::MacAddress& mac) {
    std::uint64_t value = 0;
    std::memcpy(&value, mac.bytes().data(), sizeof(mac));
    return std::byteswap(value) >> 16;
  }

  std::uint64_t prefix_ = 0;  // the address of slot 0
};

}  // namespace tideline::port::shm
