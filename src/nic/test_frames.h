// SPDX-License-Identifier: Apache-2.0
// For tests of segmentation: GSO frames, and the naive oracle of what they are on the wire. Both
// are built byte by byte from the same description; nothing is shared with what is tested.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <vector>

#include "base/random.h"
#include "packet/metadata.h"

namespace tideline::nic::testing {

using ByteVector = std::vector<std::byte>;

class ByteWriter {
 public:
  explicit ByteWriter(ByteVector& out) : out_(out) {}
  void u8(std::size_t value) { out_.push_back(static_cast<std::byte>(value)); }
  void u16(std::size_t value) {
    u8(value >> 8);
    u8(value & 0xff);
  }
  void u32(std::size_t value) {
    u16(value >> 16);
    u16(value & 0xffff);
  }
  void fill(std::size_t count, std::size_t value) {
    for (; count > 0; --count) u8(value);
  }

 private:
  ByteVector& out_;
};

// RFC 1071, word by word, over [begin, end) on top of `sum`; not inverted.
inline std::uint32_t naive_sum(const ByteVector& bytes, std::size_t begin, std::size_t end,
                               std::uint32_t sum = 0) {
  for (std::size_t i = begin; i < end; ++i) {
    const auto byte = std::to_integer<std::uint32_t>(bytes[i]);
    sum += (i - begin) % 2 == 0 ? byte << 8 : byte;
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return sum;
}

inline void put16(ByteVector& bytes, std::size_t at, std::uint32_t value) {
  bytes[at] = static_cast<std::byte>(value >> 8);
  bytes[at + 1] = static_cast<std::byte>(value & 0xff);
}

inline void fill_checksum(ByteVector& bytes, const packet::Offload& offload) {
  const std::size_t start = offload.checksum_start;
  const std::uint32_t checksum = ~naive_sum(bytes, start, bytes.size()) & 0xffff;
  const bool other_zero = checksum == 0 && offload.checksum_offset == 6;  // RFC 768
  put16(bytes, start + offload.checksum_offset, other_zero ? 0xffff : checksum);
}

struct GsoFrame {
  bool ipv6 = false;
  bool tcp = true;
  std::size_t tags = 0;         // VLAN
  std::size_t ip_options = 0;   // bytes of IPv4 options, or of an IPv6 destination options header
  std::size_t tcp_options = 0;  // bytes
  bool ecn = false;             // the metadata's gso_ecn
  std::uint16_t flags = 0x18;   // of TCP: PSH, ACK
  std::uint32_t sequence = 1;
  std::uint16_t identification = 1;
  std::uint16_t gso_size = 1000;
  ByteVector payload;

  static GsoFrame random(Rng& rng) {
    GsoFrame frame;
    frame.ipv6 = rng.below(2) == 0;
    frame.tcp = rng.below(2) == 0;
    frame.tags = rng.below(3);
    frame.ip_options = frame.ipv6 ? 8 * rng.below(5) : 4 * rng.below(11);
    frame.tcp_options = 4 * rng.below(11);
    frame.ecn = rng.below(2) == 0;
    // Any flags but SYN, RST and URG.
    frame.flags = static_cast<std::uint16_t>(rng.below(0x200) & ~0x26U);
    frame.sequence = static_cast<std::uint32_t>(rng());
    frame.identification = static_cast<std::uint16_t>(rng());
    frame.gso_size = static_cast<std::uint16_t>(1 + rng.below(1300));
    const std::size_t most = std::min<std::size_t>(64'000, frame.gso_size * std::size_t{100});
    frame.payload.resize(1 + rng.below(most));
    for (std::byte& byte : frame.payload) byte = static_cast<std::byte>(rng());
    return frame;
  }

  std::size_t count() const { return (payload.size() + gso_size - 1) / gso_size; }
  std::size_t l3() const { return 14 + 4 * tags; }
  std::size_t l4() const { return l3() + (ipv6 ? 40 : 20) + ip_options; }
  std::size_t headers() const { return l4() + (tcp ? 20 + tcp_options : 8); }

  packet::Offload offload() const {
    using packet::Gso;
    return {.checksum = packet::Checksum::kNeeded,
            .gso = !tcp   ? Gso::kUdp
                   : ipv6 ? Gso::kTcpV6
                          : Gso::kTcpV4,
            .gso_ecn = ecn,
            .checksum_start = static_cast<std::uint16_t>(l4()),
            .checksum_offset = static_cast<std::uint16_t>(tcp ? 16 : 6),
            .gso_size = gso_size,
            .header_length = static_cast<std::uint16_t>(headers())};
  }

  // The frame as a host hands it down: the checksum field has the sum of the pseudo-header.
  ByteVector whole() const { return build(0, payload.size(), identification, flags); }

  // A segment as it is on the wire.
  ByteVector segment(std::size_t index) const {
    const std::size_t begin = index * gso_size;
    const std::size_t end = std::min(begin + gso_size, payload.size());
    std::uint16_t own = flags;
    if (end < payload.size()) own &= static_cast<std::uint16_t>(~0x09U);  // FIN, PSH
    if (begin > 0 && ecn) own &= static_cast<std::uint16_t>(~0x80U);      // CWR
    ByteVector bytes = build(begin, end, static_cast<std::uint16_t>(identification + index), own);
    fill_checksum(bytes, offload());
    return bytes;
  }

  friend std::ostream& operator<<(std::ostream& out, const GsoFrame& frame) {
    return out << (frame.tcp ? "TCP" : "UDP") << (frame.ipv6 ? "/IPv6" : "/IPv4") << ", tags "
               << frame.tags << ", IP options " << frame.ip_options << ", TCP options "
               << frame.tcp_options << ", flags " << frame.flags << ", " << frame.payload.size()
               << " bytes by " << frame.gso_size;
  }

 private:
  ByteVector build(std::size_t begin, std::size_t end, std::uint16_t id,
                   std::uint16_t own_flags) const {
    ByteVector bytes;
    ByteWriter out(bytes);
    for (const std::size_t last : {2U, 1U}) {  // MAC addresses
      out.u32(0x02000000);
      out.u16(last);
    }
    for (std::size_t i = 0; i < tags; ++i) {
      out.u16(i + 1 < tags ? 0x88a8 : 0x8100);
      out.u16(100 + i);
    }
    out.u16(ipv6 ? 0x86dd : 0x0800);
    const std::size_t l4_size = headers() - l4() + end - begin;
    const std::uint32_t pseudo = ipv6 ? put_ipv6(bytes, l4_size) : put_ipv4(bytes, l4_size, id);
    out.u16(4000);
    out.u16(5000);
    if (tcp) {
      out.u32(sequence + static_cast<std::uint32_t>(begin));
      out.u32(77);
      out.u16((20 + tcp_options) / 4 << 12 | own_flags);
      out.u16(1024);
      out.u16(pseudo);
      out.u16(0);
      out.fill(tcp_options, 1);
    } else {
      out.u16(l4_size);
      out.u16(pseudo);
    }
    bytes.insert(bytes.end(), payload.begin() + static_cast<std::ptrdiff_t>(begin),
                 payload.begin() + static_cast<std::ptrdiff_t>(end));
    return bytes;
  }

  // Both return the sum of the pseudo-header.
  std::uint32_t put_ipv4(ByteVector& bytes, std::size_t l4_size, std::uint16_t id) const {
    ByteWriter out(bytes);
    const std::size_t begin = bytes.size();
    out.u16(0x4000 | ((20 + ip_options) / 4 << 8));
    out.u16(20 + ip_options + l4_size);
    out.u16(id);
    out.u16(0x4000);
    out.u8(64);
    out.u8(protocol());
    out.u16(0);
    out.u32(0xc6120001);  // 198.18.0.1 and .2
    out.u32(0xc6120002);
    out.fill(ip_options, 1);
    put16(bytes, begin + 10, ~naive_sum(bytes, begin, bytes.size()) & 0xffff);
    return pseudo_sum(bytes, begin + 12, begin + 20, l4_size);
  }

  std::uint32_t put_ipv6(ByteVector& bytes, std::size_t l4_size) const {
    ByteWriter out(bytes);
    const std::size_t begin = bytes.size();
    out.u32(0x60000000);
    out.u16(ip_options + l4_size);
    out.u8(ip_options > 0 ? 60 : protocol());
    out.u8(64);
    for (const std::size_t last : {1U, 2U}) {  // 2001:db8::1 and ::2
      out.u32(0x20010db8);
      out.fill(8, 0);
      out.u32(last);
    }
    if (ip_options > 0) {  // of Pad1s
      out.u8(protocol());
      out.u8(ip_options / 8 - 1);
      out.fill(ip_options - 2, 0);
    }
    return pseudo_sum(bytes, begin + 8, begin + 40, l4_size);
  }

  std::uint32_t pseudo_sum(const ByteVector& bytes, std::size_t begin, std::size_t end,
                           std::size_t l4_size) const {
    const auto fixed = static_cast<std::uint32_t>(protocol() + l4_size);
    const std::uint32_t sum = naive_sum(bytes, begin, end, (fixed & 0xffff) + (fixed >> 16));
    return (sum & 0xffff) + (sum >> 16);
  }

  std::size_t protocol() const { return tcp ? 6 : 17; }
};

}  // namespace tideline::nic::testing
