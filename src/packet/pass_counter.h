// SPDX-License-Identifier: Apache-2.0
// Counts how often payload is touched. A pass is one traversal of bytes by a processor: a copy, a
// checksum, or both fused. Every function that traverses payload takes a PassCounter. One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace tideline::packet {

enum class Pass : std::uint8_t {
  kCopy,
  kChecksum,
  kCopyChecksum,  // both in one traversal: one pass
  kKernelCopy,    // made by the kernel on our behalf (read, write): listed apart, no pass of ours
  kAuthentication,
};

class PassCounter {
 public:
  void add(Pass kind, std::size_t bytes) { bytes_[static_cast<std::size_t>(kind)] += bytes; }
  void add(const PassCounter& other) {
    for (std::size_t i = 0; i < bytes_.size(); ++i) bytes_[i] += other.bytes_[i];
  }

  // Bytes traversed in passes of this kind.
  std::uint64_t bytes(Pass kind) const { return bytes_[static_cast<std::size_t>(kind)]; }
  // Bytes traversed by code of ours; divided by the bytes of payload, this is passes per byte.
  std::uint64_t total() const {
    return bytes(Pass::kCopy) + bytes(Pass::kChecksum) + bytes(Pass::kCopyChecksum) +
           bytes(Pass::kAuthentication);
  }

 private:
  std::array<std::uint64_t, 5> bytes_{};
};

}  // namespace tideline::packet
