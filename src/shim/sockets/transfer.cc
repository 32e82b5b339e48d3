// SPDX-License-Identifier: Apache-2.0
#include "shim/sockets/transfer.h"

#include <linux/errqueue.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstring>
#include <optional>
#include <utility>

#include "shim/sockets/address.h"
#include "shim/sockets/ancillary.h"
#include "shim/sockets/epoll_set.h"
#include "shim/sockets/errors.h"
#include "shim/sockets/libc.h"
#include "shim/sockets/process.h"
#include "shim/sockets/wait.h"

namespace tideline::shim::sockets {
namespace {

using client::Endpoint;
using client::Failure;

constexpr std::size_t kMostInSegments = 65507;
constexpr std::size_t kFilePiece = std::size_t{32} << 10;  // on the caller's stack

// What is left of a list of parts, after the first bytes of it.
class Rest {
 public:
  explicit Rest(std::span<const iovec> parts) : parts_(parts) {}

  void skip(std::size_t size) {
    while (!parts_.empty() && size >= parts_.front().iov_len - done_) {
      size -= parts_.front().iov_len - done_;
      done_ = 0;
      parts_ = parts_.subspan(1);
    }
    done_ += size;
  }
  // The next `size` bytes, and skips them; 0: they lie in more parts than that.
  std::size_t take(std::size_t size, std::span<iovec> into) {
    std::size_t count = 0;
    while (size > 0 && !parts_.empty()) {
      if (count == into.size()) return 0;
      const iovec& part = parts_.front();
      const std::size_t piece = std::min(size, part.iov_len - done_);
      if (piece > 0) {
        into[count++] = {.iov_base = static_cast<std::byte*>(part.iov_base) + done_,
                         .iov_len = piece};
      }
      skip(piece);
      size -= piece;
    }
    return count;
  }
  // Some of it; empty: nothing is left.
  std::span<const iovec> next() {
    if (done_ == 0) return parts_;
    const std::size_t count = std::min(parts_.size(), window_.size());
    std::copy_n(parts_.begin(), count, window_.begin());
    window_[0].iov_base = static_cast<std::byte*>(window_[0].iov_base) + done_;
    window_[0].iov_len -= done_;
    return {window_.data(), count};
  }

