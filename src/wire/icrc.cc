// SPDX-License-Identifier: Apache-2.0
#include "wire/icrc.h"

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/roce.h"
#include "wire/udp.h"

namespace tideline::wire {
namespace {

constexpr std::uint32_t kPolynomial = 0xedb88320;

// tables[k][b]: what byte b does to the state after k further bytes.
using Tables = std::array<std::array<std::uint32_t, 256>, 8>;
constexpr Tables make_tables() {
  Tables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? kPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (std::size_t k = 1; k < tables.size(); ++k) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = tables[k - 1][byte];
      tables[k][byte] = before >> 8 ^ tables[0][before & 0xff];
    }
  }
  return tables;
}
constexpr Tables kTables = make_tables();

std::uint64_t load8(const std::byte* from) {
  std::uint64_t value = 0;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

// After Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ" (Intel, 2009):
// x^n modulo the polynomial, bit-reflected, for the distances by which 128 bits are folded.
constexpr std::uint64_t kFold512Low = 0x154442bd4;   // x^(4*128+32)
constexpr std::uint64_t kFold512High = 0x1c6e41596;  // x^(4*128-32)
constexpr std::uint64_t kFold128Low = 0x1751997d0;   // x^(128+32)
constexpr std::uint64_t kFold128High = 0x0ccaa009e;  // x^(128-32)

[[gnu::target("pclmul,sse4.1")]] inline __m128i fold(__m128i value, __m128i distance,
                                                     __m128i next) {
  const __m128i low = _mm_clmulepi64_si128(value, distance, 0x00);
  const __m128i high = _mm_clmulepi64_si128(value, distance, 0x11);
  return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

[[gnu::target("pclmul,sse4.1")]] inline __m128i load16(const std::byte* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

// Fewer bytes are not worth the folding.
constexpr std::size_t kFoldFrom = 64;

}  // namespace

namespace internal {

// Eight bytes at a time, each through the table of its distance from the end ("slicing by 8").
std::uint32_t crc32_scalar(std::uint32_t state, Bytes bytes) {
  const std::byte* at = bytes.data();
  std::size_t size = bytes.size();
  for (; size >= 8; at += 8, size -= 8) {
    const std::uint64_t word = load8(at) ^ state;
    state = 0;
    for (std::size_t i = 0; i < 8; ++i) state ^= kTables[7 - i][word >> (8 * i) & 0xff];
  }
  for (; size > 0; ++at, --size) {
    state = state >> 8 ^ kTables[0][(state ^ std::to_integer<std::uint32_t>(*at)) & 0xff];
  }
  return state;
}

// Folds 64 bytes at a time into four accumulators, those into one; what it then holds is a message
// of 16 bytes with the same CRC, which the tables finish together with the rest.
[[gnu::target("pclmul,sse4.1")]] std::uint32_t crc32_pclmul(std::uint32_t state, Bytes bytes) {
  if (bytes.size() < kFoldFrom) return crc32_scalar(state, bytes);
  const std::byte* at = bytes.data();
  std::size_t size = bytes.size();
  __m128i a = _mm_xor_si128(load16(at), _mm_cvtsi32_si128(static_cast<int>(state)));
  __m128i b = load16(at + 16);
  __m128i c = load16(at + 32);
  __m128i d = load16(at + 48);
  const __m128i by512 = _mm_set_epi64x(kFold512High, kFold512Low);
  for (at += 64, size -= 64; size >= 64; at += 64, size -= 64) {
    a = fold(a, by512, load16(at));
    b = fold(b, by512, load16(at + 16));
    c = fold(c, by512, load16(at + 32));
    d = fold(d, by512, load16(at + 48));
  }
  const __m128i by128 = _mm_set_epi64x(kFold128High, kFold128Low);
  a = fold(fold(fold(a, by128, b), by128, c), by128, d);
  for (; size >= 16; at += 16, size -= 16) a = fold(a, by128, load16(at));
  alignas(16) std::array<std::byte, 16> folded;
  _mm_store_si128(reinterpret_cast<__m128i*>(folded.data()), a);
  return crc32_scalar(crc32_scalar(0, folded), Bytes(at, size));
}

bool has_pclmul() {
  return __builtin_cpu_supports("pclmul") != 0 && __builtin_cpu_supports("sse4.1") != 0;
}

}  // namespace internal

void Crc32::add(Bytes bytes) {
  state_ = bytes.size() >= kFoldFrom && internal::has_pclmul()
               ? internal::crc32_pclmul(state_, bytes)
               : internal::crc32_scalar(state_, bytes);
}

Crc32 start_icrc(Bytes packet, std::size_t bth) {
  constexpr std::uint8_t kOnes = 0xff;
  constexpr std::size_t kMost = sizeof(Ipv6Header) + sizeof(UdpHeader) + sizeof(BthHeader);
  // IPv4 options and IPv6 extension headers do not occur in RoCE; they count as they are.
  std::array<std::byte, 128> headers{};
  const std::size_t size = bth + sizeof(BthHeader);
  CHECK(size <= packet.size());
  // The state after 8 bytes of ones, which stand for InfiniBand's local route header.
  Crc32 crc(0xdebb20e3);
  if (size > headers.size()) {
    crc.add(packet.first(size));
    return crc;
  }
  static_assert(kMost <= headers.size());
  const MutableBytes masked = std::span(headers).first(size);
  std::ranges::copy(packet.first(size), masked.begin());
  const unsigned version = std::to_integer<unsigned>(masked[0]) >> 4;
  std::size_t ip_size = sizeof(Ipv6Header);
  if (version == 4) {
    auto& ip = view_as<Ipv4Header>(masked);
    ip.traffic_class = kOnes;
    ip.ttl = kOnes;
    ip.checksum = be16(0xffff);
    ip_size = ip.header_size();
  } else {
    // Traffic class and flow label: all but the version.
    masked[0] |= std::byte{0x0f};
    std::ranges::fill(masked.subspan(1, 3), std::byte{kOnes});
    view_as<Ipv6Header>(masked).hop_limit = kOnes;
  }
  if (ip_size + sizeof(UdpHeader) <= bth) {
    view_as<UdpHeader>(masked.subspan(bth - sizeof(UdpHeader))).checksum = be16(0xffff);
  }
  view_as<BthHeader>(masked.subspan(bth)).congestion = kOnes;
  crc.add(masked);
  return crc;
}

}  // namespace tideline::wire
