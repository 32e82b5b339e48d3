// SPDX-License-Identifier: Apache-2.0
#include "port/shm/addresses.h"

#include <array>

#include "port/shm/layout.h"

namespace tideline::port::shm {
namespace {

constexpr wire::Ipv4Prefix kIpv4{.address = wire::Ipv4Address(198, 18, 0, 0), .length = 24};
constexpr wire::Ipv6Prefix kIpv6{.address = wire::Ipv6Address(0x20010db800180000, 0), .length = 64};

std::optional<unsigned> slot_at(std::uint64_t number) {
  if (number == 0 || number > kMaxMembers) return std::nullopt;
  return static_cast<unsigned>(number - 1);
}

}  // namespace

wire::Ipv4Prefix leased_ipv4(unsigned slot) {
  return {.address = wire::Ipv4Address(kIpv4.address.value() + slot + 1), .length = kIpv4.length};
}

wire::Ipv6Prefix leased_ipv6(unsigned slot) {
  return {.address = wire::Ipv6Address(kIpv6.address.high(), std::uint64_t{slot} + 1),
          .length = kIpv6.length};
}

std::optional<unsigned> slot_of(const wire::Ipv4Address& address) {
  if (!kIpv4.contains(address)) return std::nullopt;
  return slot_at(address.value() - kIpv4.address.value());
}

std::optional<unsigned> slot_of(const wire::Ipv6Address& address) {
  if (!kIpv6.contains(address)) return std::nullopt;
  return slot_at(address.low());
}

// 02:74:hh:hh:hh:SS: locally administered, a hash of the segment's name (FNV-1a), the slot.
MacPlan::MacPlan(std::string_view segment) {
  static_assert(kSlots == kMaxMembers);
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : segment) hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3;
  prefix_ = std::uint64_t{0x0274} << 32 | (wire::mix_hash(hash) & 0xffffff) << 8;
}

wire::MacAddress MacPlan::of_slot(unsigned slot) const {
  const std::uint64_t value = prefix_ + slot;
  std::array<std::uint8_t, 6> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::uint8_t>(value >> (8 * (bytes.size() - 1 - i)));
  }
  return wire::MacAddress(bytes);
}

}  // namespace tideline::port::shm
