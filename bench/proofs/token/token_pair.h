// SPDX-License-Identifier: Apache-2.0
// The token: an AF_UNIX socketpair whose near end is the program's descriptor and whose far end the
// broker holds, bound to an abstract name. So getpeername() on any duplicate, in any process and
// after exec, says "this is a token"; the proof of it is the cookie (SO_COOKIE) of the near end,
// which the broker remembers.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"

namespace proofs::token {

// Every token's far end has a name that begins like this (after the NUL of abstract names).
inline constexpr std::string_view kTokenPrefix = "tideline-token-";

struct TokenPair {
  tideline::UniqueFd near;
  tideline::UniqueFd far;
  std::uint64_t cookie = 0;  // of the near end
};

// `type` is SOCK_STREAM for a connection, SOCK_SEQPACKET for a listener, whose near end receives
// one message for each connection.
tideline::Result<TokenPair> make_token(int type, const std::string& name);

// The kernel's number for a socket, never used twice; 0 if `fd` is no socket.
std::uint64_t socket_cookie(int fd);

}  // namespace proofs::token
