// SPDX-License-Identifier: Apache-2.0
// The server of socket_load: sends back what comes, on as many connections as it may have. Beyond
// that it leaves clients in the queue of its listener until others go.
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <unordered_map>
#include <utility>

#include "load.h"

namespace load {
namespace {

class Server {
 public:
  explicit Server(const Target& target)
      : epoll_(::epoll_create1(EPOLL_CLOEXEC)),
        listener_(
            ::socket(target.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    const int on = 1;
    ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (::bind(listener_, reinterpret_cast<const sockaddr*>(&target.address), target.size) != 0) {
      fail("bind");
    }
    if (::listen(listener_, 4096) != 0) fail("listen");
    control(EPOLL_CTL_ADD, listener_, EPOLLIN);
  }

  [[noreturn]] void run() {
    for (;;) {
      std::array<epoll_event, 256> events;
      const int count = ::epoll_wait(epoll_, events.data(), events.size(), -1);
      if (count < 0 && errno != EINTR) fail("epoll_wait");
      for (int i = 0; i < count; ++i) {
        const int fd = events[static_cast<std::size_t>(i)].data.fd;
        fd == listener_ ? take_clients() : answer(fd);
      }
    }
  }

 private:
  void control(int operation, int fd, std::uint32_t events) const {
    epoll_event event{.events = events, .data = {.fd = fd}};
    if (::epoll_ctl(epoll_, operation, fd, &event) != 0) fail("epoll_ctl");
  }

  void take_clients() {
    for (;;) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0 && errno == EMFILE && !full_) {
        full_ = true;
        control(EPOLL_CTL_MOD, listener_, 0);
      }
      if (fd < 0 && errno != EAGAIN && errno != EMFILE && errno != EINTR) fail("accept");
      if (fd < 0) return;
      control(EPOLL_CTL_ADD, fd, EPOLLIN);
    }
  }

  // What could not be sent back yet waits in `unsent_`, and nothing is read meanwhile.
  void answer(int fd) {
    std::array<char, 65536> buffer;
    if (const auto found = unsent_.find(fd); found != unsent_.end()) {
      std::string rest = std::move(found->second);
      unsent_.erase(found);
      if (!send_back(fd, rest.data(), rest.size())) return;
      control(EPOLL_CTL_MOD, fd, EPOLLIN);
    }
    const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return drop(fd);
    send_back(fd, buffer.data(), static_cast<std::size_t>(got));
  }

  // Whether all was sent, and the connection is there.
  bool send_back(int fd, const char* bytes, std::size_t size) {
    const ssize_t sent = ::send(fd, bytes, size, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
      drop(fd);
      return false;
    }
    const std::size_t done = sent < 0 ? 0 : static_cast<std::size_t>(sent);
    if (done == size) return true;
    unsent_[fd] = std::string(bytes + done, size - done);
    control(EPOLL_CTL_MOD, fd, EPOLLOUT);
    return false;
  }

  void drop(int fd) {
    unsent_.erase(fd);
    ::close(fd);
    if (!full_) return;
    full_ = false;
    control(EPOLL_CTL_MOD, listener_, EPOLLIN);
  }

  int epoll_;
  int listener_;
  bool full_ = false;  // no descriptor was left
  std::unordered_map<int, std::string> unsent_;
};

}  // namespace

int serve(const Target& target) { Server(target).run(); }

}  // namespace load
