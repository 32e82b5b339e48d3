// SPDX-License-Identifier: Apache-2.0
// The Internet checksum: RFC 1071, with incremental update after RFC 1624. Used by every protocol
// above Ethernet and by the software offloads. Thread: any.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "wire/checksum_kernels.h"
#include "wire/ip_address.h"
#include "wire/view.h"

namespace tideline::wire {

// The sum over a piece of data, in one's complement and not yet inverted, to which further pieces
// are appended. Pieces may have odd lengths and any alignment; the order of pieces matters only in
// that each knows whether it starts at an odd offset.
class PartialChecksum {
 public:
  void add(Bytes bytes) { append(sum_bytes(bytes.data(), bytes.size()), bytes.size()); }

  // Appends `from` and copies it to `to` in the same pass. They do not overlap.
  void add_copy(Bytes from, std::byte* to) {
    append(copy_and_sum_bytes(from.data(), to, from.size()), from.size());
  }

  // Appends what `next` has summed.
  void add(const PartialChecksum& next) { append(next.sum_, next.odd_ ? 1 : 0); }

  // The sum as 16 bits, not inverted. What a checksum field holds before an offload completes it.
  std::uint16_t folded() const { return std::byteswap(fold_sum(sum_)); }
  // What the checksum field must hold, given that it was zero when it was summed.
  std::uint16_t checksum() const { return static_cast<std::uint16_t>(~folded()); }
  // Whether data summed with its checksum field in place is intact.
  bool valid() const { return folded() == 0xffff; }

 private:
  // A piece that starts at an odd offset has its bytes in each other's places: RFC 1071 §2 (B).
  void append(std::uint64_t sum, std::size_t size) {
    if (odd_) sum = std::byteswap(fold_sum(sum));
    sum_ += sum;
    sum_ += static_cast<std::uint64_t>(sum_ < sum);
    odd_ ^= (size & 1) != 0;
  }

  std::uint64_t sum_ = 0;  // of words in memory order
  bool odd_ = false;       // an odd number of bytes so far
};

// The checksum of contiguous data whose checksum field is zero.
inline std::uint16_t checksum(Bytes bytes) {
  PartialChecksum sum;
  sum.add(bytes);
  return sum.checksum();
}

// The pseudo-header of an upper-layer packet of `length` bytes: RFC 9293 §3.1, RFC 8200 §8.1.
PartialChecksum pseudo_header(Ipv4Address source, Ipv4Address destination, std::uint8_t protocol,
                              std::uint32_t length);
PartialChecksum pseudo_header(const Ipv6Address& source, const Ipv6Address& destination,
                              std::uint8_t protocol, std::uint32_t length);

// The checksum after a 16-bit word that it covers has changed: RFC 1624 §3, equation 3. Unlike
// equation 4 of RFC 1141 it never turns a +0 into the -0 that a receiver would refuse.
constexpr std::uint16_t update_checksum(std::uint16_t checksum, std::uint16_t before,
                                        std::uint16_t after) {
  std::uint32_t sum = static_cast<std::uint16_t>(~checksum);
  sum += static_cast<std::uint16_t>(~before);
  sum += after;
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

constexpr std::uint16_t update_checksum32(std::uint16_t checksum, std::uint32_t before,
                                          std::uint32_t after) {
  checksum = update_checksum(checksum, static_cast<std::uint16_t>(before >> 16),
                             static_cast<std::uint16_t>(after >> 16));
  return update_checksum(checksum, static_cast<std::uint16_t>(before),
                         static_cast<std::uint16_t>(after));
}

// The same for a run of bytes at an even offset, both of the same even size: an IPv6 address.
std::uint16_t update_checksum(std::uint16_t checksum, Bytes before, Bytes after);

}  // namespace tideline::wire
