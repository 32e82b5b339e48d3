// SPDX-License-Identifier: Apache-2.0
#include "proofs/token/shim/process.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/un.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "proofs/token/bells.h"
#include "proofs/token/shim/epoll_set.h"
#include "proofs/token/shim/fd_table.h"
#include "proofs/token/shim/kernel.h"

namespace proofs::token {

constinit Process process;

namespace {

constexpr std::uint32_t kNetwork = 0xc6120000;  // 198.18.0.0/24 (RFC 2544)

void read_ports(const char* list, std::array<std::uint16_t, 16>& ports) {
  for (auto& port : ports) {
    char* end = nullptr;
    port = static_cast<std::uint16_t>(std::strtoul(list, &end, 10));
    if (*end != ',') return;
    list = end + 1;
  }
}

}  // namespace

void Process::start() {
  if (started_.load(std::memory_order_acquire)) return;
  const std::lock_guard guard(mutex_);
  if (started_.load(std::memory_order_relaxed)) return;
  if (const char* path = std::getenv("PROOF_TOKEN_BROKER")) {
    std::strncpy(settings_.broker, path, sizeof(settings_.broker) - 1);
  }
  if (const char* ports = std::getenv("PROOF_TOKEN_PORTS")) read_ports(ports, settings_.ports);
  const char* wake = std::getenv("PROOF_TOKEN_WAKE");
  if (wake != nullptr && std::strcmp(wake, "token") == 0) settings_.wake = WakeMode::kToken;
  if (const char* spin = std::getenv("PROOF_TOKEN_SPIN_US")) {
    settings_.spin_us = static_cast<std::uint32_t>(std::strtoul(spin, nullptr, 10));
  }
  ::pthread_atfork(&before_fork, &after_fork_parent, &after_fork_child);
  started_.store(true, std::memory_order_release);
}

bool Process::ours(const sockaddr* address, socklen_t size) const {
  if (address == nullptr || size < sizeof(sockaddr_in) || address->sa_family != AF_INET) {
    return false;
  }
  const Address end = from_sockaddr(address);
  const std::uint32_t ip = ntohl(end.ip);
  if ((ip & 0xffffff00) == kNetwork) return true;
  if (ip != INADDR_ANY && ip != INADDR_LOOPBACK) return false;
  return end.port != 0 && std::ranges::find(settings_.ports, end.port) != settings_.ports.end();
}

int Process::hide(int fd) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return fd;
  const rlim_t top = std::min<rlim_t>(limit.rlim_cur, kMaxFds);
  const int high =
      kernel::fcntl(fd, F_DUPFD_CLOEXEC, static_cast<long>(top - std::min<rlim_t>(top / 2, 256)));
  if (high >= 0) {
    kernel::close(fd);
    fd = high;
  }
  fd_table.set(fd, Kind::kInternal);
  return fd;
}

bool Process::link() {
  if (linked_.load(std::memory_order_acquire)) return true;
  const std::lock_guard guard(mutex_);
  if (linked_.load(std::memory_order_relaxed)) return true;
  const int socket = kernel::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (socket < 0) return false;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, settings_.broker, sizeof(address.sun_path));
  if (kernel::connect(socket, &address, sizeof(address)) != 0) {
    kernel::close(socket);
    return false;
  }
  control_ = hide(socket);
  const Answer hello = ask({.op = Op::kHello});
  if (hello.reply.error == 0 && board_ == nullptr) {
    void* at = ::mmap(nullptr, kBoardBytes, PROT_READ | PROT_WRITE, MAP_SHARED, hello.fds[0], 0);
    if (at != MAP_FAILED) board_ = static_cast<Board*>(at);
  }
  if (hello.fds[0] >= 0) kernel::close(hello.fds[0]);
  if (hello.reply.error != 0 || board_ == nullptr) {
    fd_table.set(control_, Kind::kUnknown);
    kernel::close(std::exchange(control_, -1));
    return false;
  }
  owner_ = {.incarnation = hello.reply.incarnation, .process = hello.reply.process};
  linked_.store(true, std::memory_order_release);
  return true;
}

