// SPDX-License-Identifier: Apache-2.0
// What the stack's fuzzer reads: a sequence of steps, each an operation, a length of two bytes and
// as many bytes. Seeds are written in it too.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "wire/test_bytes.h"
#include "wire/view.h"

namespace tideline::ip::script {

enum class Operation : std::uint8_t {
  kFrame,        // arrives as it is
  kMendedFrame,  // arrives for us, from our peer, with right lengths and checksums
  kSummedFrame,  // arrives with right checksums
  kWait,         // time passes: the first two bytes, in units of 10 ms
  kPing,         // we ask for an echo: whom, and the data
  kSend,         // we send a datagram: to whom, and the data
};
inline constexpr std::uint8_t kOperations = 6;

struct Step {
  Operation operation;
  wire::Bytes bytes;
};

// Takes the next step off the front; what is cut short is as long as it is.
inline std::optional<Step> next(wire::Bytes& rest) {
  if (rest.size() < 3) return std::nullopt;
  const auto byte = [&](std::size_t i) { return std::to_integer<unsigned>(rest[i]); };
  const auto operation = static_cast<Operation>(byte(0) % kOperations);
  const std::size_t size = std::min<std::size_t>(byte(1) << 8 | byte(2), rest.size() - 3);
  const Step step{.operation = operation, .bytes = rest.subspan(3, size)};
  rest = rest.subspan(3 + size);
  return step;
}

inline wire::ByteVector step(Operation operation, const wire::ByteVector& bytes) {
  using wire::operator+;
  return wire::ByteVector{static_cast<std::byte>(operation),
                          static_cast<std::byte>(bytes.size() >> 8),
                          static_cast<std::byte>(bytes.size())} +
         bytes;
}

}  // namespace tideline::ip::script
