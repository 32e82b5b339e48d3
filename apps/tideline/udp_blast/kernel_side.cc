// SPDX-License-Identifier: Apache-2.0
#include "udp_blast/kernel_side.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>

#include <atomic>
#include <bit>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>

#include "base/clock.h"

namespace tideline::app::blast {
namespace {

constexpr std::size_t kMostPerPacket = 64;  // UDP_MAX_SEGMENTS in older releases
constexpr int kSocketBuffer = 64 << 20;     // what a burst may leave unread
constexpr Duration kNap = std::chrono::milliseconds(50);

std::atomic<bool> stopped{false};

extern "C" void stop_blast(int /*signal*/) { stopped = true; }

void stop_on_signals() {
  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, stop_blast);
}

sockaddr_in6 to_sockaddr(const ip::UdpEndpoint& endpoint) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = std::byteswap(endpoint.port);
  std::memcpy(&address.sin6_addr, endpoint.address.bytes().data(), sizeof(address.sin6_addr));
  return address;
}

ip::UdpEndpoint from_sockaddr(const sockaddr_storage& storage) {
  sockaddr_in6 address{};
  std::memcpy(&address, &storage, sizeof(address));
  std::array<std::uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), &address.sin6_addr, bytes.size());
  return {.address = wire::Ipv6Address(bytes), .port = std::byteswap(address.sin6_port)};
}

// Both IP versions on one socket, with room for bursts: more than the limit for all programs if
// this one may.
Result<UniqueFd> open_socket() {
  UniqueFd socket(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const int off = 0;
  if (!socket || ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) != 0) {
    return fail_errno("cannot open a UDP socket");
  }
  for (const auto& [force, plain] :
       {std::pair(SO_RCVBUFFORCE, SO_RCVBUF), std::pair(SO_SNDBUFFORCE, SO_SNDBUF)}) {
    if (::setsockopt(socket.get(), SOL_SOCKET, force, &kSocketBuffer, sizeof(int)) != 0) {
      (void)::setsockopt(socket.get(), SOL_SOCKET, plain, &kSocketBuffer, sizeof(int));
    }
  }
  return socket;
}

// Sleeps until the socket is readable or `until` has come, and not for long.
void nap(int socket, Instant until, Instant now) {
  const Duration rest = std::min(until - now, kNap);
  if (rest <= Duration::zero()) return;
  const timespec timeout{.tv_nsec = rest.count()};
  pollfd fd{.fd = socket, .events = POLLIN};
  ::ppoll(&fd, 1, &timeout, nullptr);
}

}  // namespace

MessageBatch::MessageBatch() : memory_(kMessages * kBuffer) {
  for (std::size_t i = 0; i < memory_.size(); ++i) memory_[i] = static_cast<std::byte>(i * 7);
}

void MessageBatch::set_out(std::size_t index, std::size_t size, std::size_t segment) {
  pieces_[index] = {.iov_base = buffer(index), .iov_len = size};
  msghdr& header = headers_[index].msg_hdr;
  header = {.msg_iov = &pieces_[index], .msg_iovlen = 1};
  if (segment == 0) return;
  header.msg_control = controls_[index].bytes.data();
  header.msg_controllen = CMSG_SPACE(sizeof(std::uint16_t));
  cmsghdr* control = CMSG_FIRSTHDR(&header);
  control->cmsg_level = SOL_UDP;
  control->cmsg_type = UDP_SEGMENT;
  control->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
  const auto value = static_cast<std::uint16_t>(segment);
  std::memcpy(CMSG_DATA(control), &value, sizeof(value));
}

void MessageBatch::set_in() {
  for (std::size_t i = 0; i < kMessages; ++i) {
    pieces_[i] = {.iov_base = buffer(i), .iov_len = kBuffer};
    headers_[i].msg_hdr = {.msg_name = &peers_[i],
                           .msg_namelen = sizeof(peers_[i]),
                           .msg_iov = &pieces_[i],
                           .msg_iovlen = 1,
                           .msg_control = controls_[i].bytes.data(),
                           .msg_controllen = sizeof(controls_[i].bytes)};
  }
}

std::size_t MessageBatch::segment_of(std::size_t index) {
  msghdr& header = headers_[index].msg_hdr;
  for (cmsghdr* each = CMSG_FIRSTHDR(&header); each != nullptr; each = CMSG_NXTHDR(&header, each)) {
    if (each->cmsg_level != SOL_UDP || each->cmsg_type != UDP_GRO) continue;
    int size = 0;
    std::memcpy(&size, CMSG_DATA(each), sizeof(size));
    if (size > 0) return static_cast<std::size_t>(size);
  }
  return headers_[index].msg_len;
}

Result<UniqueFd> KernelSource::connect(const wire::Ipv6Address& sink) {
  auto socket = open_socket();
  if (!socket) return socket;
  const sockaddr_in6 address = to_sockaddr({.address = sink, .port = kPort});
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (::connect(socket->get(), generic, sizeof(address)) != 0) {
    return fail_errno("the kernel has no way to the sink",
                      "give this machine an address and a route towards it");
  }
  return socket;
}