Process::Answer Process::ask(const Request& request, int fd) {
  const std::lock_guard guard(mutex_);
  Answer answer{.reply = {.error = ENETUNREACH}};
  Request copy = request;
  iovec iov{&copy, sizeof(copy)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(answer.fds))] = {};
  msghdr message{};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  }
  if (kernel::sendmsg(control_, &message, MSG_NOSIGNAL) != sizeof(copy)) return answer;
  int error = 0;
  do {
    error = receive_reply(control_, 0, answer.reply, answer.fds);
  } while (error == EINTR);
  if (error != 0) answer.reply.error = ENETUNREACH;
  return answer;
}

int receive_reply(int socket, int flags, Reply& reply, std::array<int, 3>& fds) {
  iovec iov{&reply, sizeof(reply)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(fds))] = {};
  msghdr message{};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const ssize_t size = kernel::recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
  if (size < 0) return errno;
  if (size == 0) return ECONNABORTED;
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header != nullptr && header->cmsg_type == SCM_RIGHTS) {
    std::memcpy(fds.data(), CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
  }
  return size == sizeof(reply) && reply.magic == kMagic ? 0 : ECONNABORTED;
}

OwnBell Process::take_bell() {
  if (!link()) return {};
  const std::lock_guard guard(mutex_);
  if (spare_count_ > 0) return spare_[--spare_count_];
  const Answer answer = ask({.op = Op::kNewBell});
  if (answer.reply.error != 0) return {};
  return {.number = answer.reply.bell, .doorbell = hide(answer.fds[0])};
}

void Process::give_bell(const OwnBell& bell) {
  const std::lock_guard guard(mutex_);
  if (bell.number != 0 && spare_count_ < spare_.size()) spare_[spare_count_++] = bell;
}

// The descriptor for somebody's bell: asked for once, and again when the number has a new owner.
int Process::doorbell_of(std::uint32_t bell) {
  const std::uint32_t generation = board_->bells[bell].generation.load();
  const std::uint64_t known = doorbells_[bell].load(std::memory_order_acquire);
  if (known >> 32 == generation) return static_cast<int>(known & 0xffffffff) - 1;
  const std::lock_guard guard(mutex_);
  const Answer answer = ask({.op = Op::kFindBell, .bell = bell});
  if (answer.reply.error != 0) return -1;
  const int fd = hide(answer.fds[0]);
  const std::uint64_t old = doorbells_[bell].exchange(std::uint64_t{answer.reply.generation} << 32 |
                                                      static_cast<std::uint32_t>(fd + 1));
  if (old != 0) {
    const int stale = static_cast<int>(old & 0xffffffff) - 1;
    fd_table.set(stale, Kind::kUnknown);
    kernel::close(stale);
  }
  return fd;
}

void Process::ring(std::uint32_t bell) {
  const kernel::KeepErrno keep;
  const std::uint64_t one = 1;
  if (!link()) return;
  const int fd = doorbell_of(bell);
  if (fd >= 0) kernel::write(fd, &one, sizeof(one));
}

void Process::before_fork() {
  process.mutex_.lock();
  EpollSet::before_fork();
}

void Process::after_fork_parent() {
  EpollSet::after_fork(false);
  process.mutex_.unlock();
}

// The child is a process of its own to the broker: it keeps the mappings and the descriptors of
// others' doorbells, and gives up the link and the bells, which are the parent's.
void Process::after_fork_child() {
  EpollSet::after_fork(true);
  if (process.control_ >= 0) {
    fd_table.set(process.control_, Kind::kUnknown);
    kernel::close(std::exchange(process.control_, -1));
  }
  for (; process.spare_count_ > 0; --process.spare_count_) {
    const int fd = process.spare_[process.spare_count_ - 1].doorbell;
    fd_table.set(fd, Kind::kUnknown);
    kernel::close(fd);
  }
  process.linked_.store(false);
  new (&process.mutex_) std::recursive_mutex;  // its owner was the parent's thread
}

Address from_sockaddr(const sockaddr* address) {
  sockaddr_in in{};
  std::memcpy(&in, address, sizeof(in));
  return {.ip = in.sin_addr.s_addr, .port = ntohs(in.sin_port)};
}

void to_sockaddr(const Address& from, sockaddr* to, socklen_t* size) {
  if (to == nullptr || size == nullptr) return;
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_addr.s_addr = from.ip;
  in.sin_port = htons(from.port);
  std::memcpy(to, &in, std::min<std::size_t>(*size, sizeof(in)));
  *size = sizeof(in);
}

}  // namespace proofs::token
