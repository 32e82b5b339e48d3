// SPDX-License-Identifier: Apache-2.0
// The loops under checksum.h: the sum of bytes as 16-bit words in memory order (RFC 1071 §2 (B):
// the byte order of the machine does not matter), alone or while copying. One kernel per
// instruction set; the best that the processor has is chosen at first use. Thread: any.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace tideline::wire {

// A 64-bit sum that fold_sum reduces to 16 bits. An odd last byte counts as if a zero followed.
using SumKernel = std::uint64_t (*)(const std::byte* from, std::size_t size);
using CopySumKernel = std::uint64_t (*)(const std::byte* from, std::byte* to, std::size_t size);

struct ChecksumKernel {
  std::string_view name;
  bool (*supported)();
  SumKernel sum;
  CopySumKernel copy_sum;
};

// From the slowest, which every processor has, to the fastest.
// NOLINTNEXTLINE(readability-identifier-naming): a constexpr variable where it is defined
extern const std::array<ChecksumKernel, 3> kChecksumKernels;

// The last of kChecksumKernels that this processor supports.
const ChecksumKernel& best_checksum_kernel();

// Each addition of a half to the other, by way of the rotated whole, leaves in the upper half their
// sum with its carry brought round.
constexpr std::uint16_t fold_sum(std::uint64_t sum) {
  sum += std::rotl(sum, 32);
  auto half = static_cast<std::uint32_t>(sum >> 32);
  half += std::rotl(half, 16);
  return static_cast<std::uint16_t>(half >> 16);
}

namespace internal {

// They start at a function that chooses, stores its choice here and does the work.
extern constinit std::atomic<SumKernel> sum_kernel;
extern constinit std::atomic<CopySumKernel> copy_sum_kernel;

template <typename T>
std::uint64_t load_as(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

}  // namespace internal

// Headers are summed in place, without a call.
inline constexpr std::size_t kInlineSumLimit = 64;

inline std::uint64_t sum_short(const std::byte* from, std::size_t size) {
  std::uint64_t sum = 0;
  for (; size >= 4; from += 4, size -= 4) sum += internal::load_as<std::uint32_t>(from);
  if (size >= 2) sum += internal::load_as<std::uint16_t>(from);
  if ((size & 1) != 0) sum += std::to_integer<std::uint64_t>(from[size & 2]);
  return sum;
}

inline std::uint64_t sum_bytes(const std::byte* from, std::size_t size) {
  if (size <= kInlineSumLimit) return sum_short(from, size);
  return internal::sum_kernel.load(std::memory_order_relaxed)(from, size);
}

inline std::uint64_t copy_and_sum_bytes(const std::byte* from, std::byte* to, std::size_t size) {
  return internal::copy_sum_kernel.load(std::memory_order_relaxed)(from, to, size);
}

}  // namespace tideline::wire