 private:
  std::span<const iovec> parts_;
  std::size_t done_ = 0;  // of the first
  std::array<iovec, 16> window_;
};

// 0, or why such a list cannot be: a negative errno.
int check(std::span<const iovec> parts, std::size_t& size) {
  size = 0;
  for (const iovec& part : parts) {
    if (part.iov_len > SSIZE_MAX - size) return -EINVAL;
    if (part.iov_base == nullptr && part.iov_len > 0) return -EFAULT;
    size += part.iov_len;
  }
  return 0;
}

bool blocks(const File& file, int flags) {
  return (flags & MSG_DONTWAIT) == 0 && !file.nonblocking.load(std::memory_order_relaxed);
}

ssize_t broken_pipe(const File& file, int flags) {
  if (file.is_stream() && (flags & MSG_NOSIGNAL) == 0) ::raise(SIGPIPE);
  return -EPIPE;
}

void put_control(msghdr& message, int level, int type, const void* data, std::size_t size) {
  if (message.msg_control == nullptr || message.msg_controllen < CMSG_LEN(size)) {
    if (message.msg_controllen > 0) message.msg_flags |= MSG_CTRUNC;
    message.msg_controllen = 0;
    return;
  }
  auto* header = static_cast<cmsghdr*>(message.msg_control);
  header->cmsg_level = level;
  header->cmsg_type = type;
  header->cmsg_len = CMSG_LEN(size);
  std::memcpy(CMSG_DATA(header), data, size);
  message.msg_controllen = std::min<std::size_t>(message.msg_controllen, CMSG_SPACE(size));
}

// Sends with MSG_ZEROCOPY, which copy, and say so. As Linux has it, several are told at once.
ssize_t notify(const File& file, std::uint32_t first, std::uint32_t last, msghdr& message) {
  struct {
    sock_extended_err error{};
    sockaddr_in6 nobody{};
  } told;
  told.error.ee_origin = SO_EE_ORIGIN_ZEROCOPY;
  told.error.ee_code = SO_EE_CODE_ZEROCOPY_COPIED;
  told.error.ee_info = first;
  told.error.ee_data = last - 1;
  message.msg_flags = MSG_ERRQUEUE;
  const bool ipv4 = file.domain == AF_INET;
  put_control(message, ipv4 ? SOL_IP : SOL_IPV6, ipv4 ? IP_RECVERR : IPV6_RECVERR, &told,
              sizeof(told.error) + (ipv4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6)));
  return 0;
}

// What the network has said of something that was sent: IP_RECVERR.
ssize_t report(const File& file, const client::Report& said, std::span<const iovec> into,
               sockaddr* address, socklen_t* address_size, msghdr& message) {
  struct {
    sock_extended_err error{};
    sockaddr_storage offender{};
  } told;
  told.error.ee_errno = static_cast<std::uint32_t>(errno_of(said));
  told.error.ee_origin = said.ipv6 ? SO_EE_ORIGIN_ICMP6 : SO_EE_ORIGIN_ICMP;
  told.error.ee_type = said.type;
  told.error.ee_code = said.code;
  told.error.ee_info = said.mtu;
  socklen_t offender_size = sizeof(told.offender);
  to_sockaddr({.address = said.from}, file.domain, reinterpret_cast<sockaddr*>(&told.offender),
              &offender_size);
  const bool ipv4 = file.domain == AF_INET;
  put_control(message, ipv4 ? SOL_IP : SOL_IPV6, ipv4 ? IP_RECVERR : IPV6_RECVERR, &told,
              sizeof(told.error) + offender_size);
  to_sockaddr(said.to, file.domain, address, address_size);
  std::size_t done = 0;
  for (const iovec& part : into) {
    const std::size_t size = std::min<std::size_t>(part.iov_len, said.size - done);
    std::memcpy(part.iov_base, said.payload.data() + done, size);
    done += size;
  }
  message.msg_flags |= MSG_ERRQUEUE | (done < said.size ? int{MSG_TRUNC} : 0);
  return static_cast<ssize_t>(done);
}

ssize_t receive_from_kernel(int fd, std::span<const iovec> into, int flags, sockaddr* address,
                            socklen_t* address_size, msghdr* given);

// MSG_ERRQUEUE: nothing of it is waited for.
ssize_t take_error(int fd, File& file, std::span<const iovec> into, int flags, sockaddr* address,
                   socklen_t* address_size, msghdr& message) {
  const std::uint32_t last = file.zero_copied.load(std::memory_order_acquire);
  const std::uint32_t first = file.told.exchange(last, std::memory_order_acq_rel);
  if (first != last) return notify(file, first, last, message);
  if (!file.socket().has_reports()) process.running()->poll();
  if (const auto said = file.socket().take_report()) {
    return report(file, *said, into, address, address_size, message);
  }
  if (file.where() != Side::kBoth) return -EAGAIN;
  return receive_from_kernel(fd, into, flags, address, address_size, &message);
}

// `size` bytes, or as many as there are before something ends it.
ssize_t send_stream(int fd, File& file, std::span<const iovec> from, std::size_t size, int flags) {
  const SignalMark begun;
  Rest rest(from);
  std::size_t done = 0;
  const auto result = [&](int error) {
    return done > 0 ? static_cast<ssize_t>(done) : static_cast<ssize_t>(error);
  };
  const Deadline deadline = Deadline::after_us(file.send_timeout_us.load());
  const client::SendHints hints{.more = (flags & MSG_MORE) != 0,
                                .urgent = (flags & MSG_OOB) != 0,
                                .end_of_record = (flags & MSG_EOR) != 0};
  for (;;) {
    const auto sent = file.socket().send_with(rest.next(), hints);
    if (sent) {
      done += *sent;
      if (done == size) return static_cast<ssize_t>(done);
      rest.skip(*sent);
      if (*sent > 0) continue;
    } else if (sent.error() == Failure::kShutDown) {
      return done > 0 ? result(0) : broken_pipe(file, flags);
    } else if (sent.error() != Failure::kWouldBlock) {
      return result(-errno_of(sent.error()));
    }
    if (!blocks(file, flags)) {
      process.running()->poll();
      return result(-EAGAIN);
    }
    const int ready = wait_for(fd, file, POLLOUT, deadline, begun);
    if (ready <= 0) return result(ready == 0 ? -EAGAIN : ready);
  }
}

ssize_t send_one(int fd, File& file, std::span<const iovec> from, int flags,
                 const std::optional<Endpoint>& to, const client::DatagramWay& way) {
  const SignalMark begun;
  for (;;) {
    const auto sent = file.socket().send_by(from, to, way);
    if (sent) return static_cast<ssize_t>(*sent);
    if (sent.error() != Failure::kWouldBlock) return -errno_of(sent.error());
    process.running()->poll();
    if (!blocks(file, flags)) return -EAGAIN;
    const int ready =
        wait_for(fd, file, POLLOUT, Deadline::after_us(file.send_timeout_us.load()), begun);
    if (ready <= 0) return ready == 0 ? -EAGAIN : ready;
  }
}

// UDP_SEGMENT: several datagrams of that size.
ssize_t send_datagrams(int fd, File& file, std::span<const iovec> from, std::size_t size, int flags,
                       const std::optional<Endpoint>& to, const msghdr* message) {
  client::DatagramWay way;
  std::uint16_t segment = 0;
  if (const int error = read_control(file, message, to, way, segment); error < 0) return error;
  if (segment == 0 || size <= segment) return send_one(fd, file, from, flags, to, way);
  if (size > kMostInSegments) return -EMSGSIZE;
  Rest rest(from);
  for (std::size_t done = 0; done < size;) {
    std::array<iovec, 16> parts;
    const std::size_t piece = std::min<std::size_t>(segment, size - done);
    const std::size_t count = rest.take(piece, parts);
    if (count == 0) return -EMSGSIZE;
    const ssize_t sent = send_one(fd, file, {parts.data(), count}, flags, to, way);
    if (sent < 0) return done > 0 ? static_cast<ssize_t>(done) : sent;
    done += piece;
  }
  return static_cast<ssize_t>(size);
}

// Of a datagram socket with two halves: what the kernel's has.
ssize_t receive_from_kernel(int fd, std::span<const iovec> into, int flags, sockaddr* address,
                            socklen_t* address_size, msghdr* given) {
  msghdr message{.msg_name = address,
                 .msg_namelen = address_size == nullptr ? 0 : *address_size,
                 .msg_iov = const_cast<iovec*>(into.data()),
                 .msg_iovlen = into.size(),
                 .msg_control = given == nullptr ? nullptr : given->msg_control,
                 .msg_controllen = given == nullptr ? 0 : given->msg_controllen,
                 .msg_flags = 0};
  const ssize_t size = libc().recvmsg(fd, &message, flags | MSG_DONTWAIT);
  if (size < 0) return -errno;
  if (address_size != nullptr) *address_size = message.msg_namelen;
  if (given != nullptr) {
    given->msg_controllen = message.msg_controllen;
    given->msg_flags = message.msg_flags;
  }
  return size;
}

// TCP_INQ: how much is left to read. As in Linux, the end counts as a byte, for which it is worth
// to read once more.
void put_rest(const File& file, msghdr& message) {
  if (!file.tells_rest.load(std::memory_order_relaxed)) {
    message.msg_controllen = 0;
    return;
  }
  int rest = static_cast<int>(std::min<std::size_t>(file.socket().readable_bytes(), INT_MAX));
  if (rest == 0 && (file.socket().readiness(POLLRDHUP) & POLLRDHUP) != 0) rest = 1;
  put_control(message, IPPROTO_TCP, TCP_CM_INQ, &rest, sizeof(rest));
}

ssize_t receive_once(int fd, File& file, std::span<const iovec> into, int flags, sockaddr* address,
                     socklen_t* address_size, msghdr* message) {
  const auto got = file.socket().receive(into, (flags & MSG_PEEK) != 0);
  if (got) {
    if (file.is_stream()) {
      if (address_size != nullptr) *address_size = 0;
      if (message != nullptr) put_rest(file, *message);
      return static_cast<ssize_t>(got->size);
    }
    to_sockaddr(got->from, file.domain, address, address_size);
    if (message != nullptr) {
      message->msg_flags = got->size < got->whole ? MSG_TRUNC : 0;
      put_header_info(file, *got, *message);
    }
    return static_cast<ssize_t>((flags & MSG_TRUNC) != 0 ? got->whole : got->size);
  }
  if (got.error() != Failure::kWouldBlock || file.where() != Side::kBoth || file.is_stream()) {
    return -errno_of(got.error());
  }
  return receive_from_kernel(fd, into, flags, address, address_size, message);
}

// Never waits, as in Linux.
ssize_t receive_urgent(File& file, std::span<const iovec> into, int flags, msghdr* message) {
  process.running()->poll();
  const auto got = file.socket().receive_urgent(into, (flags & MSG_PEEK) != 0);
  if (!got) return -errno_of(got.error());
  if (message != nullptr) {
    message->msg_controllen = 0;
    message->msg_flags = MSG_OOB;
  }
  return static_cast<ssize_t>(*got);
}

// What a receiving call does when there is nothing.
class Patience {
 public:
  Patience(int fd, File& file, int flags) : fd_(fd), file_(file), flags_(flags) {}

