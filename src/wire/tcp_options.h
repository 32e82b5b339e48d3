// SPDX-License-Identifier: Apache-2.0
// TCP options: RFC 9293 §3.2, RFC 7323, RFC 2018, RFC 7413, RFC 5482, RFC 9768, RFC 5925. Thread:
// any.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "wire/drop_reason.h"
#include "wire/view.h"

namespace tideline::wire {

inline constexpr std::size_t kMaxTcpOptions = 40;
inline constexpr std::size_t kMaxSackBlocks = 4;
// Less is not believed: a peer could make us send a header for every few bytes.
inline constexpr std::uint16_t kMinimumMss = 64;
// RFC 7323 §2.3.
inline constexpr std::uint8_t kMaxWindowScale = 14;

struct TcpTimestamps {
  std::uint32_t value = 0;  // TSval
  std::uint32_t echo = 0;   // TSecr
  friend constexpr bool operator==(const TcpTimestamps&, const TcpTimestamps&) = default;
};

// [left, right) in sequence numbers.
struct SackBlock {
  std::uint32_t left = 0;
  std::uint32_t right = 0;
  friend constexpr bool operator==(const SackBlock&, const SackBlock&) = default;
};

// RFC 7413 §4.1.1: empty asks for a cookie, else 4 to 16 bytes.
struct FastOpenCookie {
  static constexpr std::size_t kMinSize = 4;
  static constexpr std::size_t kMaxSize = 16;
  std::uint8_t size = 0;
  std::array<std::byte, kMaxSize> bytes{};
  friend constexpr bool operator==(const FastOpenCookie&, const FastOpenCookie&) = default;
};

// RFC 9768 §3.2.3: bytes that came with each ECN field, 24 bits each, as many of them as are there.
struct AccurateEcnOption {
  bool ect1_first = false;  // kind 174: ECT(1), CE, ECT(0); else 172: ECT(0), CE, ECT(1)
  std::uint8_t count = 0;
  std::array<std::uint32_t, 3> values{};

  std::optional<std::uint32_t> ect0() const { return value(ect1_first ? 2 : 0); }
  std::optional<std::uint32_t> ce() const { return value(1); }
  std::optional<std::uint32_t> ect1() const { return value(ect1_first ? 0 : 2); }
  friend constexpr bool operator==(const AccurateEcnOption&, const AccurateEcnOption&) = default;

 private:
  std::optional<std::uint32_t> value(std::size_t index) const {
    return index < count ? std::optional(values[index]) : std::nullopt;
  }
};

// RFC 5925 §2.2.
struct AuthenticationOption {
  static constexpr std::size_t kMinSize = 4;  // of the option
  static constexpr std::size_t kMaxMac = kMaxTcpOptions - kMinSize;
  std::uint8_t key_id = 0;
  std::uint8_t next_key_id = 0;  // RNextKeyID
  std::uint8_t mac_size = 0;
  std::array<std::byte, kMaxMac> mac{};
  friend constexpr bool operator==(const AuthenticationOption&,
                                   const AuthenticationOption&) = default;
};

struct TcpOptions {
  std::optional<TcpTimestamps> timestamps;
  std::optional<std::uint16_t> user_timeout;  // granularity bit and 15 bits of time
  std::uint8_t sack_count = 0;
  std::array<SackBlock, kMaxSackBlocks> sack{};
  std::optional<AccurateEcnOption> accurate_ecn;
  std::optional<AuthenticationOption> authentication;
  // Of SYN segments only:
  std::optional<std::uint16_t> mss;
  std::optional<std::uint8_t> window_scale;
  bool sack_permitted = false;
  std::optional<FastOpenCookie> fast_open;

  friend constexpr bool operator==(const TcpOptions&, const TcpOptions&) = default;
};

// Reads the bytes between the fixed header and the data offset into `options`, which is blank (100
// bytes are cheaper to fill than to return). Options that are unknown, misplaced or of a wrong
// length are ignored, values out of range are brought into it, and what runs past the end ends the
// walk: RFC 9293 MUST-6, MUST-7. A length of 0 or 1 refuses the segment, and so does an
// authentication option that is malformed, doubled, or beside one of RFC 2385.
Parsed<void> parse_tcp_options(Bytes bytes, bool syn, TcpOptions& options);

// How many bytes emit writes, a multiple of 4. Options that do not fit 40 bytes are the caller's
// bug.
std::size_t emitted_size(const TcpOptions& options);

// Writes the options in the order that all stacks use, aligned where there is room, padded with
// no-operations; returns emitted_size(options).
std::size_t emit(const TcpOptions& options, MutableBytes out);

// Where the authentication option begins in the options of a header, which were parsed or emitted;
// their size if there is none.
std::size_t find_authentication(Bytes options);

}  // namespace tideline::wire
