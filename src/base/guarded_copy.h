// SPDX-License-Identifier: Apache-2.0
// Copies to or from memory that a program may unmap, protect or truncate at any time: a fault ends
// the copy with an error instead of the process. Needs the handlers of fault_handler.h and both
// fault signals unblocked in the calling thread; without them it is a memcpy. The program's own
// buffers and the buffers of other programs are touched through this and nothing else.
//
// Order: the last byte of the destination becomes visible last, whatever size and alignment, for
// programs spin on it; naturally aligned 2, 4, 8 bytes become visible at once.
// Thread: any, also in a signal handler. The ranges must not overlap.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tideline {

struct CopyResult {
  std::size_t copied;            // less than the size: the byte that could not be copied
  std::uintptr_t fault_address;  // as the kernel said it: 0 for an address outside user space
};

extern "C" {
// The candidates: 16-byte stores, 32-byte stores (processors with AVX), the string instruction.
CopyResult tideline_copy_sse(void* destination, const void* source, std::size_t size) noexcept;
CopyResult tideline_copy_avx(void* destination, const void* source, std::size_t size) noexcept;
CopyResult tideline_copy_string(void* destination, const void* source, std::size_t size) noexcept;
}

// From here wide stores gain more than the look at the processor costs; measured.
inline constexpr std::size_t kWideStoresFrom = 256;

inline CopyResult guarded_copy(void* destination, const void* source, std::size_t size) {
  if (size >= kWideStoresFrom && __builtin_cpu_supports("avx")) {
    return tideline_copy_avx(destination, source, size);
  }
  return tideline_copy_sse(destination, source, size);
}

// The same for atomic operations on an aligned 8-byte word.
struct AtomicResult {
  std::uint64_t former;
  std::uint64_t done;  // 0: the word cannot be reached
};
extern "C" {
AtomicResult tideline_compare_swap(void* word, std::uint64_t compare, std::uint64_t swap) noexcept;
AtomicResult tideline_fetch_add(void* word, std::uint64_t add) noexcept;
}

enum class FaultSide : std::uint8_t { kNone, kSource, kDestination };

// Whose memory was bad: decides between a local and a remote completion error.
inline FaultSide fault_side(const CopyResult& result, const void* destination, const void* source,
                            std::size_t size) {
  if (result.copied == size) return FaultSide::kNone;
  const auto to = reinterpret_cast<std::uintptr_t>(destination) + result.copied;
  const auto from = reinterpret_cast<std::uintptr_t>(source) + result.copied;
  if (result.fault_address == to) return FaultSide::kDestination;
  if (result.fault_address == from) return FaultSide::kSource;
  // A non-canonical address is reported as 0; the load comes before the store.
  const bool source_is_canonical = (from >> 47) == 0;
  return source_is_canonical ? FaultSide::kDestination : FaultSide::kSource;
}

}  // namespace tideline
