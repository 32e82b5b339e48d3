// SPDX-License-Identifier: Apache-2.0
#include "engine/served_tokens.h"

#include <sys/socket.h>

namespace tideline::engine {
namespace {

// 0: it is no AF_UNIX socket. Others have cookies too, which mean nothing here.
std::uint64_t cookie_of(int fd) {
  int domain = 0;
  socklen_t size = sizeof(domain);
  if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0 || domain != AF_UNIX) return 0;
  std::uint64_t cookie = 0;
  size = sizeof(cookie);
  return ::getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

}  // namespace

Result<UniqueFd> ServedTokens::make(ServedSocket& socket, std::uint64_t owner,
                                    std::uint32_t& number) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) {
    return fail_errno("cannot make a token");
  }
  UniqueFd near(ends[0]);
  UniqueFd far(ends[1]);
  const std::uint64_t cookie = cookie_of(near.get());
  if (cookie == 0) return fail_errno("cannot name a token");
  while (next_ == 0 || tokens_.contains(next_)) ++next_;
  number = next_++;
  by_cookie_.emplace(cookie, number);
  tokens_.emplace(number, Token{.far = std::move(far), .socket = &socket, .cookie = cookie, .owner = owner});
  return near;
}

ServedSocket* ServedTokens::find(int near) const {
  const std::uint64_t cookie = cookie_of(near);
  if (cookie == 0) return nullptr;
  const auto found = by_cookie_.find(cookie);
  return found == by_cookie_.end() ? nullptr : tokens_.at(found->second).socket;
}

std::optional<ServedTokens::Token> ServedTokens::remove(std::uint32_t number) {
  const auto found = tokens_.find(number);
  if (found == tokens_.end()) return std::nullopt;
  by_cookie_.erase(found->second.cookie);
  std::optional<Token> token(std::move(found->second));
  tokens_.erase(found);
  return token;
}

}  // namespace tideline::engine