KernelSource::KernelSource(UniqueFd socket, const Plan& plan, bool offload, Progress& progress)
    : socket_(std::move(socket)),
      plan_(plan),
      progress_(progress),
      per_packet_(offload ? std::min(kMostPerPacket, kMaxSize / plan.size) : 1),
      source_(plan, *this) {}

void KernelSource::run() {
  stop_on_signals();
  while (!source_.is_over() && !stopped) {
    const Instant now = monotonic_now();
    source_.run(now);
    progress_.show(source_.sent(), source_.sent() * plan_.size, now);
    const Instant due = source_.next_deadline();
    nap(socket_.get(), due, now);
    if (source_.state() != Source::State::kSending) hear(monotonic_now());
  }
}

std::size_t KernelSource::send_data(std::uint64_t first, std::size_t count, Instant now) {
  std::size_t messages = 0;
  const std::int64_t stamp = now.time_since_epoch().count();
  for (std::size_t made = 0; made < count; ++messages) {
    const std::size_t here = std::min(count - made, per_packet_);
    std::byte* at = batch_.buffer(messages);
    for (std::size_t i = 0; i < here && plan_.size >= sizeof(Header); ++i) {
      const Header header = make_header(Kind::kData, plan_.run, first + made + i, stamp);
      std::memcpy(at + i * plan_.size, &header, sizeof(header));
    }
    batch_.set_out(messages, here * plan_.size, here > 1 ? plan_.size : 0);
    made += here;
  }
  const int taken = ::sendmmsg(socket_.get(), batch_.headers(), static_cast<unsigned>(messages), 0);
  if (taken < 0) {
    note_error();
    return 0;
  }
  const std::size_t sent = std::min(count, static_cast<std::size_t>(taken) * per_packet_);
  copied_ += sent * plan_.size;
  return sent;
}

void KernelSource::send_message(wire::Bytes message, Instant /*now*/) {
  if (::send(socket_.get(), message.data(), message.size(), 0) < 0) note_error();
}

void KernelSource::note_error() {
  if (errno == ECONNREFUSED || errno == EHOSTUNREACH || errno == ENETUNREACH) {
    source_.refused();
  } else if (errno == EINVAL && per_packet_ > 1) {
    per_packet_ = 1;  // larger than the path's MTU: not to be segmented, but fragmented
  }
  // Else a lack of room (ENOBUFS, EAGAIN) or a signal: it is tried again.
}

void KernelSource::hear(Instant now) {
  std::array<std::byte, kReportSize> message{};
  for (;;) {
    const ssize_t size = ::recv(socket_.get(), message.data(), message.size(), MSG_DONTWAIT);
    if (size < 0) {
      if (errno != EAGAIN) note_error();
      return;
    }
    source_.receive(std::span(message).first(static_cast<std::size_t>(size)), now);
  }
}

Result<UniqueFd> KernelSink::listen() {
  auto socket = open_socket();
  if (!socket) return socket;
  const int on = 1;
  if (::setsockopt(socket->get(), SOL_UDP, UDP_GRO, &on, sizeof(on)) != 0) {
    return fail_errno("cannot receive with UDP_GRO", "use Linux 5.0 or newer");
  }
  const sockaddr_in6 address = to_sockaddr({.port = kPort});
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (::bind(socket->get(), generic, sizeof(address)) != 0) {
    return fail_errno("cannot listen on UDP port 5002", "another sink runs here: stop it first");
  }
  return socket;
}

void KernelSink::run(Instant end) {
  stop_on_signals();
  while (!stopped) {
    const Instant now = monotonic_now();
    if (now >= end || sink_.is_done(now)) break;
    progress_.show(sink_.datagrams(), sink_.bytes(), now);
    if (!receive(now)) nap(socket_.get(), std::min(end, sink_.next_deadline()), now);
  }
}

// False if there is nothing.
bool KernelSink::receive(Instant now) {
  batch_.set_in();
  const int count =
      ::recvmmsg(socket_.get(), batch_.headers(), MessageBatch::kMessages, MSG_DONTWAIT, nullptr);
  if (count <= 0) return false;
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    const ip::UdpEndpoint from = from_sockaddr(batch_.peer(i));
    const std::size_t segment = batch_.segment_of(i);
    wire::Bytes rest(batch_.buffer(i), batch_.header(i).msg_len);
    copied_ += rest.size();
    while (!rest.empty()) {
      const wire::Bytes datagram = rest.first(std::min(segment, rest.size()));
      sink_.receive(from, datagram.first(std::min(datagram.size(), sizeof(Header))),
                    datagram.size(), now);
      rest = rest.subspan(datagram.size());
    }
  }
  return true;
}

void KernelSink::answer(const ip::UdpEndpoint& to, wire::Bytes message, Instant /*now*/) {
  const sockaddr_in6 address = to_sockaddr(to);
  // If it does not leave, the sender asks again.
  (void)::sendto(socket_.get(), message.data(), message.size(), 0,
                 reinterpret_cast<const sockaddr*>(&address), sizeof(address));
}

}  // namespace tideline::app::blast
