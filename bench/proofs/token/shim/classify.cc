// SPDX-License-Identifier: Apache-2.0
#include "proofs/token/shim/classify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <string_view>

#include "proofs/token/shim/epoll_set.h"
#include "proofs/token/shim/kernel.h"
#include "proofs/token/shim/process.h"
#include "proofs/token/shim/stream.h"

namespace proofs::token {
namespace {

inline constexpr std::string_view kPrefix = "tideline-token-";

// A token's far end has a name that starts like this, after a NUL.
bool has_token_name(int fd) {
  sockaddr_un peer{};
  socklen_t size = sizeof(peer);
  if (kernel::getpeername(fd, &peer, &size) != 0 || peer.sun_family != AF_UNIX) return false;
  if (size < offsetof(sockaddr_un, sun_path) + 1 + kPrefix.size()) return false;
  return peer.sun_path[0] == '\0' &&
         std::memcmp(peer.sun_path + 1, kPrefix.data(), kPrefix.size()) == 0;
}

}  // namespace

Kind classify(int fd) {
  const kernel::KeepErrno keep;
  if (fd < 0 || fd >= kMaxFds) return Kind::kKernel;
  process.start();
  errno = 0;
  if (!has_token_name(fd)) {
    // A number that is not open stays unknown, for the next open of it is not seen.
    if (errno != EBADF) fd_table.set(fd, Kind::kKernel);
    return Kind::kKernel;
  }
  if (!process.link()) return Kind::kKernel;
  const std::uint32_t want_far = process.settings().wake == WakeMode::kToken ? 1 : 0;
  const Process::Answer answer = process.ask({.op = Op::kAttach, .want_far = want_far}, fd);
  if (answer.reply.error != 0) {
    fd_table.set(fd, Kind::kKernel);
  } else if (answer.reply.kind == TokenKind::kListener) {
    fd_table.set(fd, Kind::kListener, pack(answer.reply.address));
  } else if (Stream* stream = Stream::open(answer.fds[0], answer.fds[1], answer.reply.side)) {
    fd_table.set(fd, Kind::kStream, reinterpret_cast<std::uint64_t>(stream));
  }
  return fd_table.kind(fd);
}

void share_entry(int from, int to) {
  const Kind kind = fd_table.kind(from);
  const std::uint64_t word = fd_table.word(from);
  if (kind == Kind::kStream && !Stream::at(word)->enter()) return;
  if (kind == Kind::kEpoll && !EpollSet::at(word)->enter()) return;
  fd_table.set(to, kind == Kind::kInternal ? Kind::kUnknown : kind, word);
}

void drop_entry(int fd) {
  const Kind kind = fd_table.kind(fd);
  if (kind == Kind::kUnknown || static_cast<unsigned>(fd) >= kMaxFds) return;
  const std::uint64_t word = fd_table.word(fd);
  fd_table.set(fd, Kind::kUnknown);
  if (kind == Kind::kStream) {
    EpollSet::forget_everywhere(fd);
    if (Stream::at(word)->leave()) Stream::at(word)->release();
  } else if (kind == Kind::kEpoll) {
    if (EpollSet::at(word)->leave()) EpollSet::at(word)->release();
  }
}

}  // namespace proofs::token
