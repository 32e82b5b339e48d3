// SPDX-License-Identifier: Apache-2.0
#include "shim/sockets/splice.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstddef>

#include "base/fd.h"
#include "shim/sockets/calls.h"
#include "shim/sockets/libc.h"
#include "shim/sockets/transfer.h"

namespace tideline::shim::sockets {
namespace {

constexpr std::size_t kPiece = std::size_t{32} << 10;  // on the caller's stack

bool is_pipe(int fd) {
  struct stat what{};
  return ::fstat(fd, &what) == 0 && S_ISFIFO(what.st_mode);
}

bool blocks(int fd, unsigned flags) {
  return (flags & SPLICE_F_NONBLOCK) == 0 && (libc().fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
}

// 0: there is room for at least PIPE_BUF bytes; or a negative errno.
int wait_for_room(int pipe, bool may_wait) {
  pollfd room{.fd = pipe, .events = POLLOUT, .revents = 0};
  const int found = libc().poll(&room, 1, may_wait ? -1 : 0);
  if (found < 0) return -errno;
  return found == 0 ? -EAGAIN : 0;
}

// As much as the pipe takes at once. It has room for PIPE_BUF bytes.
ssize_t write_at_once(int pipe, const std::byte* from, std::size_t size) {
  const iovec part{.iov_base = const_cast<std::byte*>(from), .iov_len = size};
  ssize_t written = libc().pwritev2(pipe, &part, 1, -1, RWF_NOWAIT);
  if (written < 0 && (errno == EOPNOTSUPP || errno == EINVAL)) {  // an older kernel
    written = libc().write(pipe, from, std::min<std::size_t>(size, PIPE_BUF));
  }
  return written < 0 ? -errno : written;
}

void discard_from_pipe(int pipe, std::size_t size) {
  std::array<std::byte, kPiece> buffer;
  while (size > 0) {
    const ssize_t got = libc().read(pipe, buffer.data(), std::min(size, buffer.size()));
    if (got <= 0) return;
    size -= static_cast<std::size_t>(got);
  }
}

}  // namespace

ssize_t splice_out_of(int fd, File& file, int pipe, std::size_t size, unsigned flags) {
  if (!file.has_ours() || !is_pipe(pipe)) return kPass;
  const bool waits_for_room = blocks(pipe, flags);
  std::array<std::byte, kPiece> buffer;
  std::size_t done = 0;
  while (done < size) {
    const auto so_far = static_cast<ssize_t>(done);
    // Once there is something to tell, nothing is waited for.
    if (const int error = wait_for_room(pipe, waits_for_room && done == 0); error < 0) {
      return done > 0 ? so_far : error;
    }
    iovec part{.iov_base = buffer.data(), .iov_len = std::min(size - done, buffer.size())};
    const int how = MSG_PEEK | (done > 0 ? MSG_DONTWAIT : 0);
    const ssize_t there = receive_parts(fd, file, {&part, 1}, how, nullptr, nullptr, nullptr);
    if (there <= 0) return done > 0 ? so_far : there;
    const ssize_t written = write_at_once(pipe, buffer.data(), static_cast<std::size_t>(there));
    if (written == -EPIPE && done == 0) ::raise(SIGPIPE);
    if (written <= 0) return done > 0 ? so_far : written;
    part.iov_len = static_cast<std::size_t>(written);
    receive_parts(fd, file, {&part, 1}, MSG_DONTWAIT, nullptr, nullptr, nullptr);
    done += static_cast<std::size_t>(written);
  }
  return static_cast<ssize_t>(done);
}

// What is sent is read from a second pipe with the same bytes: only what the socket has taken
// leaves the program's.
ssize_t splice_into(int fd, File& file, int pipe, std::size_t size, unsigned flags) {
  if (!file.has_ours() || !is_pipe(pipe)) return kPass;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return -errno;
  const UniqueFd out(ends[0]);
  const UniqueFd in(ends[1]);
  const ssize_t there = ::tee(pipe, in.get(), size, flags & SPLICE_F_NONBLOCK);
  if (there <= 0) return there < 0 ? -errno : 0;
  std::array<std::byte, kPiece> buffer;
  std::size_t done = 0;
  ssize_t error = 0;
  while (done < static_cast<std::size_t>(there)) {
    const ssize_t got = libc().read(out.get(), buffer.data(), buffer.size());
    if (got <= 0) break;
    const iovec part{.iov_base = buffer.data(), .iov_len = static_cast<std::size_t>(got)};
    const bool more =
        (flags & SPLICE_F_MORE) != 0 || done + part.iov_len < static_cast<std::size_t>(there);
    const ssize_t sent = send_parts(fd, file, {&part, 1}, more ? MSG_MORE : 0, nullptr, 0);
    if (sent < 0) error = sent;
    if (sent > 0) done += static_cast<std::size_t>(sent);
    if (sent < got) break;
  }
  discard_from_pipe(pipe, done);
  return done > 0 ? static_cast<ssize_t>(done) : error;
}

}  // namespace tideline::shim::sockets
