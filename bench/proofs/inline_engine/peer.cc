// SPDX-License-Identifier: Apache-2.0
#include "proofs/inline_engine/peer.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "base/memfd.h"

namespace proofs::inline_engine {
namespace {

bool readable(int fd, int timeout_ms) {
  pollfd poll_fd{fd, POLLIN, 0};
  int ready = 0;
  do {
    ready = ::poll(&poll_fd, 1, timeout_ms);
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

tideline::Result<tideline::UniqueFd> listen_at(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  tideline::UniqueFd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!listener ||
      ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(listener.get(), 64) != 0) {
    return tideline::fail_errno("cannot listen at " + path);
  }
  return listener;
}

}  // namespace

bool Member::send(std::uint64_t id) {
  if (!out_.push({.id = id, .sent_tsc = tideline::tsc_now()})) return false;
  if (engine_notifier_.should_ring()) engine_bell_.ring();
  return true;
}

std::optional<Frame> Member::receive() {
  Frame frame;
  if (!in_.pop(frame)) return std::nullopt;
  if (room_notifier_.should_ring()) engine_bell_.ring();
  return frame;
}

void Member::wait(int timeout_ms) {
  channel_->peer_flag.arm();
  if (in_.empty()) bell_.sleep(std::chrono::milliseconds(timeout_ms));
  channel_->peer_flag.disarm();
}

bool Member::hung_up(int timeout_ms) const { return readable(socket_.get(), timeout_ms); }

bool Member::exited(int timeout_ms) const { return readable(pidfd_.get(), timeout_ms); }

tideline::Result<MeetingPoint> MeetingPoint::create() {
  std::string directory = "/tmp/tideline-proof-XXXXXX";
  if (::mkdtemp(directory.data()) == nullptr)
    return tideline::fail_errno("cannot make " + directory);
  tideline::Result<tideline::UniqueFd> listener = listen_at(directory + "/engine");
  if (!listener) return std::unexpected(listener.error());
  return MeetingPoint(std::move(directory), std::move(*listener));
}

MeetingPoint::~MeetingPoint() {
  if (!listener_) return;
  ::unlink(path_.c_str());
  ::rmdir(directory_.c_str());
}

tideline::Result<Member> MeetingPoint::accept(int timeout_ms) {
  if (!readable(listener_.get(), timeout_ms)) {
    return tideline::fail({.kind = tideline::ErrorKind::kPeer, .what = "no program attached"});
  }
  tideline::UniqueFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!socket) return tideline::fail_errno("cannot accept a program");
  std::byte payload[1]{};
  tideline::Result<tideline::ReceivedMessage> offer =
      tideline::receive_with_fds(socket.get(), payload);
  if (!offer) return std::unexpected(offer.error());
  if (offer->fds.size() != 1) {
    return tideline::fail({.kind = tideline::ErrorKind::kPeer, .what = "no doorbell came along"});
  }

  tideline::Result<tideline::UniqueFd> memfd =
      tideline::create_memfd("tideline-channel", sizeof(Channel), tideline::PageKind::kNormal);
  if (!memfd) return std::unexpected(memfd.error());
  tideline::Result<tideline::Mapping> memory =
      tideline::Mapping::map(memfd->get(), sizeof(Channel), tideline::Access::kReadWrite);
  if (!memory) return std::unexpected(memory.error());
  if (tideline::Status status = tideline::seal_memfd(memfd->get(), tideline::Sharing::kReadWrite);
      !status) {
    return std::unexpected(status.error());
  }
  Channel& channel = Channel::create(memory->data());
  tideline::Result<tideline::ring::EventBell> bell = tideline::ring::EventBell::create();
  if (!bell) return std::unexpected(bell.error());
  const int fds[] = {memfd->get(), bell->fd()};

  Member member(std::move(*memory), channel,
                tideline::ring::EventBell::attach(std::move(offer->fds[0])), std::move(*bell));
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  ::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size);
  member.pid_ = credentials.pid;
  member.pidfd_ =
      tideline::UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, credentials.pid, 0)));
  if (tideline::Status status = tideline::send_with_fds(socket.get(), payload, fds); !status) {
    return std::unexpected(status.error());
  }
  member.socket_ = std::move(socket);
  return member;
}

}  // namespace proofs::inline_engine
