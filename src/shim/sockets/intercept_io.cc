// SPDX-License-Identifier: Apache-2.0
// The intercepted calls that move bytes. Called by the program, on any thread.
#include <fcntl.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "shim/sockets/calls.h"
#include "shim/sockets/errors.h"
#include "shim/sockets/libc.h"
#include "shim/sockets/passing.h"
#include "shim/sockets/splice.h"
#include "shim/sockets/transfer.h"
#include "shim/sockets/wait.h"

using namespace tideline::shim::sockets;  // NOLINT(google-build-using-namespace): the C face of it

namespace {

// Each returns kPass for what is the kernel's.
ssize_t send_or_pass(int fd, std::span<const iovec> from, int flags, const sockaddr* address,
                     socklen_t size) {
  const FileRef file(fd);
  if (!file || file->where() == Side::kKernel) return kPass;
  return send_parts(fd, *file, from, flags, address, size);
}

ssize_t receive_or_pass(int fd, std::span<const iovec> into, int flags, sockaddr* address,
                        socklen_t* size) {
  const FileRef file(fd);
  if (!file || !file->has_ours()) return kPass;
  return receive_parts(fd, *file, into, flags, address, size, nullptr);
}

iovec part_of(const void* bytes, std::size_t size) {
  return {.iov_base = const_cast<void*>(bytes), .iov_len = size};
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

ssize_t read(int fd, void* to, std::size_t size) {
  if (passes_through(fd)) return libc().read(fd, to, size);
  const iovec part = part_of(to, size);
  const ssize_t result = receive_or_pass(fd, {&part, 1}, 0, nullptr, nullptr);
  return result == kPass ? libc().read(fd, to, size) : finish(result);
}

ssize_t write(int fd, const void* from, std::size_t size) {
  if (passes_through(fd)) return libc().write(fd, from, size);
  const iovec part = part_of(from, size);
  const ssize_t result = send_or_pass(fd, {&part, 1}, 0, nullptr, 0);
  return result == kPass ? libc().write(fd, from, size) : finish(result);
}

ssize_t readv(int fd, const iovec* parts, int count) {
  if (passes_through(fd) || count < 0) return libc().readv(fd, parts, count);
  const ssize_t result =
      receive_or_pass(fd, {parts, static_cast<std::size_t>(count)}, 0, nullptr, nullptr);
  return result == kPass ? libc().readv(fd, parts, count) : finish(result);
}

ssize_t writev(int fd, const iovec* parts, int count) {
  if (passes_through(fd) || count < 0) return libc().writev(fd, parts, count);
  const ssize_t result = send_or_pass(fd, {parts, static_cast<std::size_t>(count)}, 0, nullptr, 0);
  return result == kPass ? libc().writev(fd, parts, count) : finish(result);
}

ssize_t recv(int fd, void* to, std::size_t size, int flags) {
  if (passes_through(fd)) return libc().recv(fd, to, size, flags);
  const iovec part = part_of(to, size);
  const ssize_t result = receive_or_pass(fd, {&part, 1}, flags, nullptr, nullptr);
  return result == kPass ? libc().recv(fd, to, size, flags) : finish(result);
}

ssize_t send(int fd, const void* from, std::size_t size, int flags) {
  if (passes_through(fd)) return libc().send(fd, from, size, flags);
  const iovec part = part_of(from, size);
  const ssize_t result = send_or_pass(fd, {&part, 1}, flags, nullptr, 0);
  return result == kPass ? libc().send(fd, from, size, flags) : finish(result);
}

ssize_t recvfrom(int fd, void* to, std::size_t size, int flags, sockaddr* address,
                 socklen_t* address_size) {
  if (passes_through(fd)) return libc().recvfrom(fd, to, size, flags, address, address_size);
  const iovec part = part_of(to, size);
  const ssize_t result = receive_or_pass(fd, {&part, 1}, flags, address, address_size);
  return result == kPass ? libc().recvfrom(fd, to, size, flags, address, address_size)
                         : finish(result);
}

ssize_t sendto(int fd, const void* from, std::size_t size, int flags, const sockaddr* address,
               socklen_t address_size) {
  if (passes_through(fd)) return libc().sendto(fd, from, size, flags, address, address_size);
  const iovec part = part_of(from, size);
  const ssize_t result = send_or_pass(fd, {&part, 1}, flags, address, address_size);
  return result == kPass ? libc().sendto(fd, from, size, flags, address, address_size)
                         : finish(result);
}

ssize_t recvmsg(int fd, msghdr* message, int flags) {
  if (const FileRef file(fd); file && file->has_ours()) {
    return finish(receive_message(fd, *file, *message, flags));
  }
  const ssize_t size = libc().recvmsg(fd, message, flags);
  if (size >= 0 && message->msg_controllen > 0) adopt_received(*message);
  return size;
}

ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  if (const FileRef file(fd); file && file->where() != Side::kKernel) {
    const ssize_t result = send_message(fd, *file, *message, flags);
    if (result != kPass) return finish(result);
  }
  if (message->msg_controllen == 0) return libc().sendmsg(fd, message, flags);
  const PassingMessage passing(*message);
  return libc().sendmsg(fd, &passing.message(), flags);
}

int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) {
  const FileRef file(fd);
  if (!file || !file->has_ours()) return libc().recvmmsg(fd, messages, count, flags, timeout);
  const Deadline deadline = Deadline::of(timeout);
  unsigned done = 0;
  for (; done < count; ++done) {
    const int now = (flags & MSG_WAITFORONE) != 0 && done > 0 ? flags | MSG_DONTWAIT : flags;
    const ssize_t size = receive_message(fd, *file, messages[done].msg_hdr, now & ~MSG_WAITFORONE);
    if (size < 0 && done == 0) return static_cast<int>(finish(size));
    if (size < 0) break;
    messages[done].msg_len = static_cast<unsigned>(size);
    // As recvmmsg(2): looked at after each datagram.
    if (timeout != nullptr && deadline.has_passed()) return static_cast<int>(done + 1);
  }
  return static_cast<int>(done);
}

