// SPDX-License-Identifier: Apache-2.0
// What a shim says to the broker: fixed-size messages on a Unix socket (SOCK_SEQPACKET), one reply
// for each request, descriptors attached (SCM_RIGHTS). A message that breaks a rule ends that
// client's connection and nothing else.
#pragma once

#include <cstring>
#include <optional>
#include <span>

#include "proofs/token/layout.h"

namespace proofs::token {

// NOLINTNEXTLINE(performance-enum-size): its place in the shared layout
enum class Op : std::uint32_t {
  kHello = 1,     // reply: who you are; fd: the board
  kListen = 2,    // address; reply fd: listener token
  kConnect = 3,   // address; reply fds: token, connection memory [, far end of the peer's token]
  kAttach = 4,    // fd: a token, which proves the right; reply as for connect without the token
  kNewBell = 5,   // reply fd: its doorbell
  kFindBell = 6,  // bell; reply fd: its doorbell
  kCount = 7,     // reply: what the broker holds
};

struct Request {
  std::uint32_t magic = kMagic;
  Op op = Op::kHello;
  Address address{};
  std::uint32_t bell = 0;
  std::uint32_t want_far = 0;  // 1: the wake mode "token" needs the far end of the peer's token
};

// NOLINTNEXTLINE(performance-enum-size): its place in the shared layout
enum class TokenKind : std::uint32_t { kStream = 1, kListener = 2 };

struct Counts {
  std::uint32_t clients = 0;
  std::uint32_t listeners = 0;
  std::uint32_t connections = 0;
  std::uint32_t bells = 0;
};

// Also what a listener token receives for each connection, with the descriptors of a connect reply.
struct Reply {
  std::uint32_t magic = kMagic;
  std::int32_t error = 0;  // an errno
  std::uint64_t incarnation = 0;
  std::uint32_t process = 0;
  std::uint32_t bell = 0;
  std::uint32_t generation = 0;
  TokenKind kind = TokenKind::kStream;
  std::uint32_t side = 0;
  Address address{};  // of a listener
  Counts counts{};
};

inline std::optional<Request> parse_request(std::span<const std::byte> bytes, std::size_t fds) {
  Request request;
  if (bytes.size() != sizeof(request)) return std::nullopt;
  std::memcpy(&request, bytes.data(), sizeof(request));
  const auto op = static_cast<std::uint32_t>(request.op);
  if (request.magic != kMagic || op < 1 || op > 7 || request.want_far > 1) return std::nullopt;
  if (fds != (request.op == Op::kAttach ? 1U : 0U)) return std::nullopt;
  if (request.bell >= kMaxBells) return std::nullopt;
  return request;
}

}  // namespace proofs::token
