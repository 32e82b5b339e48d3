// SPDX-License-Identifier: Apache-2.0
#include "port/dgram.h"

#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "packet/checksum.h"

namespace tideline::port {
namespace {

// The longest chain of a received frame: jumbo frames and the byte beyond.
constexpr std::size_t kMaxPieces = 8;
constexpr std::size_t kMaxMtu = 9216;
// Of a burst; one that has more goes in several calls.
constexpr std::size_t kMaxTxPieces = 256;
// What the kernel may hold of frames that the peer has not taken yet, with its own costs: twice a
// jumbo frame's bytes. Their number is bounded, too: net.unix.max_dgram_qlen when the peer begins.
constexpr int kSendBuffer = 4 << 20;
static_assert(kMaxMtu + kEthernetHeader + 5 <=
              kMaxPieces * packet::kSegmentSize - packet::kHeadroom);

Result<sockaddr_un> unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = fmt::format("'{}' cannot be the path of a socket", path),
                 .remedy = "choose a path of at most 107 characters"});
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

const sockaddr* generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

// Whether there is a socket at this path that nobody has any more.
bool is_stale(const sockaddr_un& address) {
  struct stat status{};
  if (::lstat(address.sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
  const UniqueFd probe(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return probe && ::connect(probe.get(), generic(address), sizeof(address)) != 0 &&
         errno == ECONNREFUSED;
}

Result<UniqueFd> bind_socket(const sockaddr_un& address) {
  UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno("cannot open a datagram socket");
  // Beyond the system's limit only as root; less is a wire that is full sooner.
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUFFORCE, &kSendBuffer, sizeof(int)) != 0) {
    ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUF, &kSendBuffer, sizeof(int));
  }
  if (::bind(socket.get(), generic(address), sizeof(address)) == 0) return socket;
  if (errno == EADDRINUSE && is_stale(address)) {
    ::unlink(address.sun_path);
    if (::bind(socket.get(), generic(address), sizeof(address)) == 0) return socket;
  }
  return fail_errno(fmt::format("cannot bind a socket to '{}'", address.sun_path),
                    errno == EADDRINUSE ? "another program uses it: choose another path" : "");
}

Drop send_failure(int error) {
  switch (error) {
    case EAGAIN:
    case ENOBUFS:
      return Drop::kTxFull;
    case ENOENT:
    case ECONNREFUSED:
      return Drop::kTxNoPeer;
    default:
      return Drop::kTxRefused;
  }
}

}  // namespace

Result<std::unique_ptr<DgramPort>> DgramPort::open(const std::string& local,
                                                   const std::string& remote, Pool* pool,
                                                   const DgramPortOptions& options) {
  auto local_address = unix_address(local);
  if (!local_address) return fail(std::move(local_address.error()));
  auto remote_address = unix_address(remote);
  if (!remote_address) return fail(std::move(remote_address.error()));
  if (options.mtu > kMaxMtu) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = fmt::format("a datagram wire cannot have an MTU of {}", options.mtu),
                 .remedy = fmt::format("choose at most {}", kMaxMtu)});
  }
  auto socket = bind_socket(*local_address);
  if (!socket) return fail(std::move(socket.error()));
  // Checksums are filled in here, because who gathers must offer it; the kernel's copy gathers.
  PortInfo info{.name = fmt::format("dgram:{},{}", local, remote),
                .mac = options.mac,
                .mtu = options.mtu,
                .capabilities = {.tx_checksum = true,
                                 .scatter_gather = true,
                                 .max_frame = options.mtu + kEthernetHeader + 4}};
  return std::unique_ptr<DgramPort>(
      new DgramPort(std::move(info), std::move(*socket), *local_address, *remote_address, pool));
}

DgramPort::DgramPort(PortInfo info, UniqueFd socket, const sockaddr_un& local,
                     const sockaddr_un& remote, Pool* pool)
    : Port(std::move(info)),
      socket_(std::move(socket)),
      local_(local),
      remote_(remote),
      pool_(pool) {}

DgramPort::~DgramPort() { ::unlink(local_.sun_path); }

