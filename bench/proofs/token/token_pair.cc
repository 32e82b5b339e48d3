// SPDX-License-Identifier: Apache-2.0
#include "proofs/token/token_pair.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>

namespace proofs::token {

using tideline::fail_errno;
using tideline::Result;
using tideline::UniqueFd;

Result<TokenPair> make_token(int type, const std::string& name) {
  int ends[2];
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
    return fail_errno("cannot make a token");
  }
  TokenPair pair{.near = UniqueFd(ends[0]), .far = UniqueFd(ends[1])};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string full = std::string(kTokenPrefix) + name;
  const std::size_t size = std::min(full.size(), sizeof(address.sun_path) - 1);
  std::copy_n(full.begin(), size, address.sun_path + 1);
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + size);
  if (::bind(pair.far.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0) {
    return fail_errno("cannot name a token");
  }
  // The smallest buffer: one send of 4 KiB makes the near end unwritable.
  const int smallest = 1;
  if (type == SOCK_STREAM &&
      ::setsockopt(pair.near.get(), SOL_SOCKET, SO_SNDBUF, &smallest, sizeof(smallest)) != 0) {
    return fail_errno("cannot set the buffer of a token");
  }
  pair.cookie = socket_cookie(pair.near.get());
  return pair;
}

std::uint64_t socket_cookie(int fd) {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof(cookie);
  return ::getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

}  // namespace proofs::token
