// SPDX-License-Identifier: Apache-2.0
#include "port/shm/handshake.h"

#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <string>

namespace tideline::port::shm {
namespace {

// A stopped member's backlog holds this many senders; one more is told to try later.
constexpr int kBacklog = 2 * kMaxMembers;

std::unexpected<Error> peer_error(std::string what) {
  return fail({.kind = ErrorKind::kPeer, .what = std::move(what)});
}

sockaddr_un address_of(const MeetingPoint& meeting_point, unsigned slot) {
  const std::string path = meeting_point.socket_path(slot);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return address;
}

Result<UniqueFd> open_socket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno("cannot open a Unix socket");
  return fd;
}

// A message of exactly the size of T, into `message`; none if nothing has arrived.
template <typename T>
Result<std::optional<std::vector<UniqueFd>>> receive_message(int socket, T& message) {
  auto received = receive_with_fds(socket, std::as_writable_bytes(std::span(&message, 1)));
  if (!received) {
    const int reason = received.error().errno_value;
    if (reason == EAGAIN || reason == EWOULDBLOCK) return std::nullopt;
    return std::unexpected(std::move(received.error()));
  }
  if (received->size == 0) return peer_error("the peer hung up");
  if (received->size != sizeof(T)) return peer_error("a handshake message of a wrong size");
  if (message.magic != kMagic || message.version != kVersion) {
    return peer_error(fmt::format("the peer speaks {:#x} version {}, this side {:#x} version {}",
                                  message.magic, message.version, kMagic, kVersion));
  }
  return std::move(received->fds);
}

// Memory that a peer owns: nothing in it is touched before seals and size are known to be right and
// all its pages are there.
Result<Mapping> adopt(int fd, std::size_t bytes, Sharing sharing) {
  if (Status status = verify_memfd(fd, bytes, sharing); !status) {
    return std::unexpected(std::move(status.error()));
  }
  auto mapping = Mapping::map(
      fd, bytes, sharing == Sharing::kReadOnly ? Access::kReadOnly : Access::kReadWrite);
  if (!mapping) return mapping;
  if (Status status = mapping->populate(); !status) {
    return std::unexpected(std::move(status.error()));
  }
  return mapping;
}

Status check_bounds(const Hello& hello, unsigned slots) {
  if (hello.source >= slots) return peer_error("a slot outside of the segment");
  if (!is_power_of_two(hello.ring_slots) || hello.ring_slots < kMinRingSlots ||
      hello.ring_slots > kMaxRingSlots) {
    return peer_error(fmt::format("a ring of {} slots", hello.ring_slots));
  }
  if (hello.arena_bytes == 0 || hello.arena_bytes > kMaxArenaBytes ||
      hello.arena_bytes % kPageSize != 0) {
    return peer_error(fmt::format("an arena of {} bytes", hello.arena_bytes));
  }
  return {};
}

// The descriptor for Peers comes last, and may be missing.
std::span<const int> without_missing(const std::array<int, 3>& fds) {
  return std::span(fds).first(fds.back() < 0 ? 2 : 3);
}
bool is_complete(const std::vector<UniqueFd>& fds) { return fds.size() == 2 || fds.size() == 3; }

Result<ucred> credentials_of(int socket) {
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return fail_errno("cannot read the peer's credentials");
  }
  return credentials;
}

// That the process at the other end is the one whose pid the slot's lock file names.
Status check_owner(const MeetingPoint& meeting_point, const Hello& hello, int socket) {
  const std::optional<LeaseRecord> owner = meeting_point.owner(hello.source);
  if (!owner || owner->incarnation != hello.incarnation) {
    return peer_error(fmt::format("slot {} has another owner", hello.source));
  }
  const auto credentials = credentials_of(socket);
  if (!credentials) return std::unexpected(credentials.error());
  // In another pid namespace the numbers differ; the meeting point's file mode is the guard then.
  if (is_of_this_pid_namespace(*owner) &&
      static_cast<std::uint64_t>(credentials->pid) != owner->pid) {
    return peer_error(
        fmt::format("process {} does not own slot {}", credentials->pid, hello.source));
  }
  return {};
}

}  // namespace

