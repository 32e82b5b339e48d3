// SPDX-License-Identifier: Apache-2.0
#include "control/server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "base/thread.h"
#include "control/place.h"
#include "control/status_json.h"
#include "engine/attachment.h"

namespace tideline::control {
namespace {

constexpr std::size_t kMostClients = 8;
constexpr std::size_t kStack = std::size_t{256} << 10;

// Under another name until it listens: who finds a socket that refuses removes it.
Result<UniqueFd> listen_as(int directory, const std::string& name) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno("cannot make a control socket");
  const std::string temporary = "." + name;
  const std::string path = path_in(directory, temporary);
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  if (path.size() >= sizeof(address.sun_path)) {
    errno = ENAMETOOLONG;
    return fail_errno("cannot name the control socket");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return fail_errno("cannot name the control socket");
  }
  if (::listen(fd.get(), 16) == 0 &&
      ::renameat(directory, temporary.c_str(), directory, name.c_str()) == 0) {
    return fd;
  }
  auto failed = fail_errno("cannot listen on the control socket");
  ::unlinkat(directory, temporary.c_str(), 0);
  return failed;
}

// What processes have left that were killed.
void remove_stale(int directory) {
  for (const std::string& name : sockets_in(directory)) (void)connect_to(directory, name);
}

}  // namespace

Result<std::unique_ptr<Server>> Server::start(Subject& subject, Identity identity) {
  return start_in(open_place(), subject, std::move(identity), {});
}

Result<std::unique_ptr<Server>> Server::start(Subject& subject, Identity identity,
                                              FrontEndServer front_end) {
  return start_in(open_place_in(front_end.directory), subject, std::move(identity),
                  std::move(front_end.stop));
}

Result<std::unique_ptr<Server>> Server::start_in(Result<UniqueFd> directory, Subject& subject,
                                                 Identity identity, std::function<void()> stop_it) {
  if (!directory) return fail(std::move(directory.error()));
  remove_stale(directory->get());
  std::string name =
      fmt::format("{}-{:08x}{}", ::getpid(), engine::random_seed() & 0xffffffff, kSocketSuffix);
  auto socket = listen_as(directory->get(), name);
  if (!socket) return fail(std::move(socket.error()));
  auto stop = ring::EventBell::create();
  if (!stop) return fail(std::move(stop.error()));
  std::unique_ptr<Server> server(new Server(subject, std::move(identity), std::move(stop_it),
                                            std::move(*directory), std::move(*socket),
                                            std::move(name), std::move(*stop)));
  if (Status s = server->start_thread(); !s) return fail(std::move(s.error()));
  return server;
}

Status Server::start_thread() {
  // By the thread that creates it: nobody's first allocation is to happen behind the program's
  // back. libfabric rewrites mmap and munmap in place when it starts, and a thread that the
  // allocator has sent there returns into the middle of an instruction.
  watched_.reserve(kMostClients + 2);
  const auto thread = start_quiet_thread(&Server::main, this, kStack, "the control thread");
  if (!thread) return fail(thread.error());
  thread_ = *thread;
  started_ = true;
  return {};
}

Server::~Server() {
  if (started_) {
    stop_.ring();
    ::pthread_join(thread_, nullptr);
  }
  ::unlinkat(directory_.get(), name_.c_str(), 0);
}

void* Server::main(void* server) {
  ::prctl(PR_SET_NAME, "tideline-status");
  static_cast<Server*>(server)->run();
  return nullptr;
}

void Server::run() {
  for (;;) {
    watched_.assign({{.fd = stop_.fd(), .events = POLLIN, .revents = 0},
                     {.fd = socket_.get(), .events = POLLIN, .revents = 0}});
    Instant deadline = kNever;
    for (const Client& client : clients_) {
      const bool answers = client.conversation.state() == Conversation::State::kAnswering;
      watched_.push_back({.fd = client.fd.get(),
                          .events = static_cast<short>(answers ? POLLOUT : POLLIN),
                          .revents = 0});
      deadline = std::min(deadline, client.conversation.deadline());
    }
    int timeout = -1;
    if (deadline != kNever) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - monotonic_now());
      timeout = static_cast<int>(std::max<std::int64_t>(left.count(), 0));
    }
    ::poll(watched_.data(), watched_.size(), timeout);
    if (watched_[0].revents != 0) return;
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      // A look at an engine that ends takes its time, and there may be many to look for.
      pollfd stop{.fd = watched_[0].fd, .events = POLLIN, .revents = 0};
      if (::poll(&stop, 1, 0) > 0) return;
      serve(clients_[i], watched_[i + 2].revents != 0);
    }
    std::erase_if(clients_, [](const Client& client) {
      return client.conversation.state() == Conversation::State::kOver;
    });
    if (watched_[1].revents != 0) accept();
  }
}

bool Server::is_permitted(int fd) const {
  ucred client{};
  socklen_t size = sizeof(client);
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &client, &size) != 0) return false;
  return client.uid == 0 || client.uid == ::geteuid();
}

void Server::accept() {
  for (;;) {
    UniqueFd fd(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
      // The program has no descriptor left: not to be asked for one again at once.
      pollfd stop{.fd = stop_.fd(), .events = POLLIN, .revents = 0};
      ::poll(&stop, 1, 100);
    }
    if (!fd) return;
    if (clients_.size() == kMostClients) clients_.erase(clients_.begin());
    const bool permitted = is_permitted(fd.get());
    clients_.push_back(
        {.fd = std::move(fd), .conversation = Conversation(permitted, monotonic_now())});
  }
}

void Server::serve(Client& client, bool ready) {
  using State = Conversation::State;
  Conversation& conversation = client.conversation;
  if (ready && conversation.state() == State::kListening) {
    std::array<char, 256> bytes{};
    const ssize_t size = ::recv(client.fd.get(), bytes.data(), bytes.size(), 0);
    if (size > 0) conversation.add({bytes.data(), static_cast<std::size_t>(size)});
    if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR)) conversation.end();
  }
  if (conversation.state() == State::kAsked) {
    conversation.answer(to_json(identity_, take_status(subject_)));
  }
  if (conversation.state() == State::kToldToStop) {
    if (stop_program_) {
      stop_program_();
      conversation.answer("{\"stopping\":true}\n");
    } else {
      conversation.refuse("this program is no front end: it ends as it likes");
    }
  }
  if (conversation.state() == State::kAnswering) {
    const std::string_view bytes = conversation.pending();
    const ssize_t size = ::send(client.fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size > 0) conversation.sent(static_cast<std::size_t>(size));
    if (size < 0 && errno != EAGAIN && errno != EINTR) conversation.end();
  }
  if (monotonic_now() >= conversation.deadline()) conversation.end();
}

}  // namespace tideline::control
