// SPDX-License-Identifier: Apache-2.0
// Packet sequence numbers: 24 bits that wrap. IBA 9.7.1; two numbers that are compared are less
// than 2^23 apart. Thread: any.
#pragma once

#include <cstdint>

namespace tideline::rdma {

class Psn {
 public:
  static constexpr std::uint32_t kMask = 0xffffff;

  constexpr Psn() = default;
  constexpr explicit Psn(std::uint32_t value) : value_(value & kMask) {}

  constexpr std::uint32_t value() const { return value_; }
  constexpr Psn operator+(std::uint32_t count) const { return Psn(value_ + count); }
  constexpr Psn operator-(std::uint32_t count) const { return Psn(value_ - count); }
  constexpr Psn& operator+=(std::uint32_t count) { return *this = *this + count; }
  // How far this one is ahead of `other`: -2^23 .. 2^23 - 1.
  constexpr std::int32_t operator-(Psn other) const {
    return static_cast<std::int32_t>((value_ - other.value_) << 8) >> 8;
  }

  friend constexpr bool operator==(Psn, Psn) = default;
  friend constexpr bool operator<(Psn a, Psn b) { return a - b < 0; }
  friend constexpr bool operator<=(Psn a, Psn b) { return a - b <= 0; }
  friend constexpr bool operator>(Psn a, Psn b) { return a - b > 0; }
  friend constexpr bool operator>=(Psn a, Psn b) { return a - b >= 0; }

 private:
  std::uint32_t value_ = 0;
};

}  // namespace tideline::rdma