std::size_t DgramPort::rx_burst(unsigned queue, Burst& burst, Instant now) {
  QueueStats& stats = counters(queue);
  std::array<mmsghdr, Burst::kCapacity> messages{};
  std::array<std::array<iovec, kMaxPieces>, Burst::kCapacity> pieces;
  unsigned ready = 0;
  for (; ready < burst.room(); ++ready) {
    PacketPtr& frame = fresh_[ready];
    if (frame == nullptr) frame = pool_->get_chain(capabilities().max_frame + 1);
    if (frame == nullptr) break;
    msghdr& message = messages[ready].msg_hdr;
    message.msg_iov = pieces[ready].data();
    for (packet::Segment* s = &frame->first(); s != nullptr; s = s->next()) {
      pieces[ready][message.msg_iovlen++] = {.iov_base = s->writable().data(),
                                             .iov_len = s->bytes().size()};
    }
  }
  if (ready == 0) {
    // Without a segment to receive into, one frame is taken and dropped, so that a starved port
    // does not look like an idle one.
    std::byte scrap{};
    if (!burst.full() && ::recv(socket_.get(), &scrap, 1, 0) >= 0) stats.drop(Drop::kRxPool);
    return 0;
  }
  const int received = ::recvmmsg(socket_.get(), messages.data(), ready, 0, nullptr);
  std::size_t count = 0;
  for (int i = 0; i < received; ++i) {
    const auto index = static_cast<std::size_t>(i);
    const std::size_t size = messages[index].msg_len;
    PacketPtr frame = std::move(fresh_[index]);
    stats.passes.add(packet::Pass::kKernelCopy, size);
    if (size < kMinFrame || size > capabilities().max_frame) {
      stats.drop(size < kMinFrame ? Drop::kRxShort : Drop::kRxTruncated);
      continue;
    }
    frame->truncate(size);
    frame->meta().timestamp = now;
    stats.received(size);
    burst.push(std::move(frame));
    ++count;
  }
  return count;
}

std::size_t DgramPort::tx_burst(unsigned queue, Burst& burst, Instant /*now*/) {
  QueueStats& stats = counters(queue);
  std::array<mmsghdr, Burst::kCapacity> messages{};
  std::array<iovec, kMaxTxPieces> pieces;
  std::size_t used = 0;
  unsigned ready = 0;
  std::size_t taken = 0;
  for (const PacketPtr& frame : burst) {
    if (frame == nullptr || !admit(queue, *frame)) continue;
    // In place: to sum while the kernel copies is not on offer.
    if (!packet::complete_checksum(*frame, stats.passes)) {
      stats.drop(Drop::kTxOffload);
      continue;
    }
    if (frame->segment_count() > kMaxTxPieces) {
      stats.drop(Drop::kTxScattered);
      continue;
    }
    if (used + frame->segment_count() > kMaxTxPieces) {
      taken += send(stats, std::span(messages).first(ready));
      ready = 0;
      used = 0;
    }
    msghdr& message = messages[ready++].msg_hdr;
    message = {.msg_name = &remote_, .msg_namelen = sizeof(remote_), .msg_iov = &pieces[used]};
    for (const packet::Segment* s = &frame->first(); s != nullptr; s = s->next()) {
      pieces[used++] = {.iov_base = const_cast<std::byte*>(s->bytes().data()),
                        .iov_len = s->bytes().size()};
    }
    message.msg_iovlen = frame->segment_count();
  }
  taken += send(stats, std::span(messages).first(ready));
  burst.clear();
  return taken;
}

// Returns how many the wire has taken; the rest is dropped.
std::size_t DgramPort::send(QueueStats& stats, std::span<mmsghdr> messages) const {
  std::size_t taken = 0;
  while (!messages.empty()) {
    const int sent = ::sendmmsg(socket_.get(), messages.data(),
                                static_cast<unsigned>(messages.size()), MSG_NOSIGNAL);
    if (sent < 0) {
      // Once full it is full for the rest of the burst; other reasons concern one frame.
      const Drop reason = send_failure(errno);
      const std::size_t dropped = reason == Drop::kTxRefused ? 1 : messages.size();
      stats.drop(reason, dropped);
      messages = messages.subspan(dropped);
      continue;
    }
    const auto count = static_cast<std::size_t>(sent);
    for (const mmsghdr& message : messages.first(count)) {
      stats.sent(message.msg_len);
      stats.passes.add(packet::Pass::kKernelCopy, message.msg_len);
    }
    messages = messages.subspan(count);
    taken += count;
  }
  return taken;
}

}  // namespace tideline::port