  // 0: look again; else a negative errno.
  int wait() {
    if (!std::exchange(driven_, true)) {
      process.running()->poll();
      return 0;
    }
    if (!blocks(file_, flags_)) return -EAGAIN;
    if (!deadline_) deadline_ = Deadline::after_us(file_.receive_timeout_us.load());
    const int ready = wait_for(fd_, file_, POLLIN, *deadline_, begun_);
    if (ready > 0) return 0;
    return ready == 0 ? -EAGAIN : ready;
  }

 private:
  int fd_;
  File& file_;
  int flags_;
  SignalMark begun_;
  bool driven_ = false;
  std::optional<Deadline> deadline_;
};

// MSG_WAITALL, SO_RCVLOWAT: less than `least` only at the end, or if something goes wrong.
ssize_t receive_all(int fd, File& file, std::span<const iovec> into, std::size_t least, int flags) {
  Patience patience(fd, file, flags);
  Rest rest(into);
  std::size_t done = 0;
  while (done < least) {
    const ssize_t got = receive_once(fd, file, rest.next(), flags, nullptr, nullptr, nullptr);
    if (got > 0) {
      done += static_cast<std::size_t>(got);
      rest.skip(static_cast<std::size_t>(got));
      continue;
    }
    const ssize_t error = got == -EAGAIN ? patience.wait() : got;
    if (got == -EAGAIN && error == 0) continue;
    return done > 0 ? static_cast<ssize_t>(done) : error;
  }
  return static_cast<ssize_t>(done);
}

// How many of `size` bytes a call waits for. Who only looks waits for none.
std::size_t least_of(const File& file, std::size_t size, int flags) {
  if (!file.is_stream() || (flags & MSG_PEEK) != 0) return 1;
  if ((flags & MSG_WAITALL) != 0) return size;
  return blocks(file, flags) ? std::min(file.least_read.load(std::memory_order_relaxed), size) : 1;
}

bool is_inherited() {
  if (!process.is_forked()) return false;
  process.tell_forked();
  return true;
}

}  // namespace

