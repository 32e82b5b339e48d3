// SPDX-License-Identifier: Apache-2.0
#include "engine/served_datagram.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/bits.h"
#include "base/clock.h"
#include "client/records.h"
#include "engine/served_channel.h"
#include "engine/served_sockets.h"
#include "engine/socket_values.h"
#include "packet/copy.h"

namespace tideline::engine {

using client::Failure;
using client::Outcome;
using queue::DatagramRecord;

namespace {

constexpr std::size_t kFifo = std::size_t{256} << 10;
// Of one socket, in one look.
constexpr int kMostAtOnce = 32;

constexpr std::size_t length_of(std::size_t payload) {
  return align_up(sizeof(DatagramRecord) + payload, std::size_t{8});
}

}  // namespace

bool ServedDatagram::open(const std::shared_ptr<FamilyMemory>& memory) {
  if (!begin(memory)) return false;
  if (!open_fifos(kFifo, kFifo)) {
    end();
    return false;
  }
  bound_.reset();
  remote_.reset();
  reports_.clear();
  only_ipv6_ = false;
  return true;
}

Outcome<void> ServedDatagram::bind(const ServedChannel& caller, const client::Endpoint& local,
                                   client::Sharing sharing) {
  if (bound_) return refuse(Failure::kInvalid);
  if (!caller.may_bind(local)) return refuse(Failure::kNotPermitted);
  return bind_now(local, sharing);
}

Outcome<void> ServedDatagram::bind_now(const client::Endpoint& local, client::Sharing sharing) {
  ip::Udp& udp = sockets_.stack().udp();
  const auto take = [&](std::uint16_t port) {
    const client::Endpoint at{.address = local.address, .port = port};
    return !sockets_.is_anothers(at, sharing, family().user()) &&
           udp.bind(to_udp(at), *this, to_udp(sharing), only_ipv6_).has_value();
  };
  client::Endpoint wanted = local;
  if (local.port == 0) {
    wanted.port = find_free_port(take);
    if (wanted.port == 0) return refuse(Failure::kAddressInUse);
  } else if (!take(local.port)) {
    return refuse(Failure::kAddressInUse);
  }
  bound_ = wanted;
  sharing_ = sharing;
  show_local(wanted);
  return {};
}

Outcome<void> ServedDatagram::listen(std::uint32_t /*backlog*/) {
  return refuse(Failure::kNotSupported);
}

Outcome<void> ServedDatagram::connect(const ServedChannel& caller,
                                      const std::optional<client::Endpoint>& remote,
                                      Instant /*now*/) {
  if (!remote) {
    remote_.reset();
    set_flags(flags() & ~queue::kConnected);
    show_local(local());
    return {};
  }
  const auto source = caller.source_for(remote->address);
  if (!source) return refuse(source.error());
  if (!bound_) {
    const client::Endpoint local{.address = caller.bound_by_itself(*source)};
    if (auto bound = bind_now(local, client::Sharing::kNone); !bound) return bound;
  }
  remote_ = remote;
  show_remote(*remote);
  show_local(local());
  set_flags(flags() | queue::kConnected);
  return {};
}

client::Info ServedDatagram::info() const {
  if (!remote_) return {};
  return {.mss = datagram_room(sockets_.stack(), remote_->address, monotonic_now())};
}

client::Endpoint ServedDatagram::local() const {
  client::Endpoint endpoint = bound_.value_or(client::Endpoint{});
  if (remote_ && is_any(endpoint.address)) {
    endpoint.address = sockets_.stack().source_for(remote_->address).value_or(endpoint.address);
  }
  return endpoint;
}

Outcome<void> ServedDatagram::shut_down(bool receiving, bool sending, Instant /*now*/) {
  std::uint32_t now_shut = flags();
  if (receiving) now_shut |= queue::kReceivingShut;
  if (sending) now_shut |= queue::kSendingShut;
  set_flags(now_shut);
  tell();
  return {};
}

void ServedDatagram::close(bool /*abort*/, Instant /*now*/) {
  if (bound_) sockets_.stack().udp().unbind(to_udp(*bound_), *this);
  bound_.reset();
  end();
  sockets_.give_back(*this);
}

std::expected<ServedDatagram::Outgoing, EndReason> ServedDatagram::first_outgoing() const {
  Outgoing outgoing{.payload = outgoing_.consumed() + sizeof(DatagramRecord)};
  if (outgoing_.used() < sizeof(DatagramRecord)) return std::unexpected(EndReason::kBadDatagram);
  // A copy, which does not change while it is looked at.
  outgoing_.copy_out(outgoing_.consumed(), std::as_writable_bytes(std::span(&outgoing.record, 1)));
  const std::size_t size = outgoing.record.size;
  if (size > kMostDatagram || length_of(size) > outgoing_.used()) {
    return std::unexpected(EndReason::kBadDatagram);
  }
  outgoing.end = outgoing_.consumed() + length_of(size);
  return outgoing;
}

std::expected<bool, EndReason> ServedDatagram::look(const ServedChannel& caller, Instant now) {
  if (!outgoing_.refresh_written()) return std::unexpected(EndReason::kBadIndex);
  int left = kMostAtOnce;
  for (; outgoing_.used() > 0 && left > 0 && sockets_.may_send(now); --left) {
    const auto outgoing = first_outgoing();
    if (!outgoing) return std::unexpected(outgoing.error());
    if (!send(caller, *outgoing, now)) break;
    outgoing_.set_consumed(outgoing->end);
  }
  const bool roomy = outgoing_.room() >= outgoing_.size() / 3;
  if (left < kMostAtOnce && roomy && page().wants_room.exchange(0) != 0) tell();
  if (!incoming_.refresh_consumed()) return std::unexpected(EndReason::kBadIndex);
  return outgoing_.used() > 0;
}

Outcome<wire::Ipv6Address> ServedDatagram::prepare(const ServedChannel& caller,
                                                   const DatagramRecord& record, Instant now) {
  const client::Endpoint to = client::from_record(record.to);
  const client::Endpoint wanted = client::from_record(record.from);
  auto source = Outcome<wire::Ipv6Address>(bound_.value_or(client::Endpoint{}).address);
  if (!is_any(wanted.address)) {
    if (!owns(sockets_.stack(), wanted.address)) return refuse(Failure::kInvalid);
    if (!caller.may_bind({.address = wanted.address})) return refuse(Failure::kNotPermitted);
    source = wanted.address;
  } else if (is_any(*source)) {
    source = caller.source_for(to.address);
  }
  if (!source) return source;
  if (source->is_mapped() != to.address.is_mapped() || ip::is_never_on_a_wire(to.address)) {
    return refuse(Failure::kNetworkUnreachable);
  }
  if (record.whole_only != 0 && record.size > datagram_room(sockets_.stack(), to.address, now)) {
    return refuse(Failure::kMessageSize);
  }
  if (!bound_) {
    const client::Endpoint local{.address = caller.bound_by_itself(*source)};
    if (const auto bound = bind_now(local, client::Sharing::kNone); !bound) {
      return refuse(bound.error());
    }
  }
  return source;
}

// A datagram that cannot be sent is gone: UDP promises nothing. But its sender is told what his
// next call would have been told by Linux.
bool ServedDatagram::send(const ServedChannel& caller, const Outgoing& outgoing, Instant now) {
  const auto source = prepare(caller, outgoing.record, now);
  if (!source) {
    set_error(source.error());
    tell();
    return true;
  }
  const std::size_t size = outgoing.record.size;
  packet::PacketPtr packet = size == 0 ? sockets_.pool().get() : sockets_.pool().get_chain(size);
  if (packet == nullptr) return false;
  for (std::size_t done = 0; done < size;) {
    const auto piece = outgoing_.piece(outgoing.payload + done, size - done);
    packet::copy_in(*packet, done, piece, sockets_.passes());
    done += piece.size();
  }
  const ip::UdpPath path = to_udp(
      {.address = *source, .port = bound_.value_or(client::Endpoint{}).port},
      client::from_record(outgoing.record.to),
      {.traffic_class = outgoing.record.traffic_class, .hop_limit = outgoing.record.hop_limit},
      outgoing.record.whole_only != 0);
  // What the stack drops is counted there.
  [[maybe_unused]] const ip::Sent sent = sockets_.stack().udp().send(std::move(packet), path, now);
  return true;
}

bool ServedDatagram::put(const packet::Packet& payload, std::size_t offset, std::size_t size,
                         const ip::UdpPath& path, Instant now) {
  if (length_of(size) > incoming_.room()) {
    sockets_.stack().count(ip::Discard::kUdpSocketFull);
    return false;
  }
  const DatagramRecord record{.size = static_cast<std::uint32_t>(size),
                              .whole = static_cast<std::uint32_t>(size),
                              .from = client::to_record(to_client(path.source)),
                              .to = client::to_record(to_client(path.destination)),
                              .traffic_class = path.traffic_class,
                              .hop_limit = path.hop_limit,
                              .arrived_ns = now.time_since_epoch().count()};
  std::uint64_t at = incoming_.written();
  const std::uint64_t end = at + length_of(size);
  incoming_.copy_in(at, std::as_bytes(std::span(&record, 1)));
  at += sizeof(record);
  for (std::size_t done = 0; done < size;) {
    const auto piece = incoming_.piece(at + done, size - done);
    packet::copy_out(payload, offset + done, piece, sockets_.passes());
    done += piece.size();
  }
  incoming_.set_written(end);
  return true;
}

void ServedDatagram::receive(packet::PacketPtr payload, const ip::UdpPath& path, Instant now) {
  if (remote_ && to_client(path.source) != *remote_) {
    sockets_.stack().count(ip::Discard::kUdpNotFromPeer);
    return;
  }
  incoming_.refresh_consumed();
  const packet::Offload& offload = payload->meta().offload;
  const std::size_t whole = payload->size();
  const bool many = offload.gso == packet::Gso::kUdp && whole > offload.gso_size;
  const std::size_t each = many ? offload.gso_size : whole;
  bool came = false;
  std::size_t at = 0;
  do {
    const std::size_t size = std::min(each, whole - at);
    came |= put(*payload, at, size, path, now);
    at += size;
  } while (at < whole);
  if (came) tell();
}

// RFC 1122 §4.1.3.3. As in Linux, who does not ask for it is told if connected, and of what is
// hard.
void ServedDatagram::failed(const ip::PathError& error, Instant /*now*/) {
  const bool peers = remote_ && error.quote.destination == remote_->address &&
                     error.quote.destination_port() == remote_->port;
  if (remote_ && !peers) return;
  if (reports_.wants(error)) {
    if (!reports_.put(error)) sockets_.stack().count(ip::Discard::kReportsFull);
    set_flags(flags() | queue::kReported);
  } else if (!peers || !is_hard(error)) {
    return;
  }
  set_error(failure_of(error));
  tell();
}

std::optional<client::Report> ServedDatagram::take_report() {
  auto report = reports_.take();
  if (reports_.size() == 0) set_flags(flags() & ~queue::kReported);
  if (report) set_error(reports_.failure());
  return report;
}

}  // namespace tideline::engine
