// SPDX-License-Identifier: Apache-2.0
#include "shim/sockets/passing.h"

#include <fcntl.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "client/types.h"
#include "queue/messages.h"
#include "shim/sockets/calls.h"
#include "shim/sockets/libc.h"
#include "shim/sockets/process.h"
#include "shim/sockets/stdio.h"

namespace tideline::shim::sockets {
namespace {

// Messages of the channel's own pass through here, too.
thread_local bool asking = false;

class Asking {
 public:
  Asking() : before_(std::exchange(asking, true)) {}
  Asking(const Asking&) = delete;
  Asking& operator=(const Asking&) = delete;
  ~Asking() { asking = before_; }

 private:
  bool before_;
};

std::optional<client::Sockets::Adopted> adopted_by(int token) {
  const Asking inside;
  client::Sockets* sockets = process.sockets();
  if (sockets == nullptr) return std::nullopt;
  const auto adopted = sockets->adopt(token);
  if (!adopted) return std::nullopt;
  return *adopted;
}

// The number becomes what every socket of ours is: an INET socket of the kernel's, and ours.
void adopt(int fd) {
  if (!FdTable::holds(fd) || !passes_through(fd) || !is_token(fd)) return;
  const auto adopted = adopted_by(fd);
  if (!adopted) return;
  const int domain = adopted->socket->local().address.is_mapped() ? AF_INET : AF_INET6;
  const bool stream = adopted->type == client::SocketType::kStream;
  const bool nonblocking = (libc().fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
  const bool cloexec = (libc().fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
  const UniqueFd kernel_half(libc().socket(
      domain, (stream ? SOCK_STREAM : SOCK_DGRAM) | (nonblocking ? SOCK_NONBLOCK : 0), 0));
  File* file = kernel_half ? File::open(domain, adopted->type, nonblocking) : nullptr;
  if (file == nullptr || libc().dup3(kernel_half.get(), fd, cloexec ? O_CLOEXEC : 0) < 0) {
    adopted->socket->close(false);
    return;
  }
  file->ours.store(adopted->socket, std::memory_order_release);
  file->side.store(Side::kOurs, std::memory_order_release);
  fd_table.set(fd, Kind::kSocket, file);
  renew_standard_stream(fd);
  process.count(Count::kOurs);
}

template <typename Body>
void for_each_descriptor(const msghdr& message, const Body& body) {
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(const_cast<msghdr*>(&message), header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(fd));
      if (const int other = body(fd); other != fd) {
        std::memcpy(CMSG_DATA(header) + i * sizeof(int), &other, sizeof(other));
      }
    }
  }
}

}  // namespace

bool is_token(int fd) {
  sockaddr_un name{};
  socklen_t size = sizeof(name);
  if (libc().getpeername(fd, reinterpret_cast<sockaddr*>(&name), &size) != 0) return false;
  const std::size_t length = size - offsetof(sockaddr_un, sun_path);
  return name.sun_family == AF_UNIX && length > queue::kTokenName.size() &&
         std::memcmp(name.sun_path, queue::kTokenName.data(), queue::kTokenName.size()) == 0;
}

UniqueFd take_token(const File& file) {
  const Asking inside;
  auto token = file.socket().token();
  if (!token) return {};
  const int flags = libc().fcntl(token->get(), F_GETFL) & ~O_NONBLOCK;
  libc().fcntl(token->get(), F_SETFL, file.nonblocking.load() ? flags | O_NONBLOCK : flags);
  return std::move(*token);
}

client::Socket* adopt_token(int token) {
  const auto adopted = adopted_by(token);
  return adopted ? adopted->socket : nullptr;
}

PassingMessage::PassingMessage(const msghdr& message) : message_(message) {
  if (asking || message.msg_controllen == 0 || process.running() == nullptr) return;
  const auto* control = static_cast<const char*>(message.msg_control);
  control_.assign(control, control + message.msg_controllen);
  message_.msg_control = control_.data();
  for_each_descriptor(message_, [this](int fd) {
    const FileRef file(fd);
    if (!file || !file->has_ours()) return fd;
    UniqueFd token = take_token(*file);
    if (!token) return fd;
    tokens_.push_back(std::move(token));
    return tokens_.back().get();
  });
}

void adopt_received(const msghdr& message) {
  if (asking || message.msg_controllen == 0) return;
  const int before = errno;
  for_each_descriptor(message, [](int fd) {
    adopt(fd);
    return fd;
  });
  errno = before;
}

}  // namespace tideline::shim::sockets
