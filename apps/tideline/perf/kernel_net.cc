// SPDX-License-Identifier: Apache-2.0
#include "perf/kernel_net.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "perf/engine_net.h"

namespace tideline::app::flow {
namespace {

sockaddr_in6 to_sockaddr(const Endpoint& endpoint) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = std::byteswap(endpoint.port);
  std::memcpy(&address.sin6_addr, endpoint.address.data(), sizeof(address.sin6_addr));
  return address;
}

void set_option(int fd, int level, int name, int value) {
  (void)::setsockopt(fd, level, name, &value, sizeof(value));
}

// Both IP versions on one socket.
Result<UniqueFd> open_socket(Congestion congestion) {
  UniqueFd fd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno("cannot open a TCP socket");
  set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0);
  // As tideline, that like is compared with like; in the order of Congestion.
  constexpr std::array<std::string_view, 4> kNames{"cubic", "reno", "bbr", "dctcp"};
  const std::string_view name = kNames[static_cast<std::size_t>(congestion)];
  const auto size = static_cast<socklen_t>(name.size());
  if (::setsockopt(fd.get(), IPPROTO_TCP, TCP_CONGESTION, name.data(), size) != 0 &&
      congestion != Congestion::kCubic) {
    return fail_errno("the kernel does not let us use " + std::string(name));
  }
  return fd;
}

}  // namespace

Result<std::unique_ptr<KernelNet>> KernelNet::create() {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail_errno("cannot create an epoll set");
  return std::unique_ptr<KernelNet>(new KernelNet(std::move(epoll)));
}

KernelNet::KernelNet(UniqueFd epoll) : epoll_(std::move(epoll)), payload_(kPayload) {}

Status KernelNet::add(Socket& socket) {
  epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.ptr = &socket}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket.fd.get(), &event) != 0) {
    return fail_errno("cannot watch a socket");
  }
  return {};
}

// Of events that were fetched and not yet taken, none may name what is gone.
void KernelNet::forget(const Socket& socket) {
  for (std::size_t i = begin_; i < end_; ++i) {
    if (events_[i].data.ptr == &socket) events_[i].data.ptr = nullptr;
  }
}

Result<KernelNet::Listener> KernelNet::listen(std::uint16_t port, const ListenOptions& options) {
  auto fd = open_socket(options.stream.congestion);
  if (!fd) return fail(std::move(fd.error()));
  set_option(fd->get(), SOL_SOCKET, SO_REUSEADDR, 1);
  const sockaddr_in6 address = to_sockaddr({.port = port});
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (::bind(fd->get(), generic, sizeof(address)) != 0 ||
      ::listen(fd->get(), static_cast<int>(options.backlog)) != 0) {
    return fail_errno("cannot listen on the kernel's TCP port " + std::to_string(port));
  }
  auto socket = std::make_unique<Socket>(*this, std::move(*fd));
  if (Status s = add(*socket); !s) return fail(std::move(s.error()));
  return Listener(std::move(socket));
}

std::optional<KernelNet::Stream> KernelNet::Listener::accept() {
  UniqueFd fd(::accept4(socket_->fd.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd) return std::nullopt;
  set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  auto socket = std::make_unique<Socket>(socket_->net, std::move(fd));
  socket->connected = true;
  if (!socket_->net.add(*socket)) return std::nullopt;
  return Stream(std::move(socket));
}

Result<KernelNet::Stream> KernelNet::connect(const Endpoint& remote, const StreamOptions& options) {
  auto fd = open_socket(options.congestion);
  if (!fd) return fail(std::move(fd.error()));
  set_option(fd->get(), IPPROTO_TCP, TCP_NODELAY, 1);
  const sockaddr_in6 address = to_sockaddr(remote);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  auto socket = std::make_unique<Socket>(*this, std::move(*fd));
  socket->remote = remote;
  if (::connect(socket->fd.get(), generic, sizeof(address)) != 0 && errno != EINPROGRESS) {
    return fail_errno("cannot connect to " + remote.host());
  }
  if (Status s = add(*socket); !s) return fail(std::move(s.error()));
  return Stream(std::move(socket));
}

bool KernelNet::look(int milliseconds) {
  if (begin_ < end_) return true;
  const int count =
      ::epoll_wait(epoll_.get(), events_.data(), static_cast<int>(events_.size()), milliseconds);
  begin_ = 0;
  end_ = static_cast<std::size_t>(std::max(count, 0));
  return end_ > 0;
}

bool KernelNet::wait(Duration timeout) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
  return look(static_cast<int>(std::clamp<std::int64_t>(ms, 0, 10'000)));
}

std::optional<Event> KernelNet::next() {
  while (begin_ < end_) {
    const epoll_event& event = events_[begin_++];
    auto* socket = static_cast<Socket*>(event.data.ptr);
    if (socket == nullptr) continue;
    Ready ready = Ready::kNone;
    if ((event.events & (EPOLLIN | EPOLLRDHUP)) != 0) ready = ready | Ready::kReadable;
    if ((event.events & (EPOLLERR | EPOLLHUP)) != 0) {
      socklen_t size = sizeof(socket->error);
      (void)::getsockopt(socket->fd.get(), SOL_SOCKET, SO_ERROR, &socket->error, &size);
      if (socket->error != 0) ready = ready | Ready::kEnded;
    } else if ((event.events & EPOLLOUT) != 0) {
      socket->connected = true;
      ready = ready | Ready::kWritable;
    }
    if (ready != Ready::kNone) return Event{.context = socket->context, .ready = ready};
  }
  return std::nullopt;
}

std::size_t KernelNet::send(Stream& stream, std::size_t size) {
  return stream.write(std::span(payload_).first(std::min(size, kPayload)));
}

std::size_t KernelNet::take(Stream& stream, std::size_t most) {
  return stream.read(std::span(payload_).first(std::min(most, kPayload)));
}

KernelNet::Stream::State KernelNet::Stream::state() const {
  if (socket_->error != 0) return State::kEnded;
  return socket_->connected ? State::kOpen : State::kConnecting;
}

std::optional<Error> KernelNet::Stream::error() const {
  if (socket_->error == 0) return std::nullopt;
  return Error{.kind = ErrorKind::kPeer,
               .what = remote().text() + ": " + std::strerror(socket_->error),
               .errno_value = socket_->error};
}

std::size_t KernelNet::Stream::read(std::span<std::byte> buffer) {
  if (buffer.empty()) return 0;
  const ssize_t size = ::recv(socket_->fd.get(), buffer.data(), buffer.size(), 0);
  if (size > 0) {
    socket_->net.copied_ += static_cast<std::size_t>(size);
    return static_cast<std::size_t>(size);
  }
  if (size == 0) socket_->at_end = true;
  if (size < 0 && errno != EAGAIN && errno != EINTR) socket_->error = errno;
  return 0;
}

std::size_t KernelNet::Stream::write(std::span<const std::byte> bytes) {
  const ssize_t size = ::send(socket_->fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (size < 0) {
    if (errno != EAGAIN && errno != EINTR) socket_->error = errno;
    return 0;
  }
  socket_->net.copied_ += static_cast<std::size_t>(size);
  return static_cast<std::size_t>(size);
}

void KernelNet::Stream::shut_down() { (void)::shutdown(socket_->fd.get(), SHUT_WR); }

void KernelNet::Stream::abort() {
  const linger now{.l_onoff = 1, .l_linger = 0};
  (void)::setsockopt(socket_->fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  close();
}

}  // namespace tideline::app::flow
