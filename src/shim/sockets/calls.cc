// SPDX-License-Identifier: Apache-2.0
#include "shim/sockets/calls.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
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

// The kernel's alone, from now on: the numbers pass through.
int pass_on(int fd, File& file) {
  if (file.keys_are_ours.load()) return -EKEYREJECTED;
  file.side.store(Side::kKernel, std::memory_order_release);
  if (client::Socket* socket = file.ours.exchange(nullptr)) socket->close(false);
  if (file.nonblocking.load() != ((libc().fcntl(fd, F_GETFL) & O_NONBLOCK) != 0)) {
    libc().fcntl(fd, F_SETFL, libc().fcntl(fd, F_GETFL) ^ O_NONBLOCK);
  }
  EpollSet::pass_on(fd);
  forget_number(fd);
  process.count(Count::kPassed);
  return kPass;
}

int refused(int error) {
  process.count(Count::kRefused);
  return -error;
}

void decide(int fd, File& file, Side side) {
  if (file.where() == Side::kUndecided) {
    process.count(Count::kOurs);
    if (side == Side::kBoth) process.count(Count::kBoth);
  }
  file.side.store(side, std::memory_order_release);
  // Of two halves, neither may block while the other has something.
  if (side == Side::kBoth) {
    libc().fcntl(fd, F_SETFL, libc().fcntl(fd, F_GETFL) | O_NONBLOCK);
  }
  EpollSet::decided(fd, file);
}

int bind_any(int fd, File& file, const sockaddr* address, socklen_t size, Endpoint local) {
  if (process.sockets() == nullptr) {
    return process.is_strict() ? refused(EADDRNOTAVAIL) : pass_on(fd, file);
  }
  // What the kernel refuses is refused: programs find out in this way that another one serves.
  const bool with_kernel = !process.is_strict() && !file.keys_are_ours.load();
  if (with_kernel && libc().bind(fd, address, size) != 0) return -errno;
  if (with_kernel && local.port == 0) {
    sockaddr_storage name{};
    socklen_t length = sizeof(name);
    libc().getsockname(fd, reinterpret_cast<sockaddr*>(&name), &length);
    if (const auto found = to_endpoint(reinterpret_cast<sockaddr*>(&name), length)) {
      local.port = found->port;
    }
  }
  if (const int error = open_ours(file); error < 0) return error;
  const auto bound = file.socket().bind(local, file.sharing());
  if (!bound) return -errno_of(bound.error());
  decide(fd, file, with_kernel ? Side::kBoth : Side::kOurs);
  return 0;
}

bool is_inherited(File& file) {
  if (!process.is_forked() || !file.has_ours()) return false;
  process.tell_forked();
  return true;
}

// IPV6_V6ONLY.
bool is_of_other_version(const File& file, const Endpoint& endpoint) {
  return file.domain == AF_INET6 && file.options.only_ipv6 && endpoint.address.is_mapped();
}

// Waits as a blocking connect does.
int wait_until_connected(int fd, File& file, const Endpoint& destination, const SignalMark& begun) {
  const Deadline deadline = Deadline::after_us(file.send_timeout_us.load());
  const int ready = wait_for(fd, file, POLLOUT, deadline, begun);
  if (ready < 0) return ready;
  if (ready == 0) return -EINPROGRESS;
  if ((file.socket().readiness(POLLOUT) & POLLERR) == 0) return 0;
  return -errno_of(file.socket().connect(destination).error());  // as a second connect() tells it
}

int connect_ours(int fd, File& file, const Endpoint& destination) {
  const SignalMark mark;
  if (const int error = open_ours(file); error < 0) return error;
  choose_marks(file, destination.address);
  if (file.where() != Side::kOurs) decide(fd, file, Side::kOurs);
  const auto begun = file.socket().connect(destination);
  if (begun) return 0;
  // As Linux has it: who has been interrupted waits on.
  const bool goes_on = begun.error() == Failure::kWouldBlock;
  if (goes_on && file.nonblocking.load()) return -EALREADY;
  if ((!goes_on && begun.error() != Failure::kInProgress) || file.nonblocking.load()) {
    process.tell_exhausted(errno_of(begun.error()));
    return -errno_of(begun.error());
  }
  return wait_until_connected(fd, file, destination, mark);
}

// 127.0.0.1 and ::1 with --localhost.
bool replace_loopback(Endpoint& endpoint) {
  const bool ipv4 = endpoint.address.is_mapped();
  const auto own =
      process.sockets() == nullptr ? std::nullopt : process.sockets()->own_address(ipv4);
  if (own) endpoint.address = *own;
  return own.has_value();
}