ssize_t send_parts(int fd, File& file, std::span<const iovec> from, int flags,
                   const sockaddr* address, socklen_t address_size, const msghdr* message) {
  std::size_t size = 0;
  if (const int error = check(from, size); error < 0) return error;
  if (!file.is_stream() && address != nullptr) {
    auto to = to_endpoint(address, address_size);
    if (!to) return file.has_ours() ? -EAFNOSUPPORT : kPass;
    if (const int way = prepare_datagram(fd, file, *to); way != 0) return way;
    return send_datagrams(fd, file, from, size, flags, to, message);
  }
  if (file.is_stream() && address != nullptr && (flags & MSG_FASTOPEN) != 0) {
    const int begun = connect_fast(fd, file, address, address_size);
    if (begun != 0 && begun != -EISCONN) return begun;  // a connected one sends, as in Linux
  }
  if (!file.has_ours()) return kPass;
  if (is_inherited()) return -EOPNOTSUPP;
  if ((flags & MSG_OOB) != 0 && !file.is_stream()) return -EOPNOTSUPP;
  const ssize_t sent = file.is_stream()
                           ? send_stream(fd, file, from, size, flags)
                           : send_datagrams(fd, file, from, size, flags, std::nullopt, message);
  if (sent > 0 && (flags & MSG_ZEROCOPY) != 0 && file.zero_copy.load(std::memory_order_relaxed)) {
    file.zero_copied.fetch_add(1, std::memory_order_acq_rel);
    EpollSet::look_again(fd);
  }
  return sent;
}

