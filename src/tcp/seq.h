// SPDX-License-Identifier: Apache-2.0
// Sequence numbers: RFC 9293 §3.4. A type of their own, because they wrap: `<` means "before", and
// is meaningful between numbers less than 2^31 apart. Thread: any.
#pragma once

#include <cstdint>

namespace tideline::tcp {

class Seq {
 public:
  constexpr Seq() = default;
  constexpr explicit Seq(std::uint32_t value) : value_(value) {}

  constexpr std::uint32_t value() const { return value_; }

  friend constexpr Seq operator+(Seq seq, std::uint32_t count) { return Seq(seq.value_ + count); }
  friend constexpr Seq operator-(Seq seq, std::uint32_t count) { return Seq(seq.value_ - count); }
  // How many numbers lie in [from, to).
  friend constexpr std::uint32_t operator-(Seq to, Seq from) { return to.value_ - from.value_; }
  constexpr Seq& operator+=(std::uint32_t count) {
    value_ += count;
    return *this;
  }

  friend constexpr bool operator==(Seq, Seq) = default;
  friend constexpr bool operator<(Seq a, Seq b) { return signed_distance(b, a) > 0; }
  friend constexpr bool operator>(Seq a, Seq b) { return b < a; }
  friend constexpr bool operator<=(Seq a, Seq b) { return signed_distance(b, a) >= 0; }
  friend constexpr bool operator>=(Seq a, Seq b) { return b <= a; }

 private:
  static constexpr std::int32_t signed_distance(Seq to, Seq from) {
    return static_cast<std::int32_t>(to.value_ - from.value_);
  }

  std::uint32_t value_ = 0;
};

constexpr Seq max(Seq a, Seq b) { return a < b ? b : a; }
constexpr Seq min(Seq a, Seq b) { return a < b ? a : b; }

}  // namespace tideline::tcp