int adopt_connection(const File& listener, client::Socket& socket, int fd, int flags) {
  File* file =
      File::open(listener.domain, client::SocketType::kStream, (flags & SOCK_NONBLOCK) != 0);
  if (file == nullptr) return -ENOMEM;
  file->options = listener.options;
  file->marks4 = listener.marks4;
  file->marks6 = listener.marks6;
  file->zero_copy.store(listener.zero_copy.load());
  file->tells_rest.store(listener.tells_rest.load());
  file->least_read.store(listener.least_read.load());
  file->linger_s.store(listener.linger_s.load());
  file->receive_timeout_us.store(listener.receive_timeout_us.load());
  file->send_timeout_us.store(listener.send_timeout_us.load());
  file->ours.store(&socket);
  file->side.store(Side::kOurs);
  fd_table.set(fd, Kind::kSocket, file);
  process.count(Count::kAccepted);
  return fd;
}

int accept_now(int fd, File& file, sockaddr* address, socklen_t* size, int flags) {
  if ((file.socket().readiness(POLLIN) & POLLIN) != 0) {
    const int number = libc().socket(file.domain, SOCK_STREAM | (flags & SOCK_CLOEXEC), 0);
    if (number < 0) {
      process.tell_exhausted(errno);
      return -errno;
    }
    const auto accepted =
        FdTable::holds(number) ? file.socket().accept() : std::unexpected(Failure::kNoMemory);
    if (accepted) {
      if (const auto remote = (*accepted)->remote()) {
        to_sockaddr(*remote, file.domain, address, size);
      }
      return adopt_connection(file, **accepted, number, flags);
    }
    libc().close(number);
    if (accepted.error() != Failure::kWouldBlock) return -errno_of(accepted.error());
  }
  if (file.socket().info().state != client::StreamState::kListen) return -EINVAL;
  if (file.where() != Side::kBoth) return -EAGAIN;
  const int number = libc().accept4(fd, address, size, flags);
  if (number >= 0) process.count(Count::kPassed);
  return number >= 0 ? number : -errno;
}

}  // namespace

int open_ours(File& file) {
  client::Socket* socket = file.ours.load();
  if (socket == nullptr) {
    const auto opened = process.sockets()->open(file.type);
    if (!opened) {
      process.tell_exhausted(errno_of(opened.error()));
      return -errno_of(opened.error());
    }
    socket = *opened;
  } else if (file.where() != Side::kUndecided) {
    return 0;
  }
  socket->set_options(file.options);
  file.ours.store(socket, std::memory_order_release);
  return 0;
}

void note_socket(int fd, int domain, int type) {
  const int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
  const bool inet = domain == AF_INET || domain == AF_INET6;
  if (!inet || (kind != SOCK_STREAM && kind != SOCK_DGRAM)) {
    process.count(Count::kOther);
    return;
  }
  if (process.is_forked()) {
    process.count(Count::kAfterFork);
    return;
  }
  if (!FdTable::holds(fd) || process.is_starting()) return;
  File* file = File::open(
      domain, kind == SOCK_STREAM ? client::SocketType::kStream : client::SocketType::kDatagram,
      (type & SOCK_NONBLOCK) != 0);
  if (file != nullptr) fd_table.set(fd, Kind::kSocket, file);
}

Way way_to(Endpoint& destination) {
  const Way kernel = process.is_strict() ? Way::kRefused : Way::kKernel;
  if (process.is_forked()) return kernel;
  if (is_loopback(destination.address) || is_any(destination.address)) {
    return process.takes_localhost() && replace_loopback(destination) ? Way::kOurs : kernel;
  }
  client::Sockets* sockets = process.sockets();
  if (sockets == nullptr) return kernel;
  return sockets->reaches(destination.address) || sockets->owns(destination.address) ? Way::kOurs
                                                                                     : kernel;
}

int bind_socket(int fd, File& file, const sockaddr* address, socklen_t size) {
  auto local = to_endpoint(address, size);
  if (!local || process.is_forked()) return kPass;
  if (file.where() != Side::kUndecided || is_of_other_version(file, *local)) return -EINVAL;
  if (is_any(local->address)) return bind_any(fd, file, address, size, *local);
  const bool ours = is_loopback(local->address)
                        ? process.takes_localhost() && replace_loopback(*local)
                        : process.sockets() != nullptr && process.sockets()->owns(local->address);
  if (!ours) return process.is_strict() ? refused(EADDRNOTAVAIL) : pass_on(fd, file);
  if (const int error = open_ours(file); error < 0) return error;
  const auto bound = file.socket().bind(*local, file.sharing());
  if (bound) decide(fd, file, Side::kOurs);
  return result_of(bound);
}

int listen_socket(int fd, File& file, int backlog) {
  if (is_inherited(file)) return -EOPNOTSUPP;
  if (!file.is_stream()) return kPass;
  if (file.where() == Side::kUndecided) {
    sockaddr_storage any{};
    any.ss_family = static_cast<sa_family_t>(file.domain);
    const socklen_t size = file.domain == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    const int bound = bind_socket(fd, file, reinterpret_cast<const sockaddr*>(&any), size);
    if (bound != 0) return bound;
  }
  file.apply_options();
  if (file.where() == Side::kBoth && file.keys_are_ours.load()) decide(fd, file, Side::kOurs);
  if (file.where() == Side::kBoth && libc().listen(fd, backlog) != 0) return -errno;
  return result_of(file.socket().listen(static_cast<std::uint32_t>(std::max(backlog, 1))));
}

