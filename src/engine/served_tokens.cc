// SPDX-License-Identifier: Apache-2.0
#include "engine/served_tokens.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <string>

#include "engine/attachment.h"
#include "queue/messages.h"

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

// The far end's name, which says to everybody what the near end is. Nobody can have taken it
// before.
bool name(int fd) {
  const std::string text = std::string(queue::kTokenName) + fmt::format("{:016x}", random_seed());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, text.data(), text.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + text.size());
  return ::bind(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0;
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
  if (cookie == 0 || !name(far.get())) return fail_errno("cannot name a token");
  while (next_ == 0 || tokens_.contains(next_)) ++next_;
  number = next_++;
  by_cookie_.emplace(cookie, number);
  tokens_.emplace(
      number, Token{.far = std::move(far), .socket = &socket, .cookie = cookie, .owner = owner});
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