int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
  const FileRef file(fd);
  if (!file || file->where() == Side::kKernel) return libc().sendmmsg(fd, messages, count, flags);
  unsigned done = 0;
  for (; done < count; ++done) {
    const msghdr& message = messages[done].msg_hdr;
    ssize_t size = send_message(fd, *file, message, flags);
    if (size == kPass) {
      size = libc().sendmsg(fd, &message, flags);
      if (size < 0) size = -errno;
    }
    if (size < 0 && done == 0) return static_cast<int>(finish(size));
    if (size < 0) break;
    messages[done].msg_len = static_cast<unsigned>(size);
  }
  return static_cast<int>(done);
}

ssize_t sendfile(int fd, int from, off_t* offset, std::size_t size) noexcept {
  if (const FileRef file(fd); file && file->has_ours()) {
    return finish(send_file(fd, *file, from, offset, size));
  }
  return libc().sendfile(fd, from, offset, size);
}

ssize_t sendfile64(int fd, int from, off64_t* offset, std::size_t size) noexcept {
  return sendfile(fd, from, offset, size);
}

ssize_t splice(int from, off64_t* from_at, int to, off64_t* to_at, std::size_t size,
               unsigned flags) {
  ssize_t result = kPass;
  if (const FileRef source(from); source && source->has_ours()) {
    if (from_at != nullptr) return finish(-EINVAL);
    if (to_at == nullptr) result = splice_out_of(from, *source, to, size, flags);
  } else if (const FileRef target(to); target && target->has_ours()) {
    if (to_at != nullptr) return finish(-EINVAL);
    if (from_at == nullptr) result = splice_into(to, *target, from, size, flags);
  }
  return result == kPass ? libc().splice(from, from_at, to, to_at, size, flags) : finish(result);
}

// At -1, "where it stands", they are readv and writev. At another place a socket has nothing, as
// its kernel half says.
ssize_t preadv2(int fd, const iovec* parts, int count, off_t at, int flags) {
  if (at != -1 || passes_through(fd) || count < 0) {
    return libc().preadv2(fd, parts, count, at, flags);
  }
  const int how = (flags & RWF_NOWAIT) != 0 ? MSG_DONTWAIT : 0;
  const ssize_t result =
      receive_or_pass(fd, {parts, static_cast<std::size_t>(count)}, how, nullptr, nullptr);
  return result == kPass ? libc().preadv2(fd, parts, count, at, flags) : finish(result);
}
ssize_t preadv64v2(int fd, const iovec* parts, int count, off64_t at, int flags) {
  return preadv2(fd, parts, count, at, flags);
}

ssize_t pwritev2(int fd, const iovec* parts, int count, off_t at, int flags) {
  if (at != -1 || passes_through(fd) || count < 0) {
    return libc().pwritev2(fd, parts, count, at, flags);
  }
  const int how = (flags & RWF_NOWAIT) != 0 ? MSG_DONTWAIT : 0;
  const ssize_t result =
      send_or_pass(fd, {parts, static_cast<std::size_t>(count)}, how, nullptr, 0);
  return result == kPass ? libc().pwritev2(fd, parts, count, at, flags) : finish(result);
}
ssize_t pwritev64v2(int fd, const iovec* parts, int count, off64_t at, int flags) {
  return pwritev2(fd, parts, count, at, flags);
}

// What programs built with _FORTIFY_SOURCE call.
// NOLINTBEGIN(readability-identifier-naming): the C library's names
[[noreturn]] void __chk_fail();

ssize_t __read_chk(int fd, void* to, std::size_t size, std::size_t room) {
  if (size > room) __chk_fail();
  return read(fd, to, size);
}
ssize_t __recv_chk(int fd, void* to, std::size_t size, std::size_t room, int flags) {
  if (size > room) __chk_fail();
  return recv(fd, to, size, flags);
}
ssize_t __recvfrom_chk(int fd, void* to, std::size_t size, std::size_t room, int flags,
                       sockaddr* address, socklen_t* address_size) {
  if (size > room) __chk_fail();
  return recvfrom(fd, to, size, flags, address, address_size);
}
// NOLINTEND(readability-identifier-naming)

}  // extern "C"
#pragma GCC visibility pop