ssize_t receive_parts(int fd, File& file, std::span<const iovec> into, int flags, sockaddr* address,
                      socklen_t* address_size, msghdr* message) {
  if (!file.has_ours()) return kPass;
  if (is_inherited()) return -EOPNOTSUPP;
  if ((flags & MSG_OOB) != 0) return receive_urgent(file, into, flags, message);
  if ((flags & MSG_ERRQUEUE) != 0) {
    msghdr unasked{};
    return take_error(fd, file, into, flags, address, address_size,
                      message == nullptr ? unasked : *message);
  }
  std::size_t size = 0;
  if (const int error = check(into, size); error < 0) return error;
  if (const std::size_t least = least_of(file, size, flags); least > 1) {
    const ssize_t got = receive_all(fd, file, into, least, flags);
    if (got < 0) return got;
    if (address_size != nullptr) *address_size = 0;
    if (message != nullptr) put_rest(file, *message);
    return got;
  }
  Patience patience(fd, file, flags);
  for (;;) {
    const ssize_t got = receive_once(fd, file, into, flags, address, address_size, message);
    if (got != -EAGAIN) return got;
    if (const int error = patience.wait(); error < 0) return error;
  }
}

ssize_t send_message(int fd, File& file, const msghdr& message, int flags) {
  return send_parts(fd, file, {message.msg_iov, message.msg_iovlen}, flags,
                    static_cast<const sockaddr*>(message.msg_name), message.msg_namelen, &message);
}

ssize_t receive_message(int fd, File& file, msghdr& message, int flags) {
  msghdr taken = message;
  taken.msg_flags = 0;
  const ssize_t size =
      receive_parts(fd, file, {message.msg_iov, message.msg_iovlen}, flags,
                    static_cast<sockaddr*>(message.msg_name), &message.msg_namelen, &taken);
  if (size < 0) return size;
  message.msg_controllen = taken.msg_controllen;
  message.msg_flags = taken.msg_flags;
  return size;
}

ssize_t send_file(int fd, File& file, int from, off_t* offset, std::size_t size) {
  if (!file.has_ours()) return kPass;
  if (is_inherited()) return -EOPNOTSUPP;
  off_t at = offset != nullptr ? *offset : ::lseek(from, 0, SEEK_CUR);
  if (at < 0) return -errno;
  std::size_t done = 0;
  ssize_t error = 0;
  std::array<std::byte, kFilePiece> buffer;
  while (done < size) {
    const ssize_t got = ::pread(from, buffer.data(), std::min(size - done, buffer.size()), at);
    if (got <= 0) {
      error = got < 0 ? -errno : 0;
      break;
    }
    const iovec part{.iov_base = buffer.data(), .iov_len = static_cast<std::size_t>(got)};
    const ssize_t sent = send_stream(fd, file, {&part, 1}, part.iov_len, 0);
    if (sent < 0) {
      error = sent;
      break;
    }
    done += static_cast<std::size_t>(sent);
    at += sent;
    if (sent < got) break;
  }
  if (done == 0 && error < 0) return error;
  if (offset != nullptr) {
    *offset = at;
  } else {
    ::lseek(from, at, SEEK_SET);
  }
  return static_cast<ssize_t>(done);
}

}  // namespace tideline::shim::sockets