Result<Region> Region::make(const char* name, std::size_t bytes, PageKind pages, Sharing sharing,
                            bool collapse) {
  auto fd = create_memfd(name, bytes, pages);
  if (!fd) return std::unexpected(std::move(fd.error()));
  auto memory = Mapping::map(fd->get(), bytes, Access::kReadWrite);
  if (!memory) return std::unexpected(std::move(memory.error()));
  const bool collapsed = collapse && memory->try_collapse();
  Status status = memory->populate();
  if (status) status = seal_memfd(fd->get(), sharing);
  if (!status) return std::unexpected(std::move(status.error()));
  return Region{std::move(*fd), std::move(*memory), collapsed};
}

Result<UniqueFd> listen_at(const MeetingPoint& meeting_point, unsigned slot) {
  Result<UniqueFd> fd = open_socket();
  if (!fd) return fd;
  const sockaddr_un address = address_of(meeting_point, slot);
  if (::bind(fd->get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(fd->get(), kBacklog) != 0) {
    return fail_errno(fmt::format("cannot listen at slot {} of the segment", slot));
  }
  return fd;
}

std::optional<UniqueFd> accept_from(int listener) {
  const int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return std::nullopt;
  return UniqueFd(fd);
}

Result<UniqueFd> send_hello(const MeetingPoint& meeting_point, unsigned destination,
                            const Hello& hello, int ring, int arena, int own) {
  Result<UniqueFd> fd = open_socket();
  if (!fd) return fd;
  const sockaddr_un address = address_of(meeting_point, destination);
  if (::connect(fd->get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return fail_errno(fmt::format("cannot connect to slot {}", destination));
  }
  const std::array<int, 3> fds = {ring, arena, own};
  const Status sent =
      send_with_fds(fd->get(), std::as_bytes(std::span(&hello, 1)), without_missing(fds));
  if (!sent) return std::unexpected(sent.error());
  return fd;
}

Result<std::optional<Arrival>> receive_hello(const MeetingPoint& meeting_point, unsigned slots,
                                             int socket) {
  Arrival arrival;
  auto fds = receive_message(socket, arrival.hello);
  if (!fds) return std::unexpected(std::move(fds.error()));
  std::optional<std::vector<UniqueFd>>& passed = *fds;
  if (!passed) return std::nullopt;
  if (!is_complete(*passed)) return peer_error("a Hello needs two or three descriptors");
  Status status = check_bounds(arrival.hello, slots);
  if (status) status = check_owner(meeting_point, arrival.hello, socket);
  if (!status) return std::unexpected(std::move(status.error()));
  auto ring = adopt((*passed)[0].get(), ring_bytes(arrival.hello.ring_slots), Sharing::kReadOnly);
  if (!ring) return std::unexpected(std::move(ring.error()));
  auto arena = adopt((*passed)[1].get(), arrival.hello.arena_bytes, Sharing::kReadOnly);
  if (!arena) return std::unexpected(std::move(arena.error()));
  arrival.ring = std::move(*ring);
  arrival.arena = std::move(*arena);
  if (passed->size() == 3) arrival.theirs = std::move((*passed)[2]);
  return arrival;
}

Status send_welcome(int socket, int index, int hints, int own) {
  const Welcome welcome{.accepted = 1};
  const std::array<int, 3> fds = {index, hints, own};
  return send_with_fds(socket, std::as_bytes(std::span(&welcome, 1)), without_missing(fds));
}

Status send_refusal(int socket) {
  const Welcome refusal{};
  return send_with_fds(socket, std::as_bytes(std::span(&refusal, 1)), {});
}

Result<std::optional<Acceptance>> receive_welcome(int socket) {
  Welcome welcome;
  auto fds = receive_message(socket, welcome);
  if (!fds) return std::unexpected(std::move(fds.error()));
  std::optional<std::vector<UniqueFd>>& passed = *fds;
  if (!passed) return std::nullopt;
  if (welcome.accepted == 0) return peer_error("the destination refuses this member");
  if (!is_complete(*passed)) return peer_error("a Welcome needs two or three descriptors");
  auto index = adopt((*passed)[0].get(), sizeof(IndexPage), Sharing::kReadOnly);
  if (!index) return std::unexpected(std::move(index.error()));
  auto hints = adopt((*passed)[1].get(), sizeof(HintPage), Sharing::kReadWrite);
  if (!hints) return std::unexpected(std::move(hints.error()));
  Acceptance acceptance{.index = std::move(*index), .hints = std::move(*hints)};
  if (passed->size() == 3) acceptance.theirs = std::move((*passed)[2]);
  if (const auto credentials = credentials_of(socket)) acceptance.pid = credentials->pid;
  return acceptance;
}

}  // namespace tideline::port::shm
