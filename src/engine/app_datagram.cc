// SPDX-License-Identifier: Apache-2.0
#include "engine/app_datagram.h"

#include <poll.h>

#include <algorithm>
#include <utility>

#include "engine/socket_values.h"
#include "packet/copy.h"

namespace tideline::engine {
namespace {

using client::Failure;
using client::Outcome;
using Turn = AppEngine::Turn;

}  // namespace

void AppDatagram::open() {
  error_.store(Failure::kNone, std::memory_order_relaxed);
  receiving_shut_.store(false, std::memory_order_relaxed);
  reported_.store(false, std::memory_order_relaxed);
  reports_.clear();
  bound_.reset();
  remote_.reset();
  only_ipv6_ = false;
}

void AppDatagram::set_options(const client::Options& options) {
  [[maybe_unused]] const auto ran =
      sockets_.locked(Turn::kNone, [&](Worker& /*worker*/, Instant /*now*/) {
        only_ipv6_ = options.only_ipv6;
        reports_.set_options(options);
      });
}

Outcome<void> AppDatagram::bind(const client::Endpoint& local, client::Sharing sharing) {
  Outcome<void> result;
  const auto ran = sockets_.locked(Turn::kNone, [&](Worker& /*worker*/, Instant /*now*/) {
    result = bound_ ? refuse(Failure::kInvalid) : bind_now(local, sharing);
  });
  return ran ? result : ran;
}

Outcome<void> AppDatagram::bind_now(const client::Endpoint& local, client::Sharing sharing) {
  ip::Udp& udp = sockets_.stack().udp();
  const auto take = [&](std::uint16_t port) {
    return udp.bind({.address = local.address, .port = port}, *this, to_udp(sharing), only_ipv6_)
        .has_value();
  };
  client::Endpoint wanted = local;
  if (local.port == 0) {
    wanted.port = find_free_port(take);
    if (wanted.port == 0) return refuse(Failure::kAddressInUse);
  } else if (!take(local.port)) {
    return refuse(Failure::kAddressInUse);
  }
  bound_ = wanted;
  return {};
}

Outcome<void> AppDatagram::listen(std::uint32_t /*backlog*/) {
  return refuse(Failure::kNotSupported);
}

Outcome<client::Socket*> AppDatagram::accept() { return refuse(Failure::kNotSupported); }

Outcome<void> AppDatagram::connect(const std::optional<client::Endpoint>& remote) {
  Outcome<void> result;
  const auto ran = sockets_.locked(Turn::kNone, [&](Worker& /*worker*/, Instant /*now*/) {
    if (remote && !sockets_.stack().source_for(remote->address)) {
      result = refuse(Failure::kNetworkUnreachable);
      return;
    }
    if (remote && !bound_) result = bind_now({}, client::Sharing::kNone);
    if (!result) return;
    remote_ = remote;
    // What came from others before is not the peer's.
    for (std::size_t left = count_.load(std::memory_order_relaxed); remote_ && left > 0; --left) {
      Waiting front = std::move(waiting_[first_]);
      drop_first();
      if (to_client(front.path.source) != *remote_) continue;
      const std::size_t count = count_.load(std::memory_order_relaxed);
      segments_ += front.segments;
      waiting_[(first_ + count) % kMostWaiting] = std::move(front);
      count_.store(count + 1, std::memory_order_release);
    }
  });
  return ran ? result : ran;
}

Outcome<void> AppDatagram::shut_down(bool receiving, bool /*sending*/) {
  return sockets_.locked(Turn::kNone, [&](Worker& /*worker*/, Instant /*now*/) {
    if (receiving) receiving_shut_.store(true, std::memory_order_release);
    watchers_.tell();
  });
}

void AppDatagram::close(bool /*abort*/) {
  [[maybe_unused]] const auto ran =
      sockets_.locked(Turn::kNone, [&](Worker& /*worker*/, Instant /*now*/) {
        watchers_.clear();
        if (bound_) sockets_.stack().udp().unbind(to_udp(*bound_), *this);
        while (count_.load(std::memory_order_relaxed) > 0) drop_first();
        sockets_.give_back(*this);
      });
}

Outcome<std::size_t> AppDatagram::send_by(std::span<const iovec> from,
                                          const std::optional<client::Endpoint>& to,
                                          const client::DatagramWay& way) {
  if (const Failure failure = take_error(); failure != Failure::kNone) return refuse(failure);
  if (size_of(from) > kMostDatagram) return refuse(Failure::kMessageSize);
  Outcome<std::size_t> result = std::size_t{0};
  const auto ran = sockets_.locked(Turn::kSend, [&](Worker& /*worker*/, Instant now) {
    const std::optional<client::Endpoint>& target = to ? to : remote_;
    result = target ? send_now(from, *target, way, now) : refuse(Failure::kNoDestination);
  });
  if (!ran) return refuse(ran.error());
  return result;
}

Outcome<std::size_t> AppDatagram::send_now(std::span<const iovec> from, const client::Endpoint& to,
                                           const client::DatagramWay& way, Instant now) {
  ip::Stack& stack = sockets_.stack();
  if (!bound_) {
    if (const auto bound = bind_now({}, client::Sharing::kNone); !bound)
      return refuse(bound.error());
  }
  const client::Endpoint local = bound_.value_or(client::Endpoint{});
  auto source = std::optional(local.address);
  if (is_any(local.address)) source = stack.source_for(to.address);
  if (way.source) source = way.source;
  if (!source || source->is_mapped() != to.address.is_mapped() ||
      ip::is_never_on_a_wire(to.address)) {
    return refuse(Failure::kNetworkUnreachable);
  }
  const std::size_t size = size_of(from);
  if (way.whole && size > datagram_room(stack, to.address, now)) {
    return refuse(Failure::kMessageSize);
  }
  packet::Pool& pool = sockets_.worker().pool();
  packet::PacketPtr packet = size == 0 ? pool.get() : pool.get_chain(size);
  if (packet == nullptr) return refuse(Failure::kWouldBlock);
  std::size_t at = 0;
  for (const iovec& part : from) {
    if (part.iov_len == 0) continue;
    packet::copy_in(*packet, at, {static_cast<const std::byte*>(part.iov_base), part.iov_len},
                    sockets_.passes());
    at += part.iov_len;
  }
  const ip::UdpPath path =
      to_udp({.address = *source, .port = local.port}, to, way.marks, way.whole);
  // What the stack drops is counted there; UDP promises nothing.
  [[maybe_unused]] const ip::Sent sent = stack.udp().send(std::move(packet), path, now);
  return size;
}

void AppDatagram::receive(packet::PacketPtr payload, const ip::UdpPath& path, Instant now) {
  if (remote_ && to_client(path.source) != *remote_) {
    sockets_.stack().count(ip::Discard::kUdpNotFromPeer);
    return;
  }
  const std::size_t segments = payload->segment_count();
  const std::size_t count = count_.load(std::memory_order_relaxed);
  if (count == kMostWaiting || segments_ + segments > kMostSegments) {
    sockets_.stack().count(ip::Discard::kUdpSocketFull);
    return;
  }
  waiting_[(first_ + count) % kMostWaiting] = {
      .payload = std::move(payload), .path = path, .segments = segments, .arrived = now};
  segments_ += segments;
  count_.store(count + 1, std::memory_order_release);
  watchers_.tell();
}

// RFC 1122 §4.1.3.3. As in Linux, who does not ask for it is told if connected, and of what is
// hard.
void AppDatagram::failed(const ip::PathError& error, Instant /*now*/) {
  const bool peers = remote_ && error.quote.destination == remote_->address &&
                     error.quote.destination_port() == remote_->port;
  if (remote_ && !peers) return;
  if (reports_.wants(error)) {
    if (!reports_.put(error)) sockets_.stack().count(ip::Discard::kReportsFull);
    reported_.store(true, std::memory_order_release);
  } else if (!peers || !is_hard(error)) {
    return;
  }
  error_.store(failure_of(error), std::memory_order_release);
  watchers_.tell();
}

std::optional<client::Report> AppDatagram::take_report() {
  return sockets_.take_report(reports_, reported_, error_);
}

std::size_t AppDatagram::first_size() const {
  const packet::Packet& payload = *waiting_[first_].payload;
  const packet::Offload& offload = payload.meta().offload;
  const bool many = offload.gso == packet::Gso::kUdp && payload.size() > offload.gso_size;
  return many ? offload.gso_size : payload.size();
}

void AppDatagram::drop_first() {
  waiting_[first_].payload.reset();
  segments_ -= waiting_[first_].segments;
  first_ = (first_ + 1) % kMostWaiting;
  count_.fetch_sub(1, std::memory_order_release);
}

client::Received AppDatagram::take_now(std::span<const iovec> into, bool peek) {
  Waiting& front = waiting_[first_];
  packet::Packet& payload = *front.payload;
  const std::size_t size = first_size();
  std::size_t taken = 0;
  for (const iovec& part : into) {
    const std::size_t piece = std::min(part.iov_len, size - taken);
    if (piece == 0) continue;
    packet::copy_out(payload, taken, {static_cast<std::byte*>(part.iov_base), piece},
                     sockets_.passes());
    taken += piece;
  }
  const client::Received received{.size = taken,
                                  .whole = size,
                                  .from = to_client(front.path.source),
                                  .to = to_client(front.path.destination),
                                  .marks = marks_of(front.path),
                                  .arrived = front.arrived};
  if (peek) return received;
  if (size < payload.size()) {
    payload.trim_front(size);
  } else {
    drop_first();
  }
  return received;
}

Outcome<client::Received> AppDatagram::receive(std::span<const iovec> into, bool peek) {
  if (const Failure failure = take_error(); failure != Failure::kNone) return refuse(failure);
  Outcome<client::Received> result = refuse(Failure::kWouldBlock);
  if (count_.load(std::memory_order_acquire) > 0) {
    const auto ran = sockets_.locked(Turn::kNone, [&](Worker& /*worker*/, Instant /*now*/) {
      if (count_.load(std::memory_order_relaxed) > 0) result = take_now(into, peek);
    });
    if (!ran) return refuse(ran.error());
  }
  if (!result && receiving_shut_.load(std::memory_order_acquire)) return client::Received{};
  return result;
}

unsigned AppDatagram::readiness(unsigned wanted) {
  unsigned events = POLLOUT | POLLWRNORM;
  if (count_.load(std::memory_order_acquire) > 0) events |= POLLIN | POLLRDNORM;
  if (receiving_shut_.load(std::memory_order_acquire)) events |= POLLIN | POLLRDHUP;
  if (error_.load(std::memory_order_acquire) != Failure::kNone) events |= POLLERR;
  return events & (wanted | POLLERR | POLLHUP);
}

std::size_t AppDatagram::readable_bytes() {
  std::size_t size = 0;
  [[maybe_unused]] const auto ran =
      sockets_.locked(Turn::kNone, [&](Worker& /*worker*/, Instant /*now*/) {
        if (count_.load(std::memory_order_relaxed) > 0) size = first_size();
      });
  return size;
}

client::Endpoint AppDatagram::local() {
  client::Endpoint endpoint;
  [[maybe_unused]] const auto ran =
      sockets_.locked(Turn::kNone, [&](Worker& /*worker*/, Instant /*now*/) {
        endpoint = bound_.value_or(client::Endpoint{});
        if (!remote_ || !is_any(endpoint.address)) return;
        endpoint.address = sockets_.stack().source_for(remote_->address).value_or(endpoint.address);
      });
  return endpoint;
}

std::optional<client::Endpoint> AppDatagram::remote() {
  std::optional<client::Endpoint> endpoint;
  [[maybe_unused]] const auto ran = sockets_.locked(
      Turn::kNone, [&](Worker& /*worker*/, Instant /*now*/) { endpoint = remote_; });
  return endpoint;
}

client::Info AppDatagram::info() {
  client::Info info;
  [[maybe_unused]] const auto ran =
      sockets_.locked(Turn::kNone, [&](Worker& /*worker*/, Instant now) {
        if (remote_) info.mss = datagram_room(sockets_.stack(), remote_->address, now);
      });
  return info;
}

void AppDatagram::watch(client::Waiter& waiter, unsigned hint) {
  [[maybe_unused]] const auto ran = sockets_.locked(
      Turn::kNone, [&](Worker& /*worker*/, Instant /*now*/) { watchers_.add(waiter, hint); });
}

void AppDatagram::unwatch(client::Waiter& waiter, unsigned hint) {
  [[maybe_unused]] const auto ran = sockets_.locked(
      Turn::kNone, [&](Worker& /*worker*/, Instant /*now*/) { watchers_.remove(waiter, hint); });
}

}  // namespace tideline::engine