int connect_socket(int fd, File& file, const sockaddr* address, socklen_t size) {
  if (is_inherited(file)) return -EOPNOTSUPP;
  auto destination = to_endpoint(address, size);
  if (!destination) {  // AF_UNSPEC: no peer any more
    if (!file.has_ours() || file.is_stream()) return kPass;
    return result_of(file.socket().connect(std::nullopt));
  }
  if (is_of_other_version(file, *destination)) return -ENETUNREACH;
  if (file.is_stream() && file.where() == Side::kOurs) {
    Endpoint ours = *destination;
    if (is_loopback(ours.address)) replace_loopback(ours);
    return connect_ours(fd, file, ours);
  }
  switch (way_to(*destination)) {
    case Way::kRefused:
      return refused(ENETUNREACH);
    case Way::kKernel:
      return pass_on(fd, file);
    case Way::kOurs:
      return connect_ours(fd, file, *destination);
  }
  return kPass;
}

int connect_fast(int fd, File& file, const sockaddr* address, socklen_t size) {
  const bool before = std::exchange(file.options.connect_fast, true);
  if (!before && file.has_ours()) file.apply_options();
  const int result = connect_socket(fd, file, address, size);
  file.options.connect_fast = before;
  if (!before && file.has_ours() && result < 0) file.apply_options();
  return result;
}

int prepare_datagram(int fd, File& file, Endpoint& destination) {
  if (is_inherited(file)) return -EOPNOTSUPP;
  if (is_of_other_version(file, destination)) return -ENETUNREACH;
  switch (way_to(destination)) {
    case Way::kRefused:
      return refused(ENETUNREACH);
    case Way::kKernel:
      file.has_asked_kernel.store(true);
      if (file.where() == Side::kOurs) decide(fd, file, Side::kBoth);
      return kPass;
    case Way::kOurs:
      break;
  }
  if (const int error = open_ours(file); error < 0) return error;
  if (file.where() == Side::kUndecided) {
    decide(fd, file, file.has_asked_kernel.load() ? Side::kBoth : Side::kOurs);
  }
  return 0;
}

int accept_socket(int fd, File& file, sockaddr* address, socklen_t* size, int flags) {
  if ((flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != 0) return -EINVAL;
  if (is_inherited(file)) return -EOPNOTSUPP;
  const SignalMark begun;
  const Deadline deadline = Deadline::after_us(file.receive_timeout_us.load());
  bool drives = true;
  for (;;) {
    const int result = accept_now(fd, file, address, size, flags);
    if (result != -EAGAIN && result != -ECONNABORTED) return result;
    if (drives) {
      process.running()->poll();
      drives = false;
      continue;
    }
    if (file.nonblocking.load()) return -EAGAIN;
    const int ready = wait_for(fd, file, POLLIN, deadline, begun);
    if (ready <= 0) return ready == 0 ? -EAGAIN : ready;
  }
}

int shut_down_socket(int fd, File& file, int how) {
  if (is_inherited(file)) return -EOPNOTSUPP;
  if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) return -EINVAL;
  if (file.where() == Side::kBoth) libc().shutdown(fd, how);
  const auto done = file.socket().shut_down(how != SHUT_WR, how != SHUT_RD);
  return result_of(done);
}

int local_name(const File& file, sockaddr* address, socklen_t* size) {
  Endpoint local = file.socket().local();
  // Of AF_INET, unbound: 0.0.0.0 and not ::.
  if (file.domain == AF_INET && !local.address.is_mapped()) {
    local.address = wire::Ipv6Address::mapped({});
  }
  to_sockaddr(local, file.domain, address, size);
  return 0;
}

int remote_name(const File& file, sockaddr* address, socklen_t* size) {
  const auto remote = file.socket().remote();
  if (!remote) return -ENOTCONN;
  to_sockaddr(*remote, file.domain, address, size);
  return 0;
}

void forget_number(int fd) {
  const Kind kind = fd_table.kind(fd);
  if (kind == Kind::kKernel) return;
  if (kind == Kind::kSocket) EpollSet::forget_everywhere(fd);
  void* object = fd_table.clear(fd);
  if (object == nullptr) return;
  if (kind == Kind::kSocket) {
    auto* file = static_cast<File*>(object);
    if (file->leave()) file->release();
  } else {
    auto* set = static_cast<EpollSet*>(object);
    if (set->leave()) set->release();
  }
}

void share_number(int from, int to) {
  if (!FdTable::holds(to)) return;
  if (const FileRef file(from); file) {
    if (file->where() == Side::kKernel || !file->enter()) return;
    fd_table.set(to, Kind::kSocket, &*file);
  } else if (const Ref<EpollSet, Kind::kEpoll> set(from); set && set->enter()) {
    fd_table.set(to, Kind::kEpoll, &*set);
  }
}

}  // namespace tideline::shim::sockets
