// SPDX-License-Identifier: Apache-2.0
#include <tideline/datagram.h>

#include <algorithm>
#include <utility>

#include "api/address.h"
#include "api/datagram_state.h"
#include "engine/socket_values.h"
#include "packet/copy.h"

namespace tideline {
namespace api {
namespace {

// RFC 1112 §6.1, RFC 3493 §5.2: to a group no further than the link, unless somebody says so.
std::uint8_t hop_limit_to(const wire::Ipv6Address& address) {
  const bool group =
      address.is_mapped() ? address.mapped_ipv4().is_multicast() : address.is_multicast();
  return group ? 1 : 64;
}

}  // namespace

DatagramState::~DatagramState() {
  if (port_ != 0) runtime().host().stack().udp().unbind({.port = port_}, *this);
}

Status DatagramState::bind(std::uint16_t port) {
  ip::Udp& udp = runtime().host().stack().udp();
  Status bound;
  const auto take = [&](std::uint16_t one) {
    bound = udp.bind({.port = one}, *this);
    if (bound) port_ = one;
    return bound.has_value();
  };
  if (port == 0) {
    engine::find_free_port(take);  // what went wrong with the last is told
  } else {
    take(port);
  }
  return bound;
}

void DatagramState::receive(packet::PacketPtr payload, const ip::UdpPath& path, Instant /*now*/) {
  const std::size_t segments = payload->segment_count();
  if (count_ == kMostWaiting || segments_ + segments > kMostSegments) {
    runtime().count_datagram_dropped();
    return;
  }
  waiting_[(first_ + count_++) % kMostWaiting] = {
      .payload = std::move(payload), .path = path, .segments = segments};
  segments_ += segments;
  mark(Ready::kReadable);
}

std::optional<DatagramSocket::Received> DatagramState::take(std::span<std::byte> buffer) {
  if (count_ == 0) return std::nullopt;
  Waiting& front = waiting_[first_];
  packet::Packet& payload = *front.payload;
  const packet::Offload& offload = payload.meta().offload;
  const bool many = offload.gso == packet::Gso::kUdp && payload.size() > offload.gso_size;
  const std::size_t size = many ? offload.gso_size : payload.size();
  const std::size_t taken = std::min(size, buffer.size());
  if (taken > 0) packet::copy_out(payload, 0, buffer.first(taken), runtime().passes());
  const DatagramSocket::Received received{
      .size = size,
      .from = to_api(front.path.source.address, front.path.source.port),
      .to = to_api(front.path.destination.address, front.path.destination.port)};
  if (many) {
    payload.trim_front(size);
  } else {
    front.payload.reset();
    segments_ -= front.segments;
    first_ = (first_ + 1) % kMostWaiting;
    --count_;
  }
  return received;
}

Status DatagramState::send(std::span<const std::byte> bytes, const Endpoint& to) {
  ip::Stack& stack = runtime().host().stack();
  const auto source = stack.source_for(wire::Ipv6Address(to.address));
  if (!source) {
    return fail({.what = "no route to " + to.host(),
                 .remedy = "give this host an address in its network, or a gateway"});
  }
  packet::Pool& pool = runtime().worker().pool();
  packet::PacketPtr packet =
      bytes.empty() ? pool.get() : packet::copy_of(bytes, pool, runtime().passes());
  if (packet == nullptr) {
    return fail({.kind = ErrorKind::kExhausted, .what = "no memory for a datagram now"});
  }
  const ip::UdpPath path{.source = {.address = *source, .port = port_},
                         .destination = to_udp(to),
                         .hop_limit = hop_limit_to(wire::Ipv6Address(to.address))};
  if (const auto sent = stack.udp().send(std::move(packet), path, runtime().now()); !sent) {
    return fail(
        {.what = "cannot send to " + to.text() + ": " + std::string(explain(sent.error()))});
  }
  return {};
}

}  // namespace api

DatagramSocket::DatagramSocket() = default;
DatagramSocket::DatagramSocket(DatagramSocket&& other) noexcept = default;
DatagramSocket& DatagramSocket::operator=(DatagramSocket&& other) noexcept = default;
DatagramSocket::~DatagramSocket() = default;
DatagramSocket::DatagramSocket(std::unique_ptr<api::DatagramState> state)
    : state_(std::move(state)) {}

void DatagramSocket::set_context(void* context) { state_->set_context(context); }

std::optional<DatagramSocket::Received> DatagramSocket::receive(std::span<std::byte> buffer) {
  return state_->take(buffer);
}

Status DatagramSocket::send(std::span<const std::byte> bytes, const Endpoint& to) {
  return state_->send(bytes, to);
}

}  // namespace tideline
