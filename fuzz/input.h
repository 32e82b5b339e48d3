// SPDX-License-Identifier: Apache-2.0
// What a fuzzer of sequences is given, taken piece by piece.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace tideline {

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : bytes_(data, size) {}

  bool empty() const { return bytes_.empty(); }
  // Zeros behind the end.
  template <typename T>
  T take() {
    T value{};
    fill(std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  std::uint8_t byte() { return take<std::uint8_t>(); }
  std::uint16_t word() { return take<std::uint16_t>(); }
  // What there is of them.
  std::span<const std::uint8_t> bytes(std::size_t size) {
    const auto taken = bytes_.first(std::min(size, bytes_.size()));
    bytes_ = bytes_.subspan(taken.size());
    return taken;
  }
  void fill(std::span<std::byte> to) {
    const auto from = bytes(to.size());
    if (!from.empty()) std::memcpy(to.data(), from.data(), from.size());
  }

 private:
  std::span<const std::uint8_t> bytes_;
};

}  // namespace tideline
