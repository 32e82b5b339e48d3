// SPDX-License-Identifier: Apache-2.0
#include "rdma/device.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "rdma/completer.h"
#include "rdma/finish.h"
#include "rdma/incoming.h"
#include "rdma/outgoing.h"
#include "rdma/refusal.h"
#include "rdma/requester.h"
#include "rdma/responder.h"
#include "wire/icrc.h"
#include "wire/ipv6.h"
#include "wire/roce.h"

namespace tideline::rdma {

using packet::PacketPtr;
using wire::RoceKind;
using wire::RoceService;

namespace {

// Frames of one queue pair before it is the next one's turn.
constexpr std::size_t kBurst = 16;

// What goes by the direct path in one run, a millisecond's worth: peers and timers wait meanwhile.
constexpr std::uint64_t kDirectBudget = std::uint64_t{8} << 20;

// A frame that comes as it was made never was on a wire, and has no ICRC: packet/metadata.h.
bool is_intact(packet::Packet& packet, const wire::PacketLayout& layout, Counters& counters) {
  if (packet.meta().offload.checksum == packet::Checksum::kNeeded) return true;
  const std::size_t behind = layout.payload + wire::kBthSize;
  const std::size_t icrc_at = layout.end - wire::kIcrcSize;
  wire::Crc32 crc = wire::start_icrc(packet.first().bytes().subspan(layout.l3),
                                     std::size_t{layout.payload} - layout.l3);
  PacketCursor cursor(packet, behind);
  for (std::size_t left = icrc_at - behind; left > 0;) {
    const auto part = cursor.take(left);
    crc.add(part);
    left -= part.size();
  }
  counters.passes.add(packet::Pass::kChecksum, icrc_at - behind);
  for (const std::uint8_t expected : wire::icrc_field(crc.value())) {
    if (cursor.take(1)[0] != std::byte{expected}) return false;
  }
  return true;
}

bool is_service(QpType type, RoceService service) {
  switch (type) {
    case QpType::kRc:
      return service == RoceService::kRc;
    case QpType::kUc:
      return service == RoceService::kUc;
    case QpType::kUd:
      return service == RoceService::kUd;
  }
  return false;
}

// 10.3.1: where a queue pair takes requests, and where responses.
bool takes(QpState state, bool response) {
  switch (state) {
    case QpState::kRts:
    case QpState::kSqd:
      return true;
    case QpState::kRtr:
    case QpState::kSqe:
      return !response;
    case QpState::kReset:
    case QpState::kInit:
    case QpState::kErr:
      return false;
  }
  return false;
}

}  // namespace

Device::Device(const DeviceOptions& options, ip::Sender& sender, packet::Pool& pool, Rng& rng,
               KeySource& keys)
    : core_(options, sender, pool, rng, keys) {}

Device::~Device() = default;

Context& Device::open(MemoryAccess& memory, EventSink& sink) {
  return *contexts_.emplace_back(std::make_unique<Context>(*this, memory, sink));
}

void Device::close(Context& context) {
  std::erase_if(contexts_, [&](const auto& open) { return open.get() == &context; });
}

DeviceStatus Device::status() const {
  return {.pds = core_.pd_count,
          .regions = core_.regions.used(),
          .cqs = core_.cq_count,
          .srqs = core_.srq_count,
          .ahs = core_.ah_count,
          .qps = core_.qp_count};
}

std::size_t Device::list_qps(std::uint32_t& from, std::span<QpStatus> out) const {
  std::size_t count = 0;
  for (; from < core_.qp_slots(); ++from) {
    const QueuePair* qp = core_.qp_at(from);
    if (qp == nullptr) continue;
    if (count == out.size()) return count;
    const RequesterState& req = qp->requester;
    out[count++] = {.number = qp->number,
                    .type = qp->init.type,
                    .state = qp->state,
                    .peer_number = qp->attributes.destination_qpn,
                    .peer = qp->route.destination,
                    .mtu = qp->mtu,
                    .sq_psn = req.next_psn.value(),
                    .una_psn = req.una.value(),
                    .unacked = static_cast<std::uint32_t>(req.sent_psn - req.una),
                    .rq_psn = qp->responder.expected_psn.value(),
                    .posted_sends = qp->send_queue.tail() - qp->send_queue.head(),
                    .posted_receives = qp->receive_queue.size(),
                    .retries_left = req.retries_left,
                    .rnr_retries_left = req.rnr_left,
                    .counters = qp->counters};
  }
  from = 0;
  return count;
}

Result<AddressVector> Device::address_of(std::uint16_t lid) const {
  const LidNetwork& network = core_.options.lids;
  const auto destination = network.gid_of(lid);
  const auto source = core_.gids.find(network.own_gid());
  if (!destination || !source) return invalid(fmt::format("nobody has the LID {}", lid));
  return AddressVector{.destination = *destination,
                       .source_gid_index = static_cast<std::uint8_t>(*source),
                       .lid = lid};
}

void Device::receive(PacketPtr packet, const ip::Datagram& datagram, Instant now) {
  const wire::PacketLayout& layout = datagram.layout;
  const wire::Bytes head = layout.payload_bytes(packet->first().bytes());
  const auto headers = wire::parse_roce(head, layout.payload_size());
  if (!headers) {
    core_.counters.drop(headers.error());
    return;
  }
  if (!is_intact(*packet, layout, core_.counters)) {
    core_.counters.add(Counter::kDropIcrc);
    return;
  }
  constexpr std::uint8_t kCongestionExperienced = 3;
  if ((datagram.traffic_class & 3U) == kCongestionExperienced) {
    core_.counters.add(Counter::kRxEcn);
  }
  const std::size_t header_size = headers->info().header_size;
  Incoming in{.packet = *packet,
              .headers = *headers,
              .payload_at = layout.payload + header_size,
              .payload_size =
                  static_cast<std::uint32_t>(layout.payload_size() - header_size - wire::kIcrcSize),
              .ip_at = layout.l3,
              .ip_size = layout.ip_version == 6 ? sizeof(wire::Ipv6Header)
                                                : std::size_t{layout.l4} - layout.l3,
              .type = layout.is_grh() ? GidType::kRoceV1 : GidType::kRoceV2,
              .source = datagram.source,
              .destination = datagram.destination,
              .traffic_class = datagram.traffic_class,
              .hop_limit = datagram.hop_limit};
  deliver(in, now);
}

void Device::deliver_loopback(Instant now) {
  while (!core_.loopback.empty()) {
    Loopback::Item item = core_.loopback.pop();
    const std::size_t size = item.packet->size();
    const auto headers = wire::parse_roce(item.packet->first().bytes(), size);
    CHECK(headers.has_value());
    const std::size_t header_size = headers->info().header_size;
    Incoming in{.packet = *item.packet,
                .headers = *headers,
                .payload_at = header_size,
                .payload_size = static_cast<std::uint32_t>(size - header_size - wire::kIcrcSize),
                .type = item.route.type,
                .source = item.route.source,
                .destination = item.route.destination,
                .traffic_class = item.route.traffic_class,
                .hop_limit = item.route.hop_limit};
    deliver(in, now);
  }
}

// 9.6.1, the checks of the BTH that need the queue pair.
QueuePair* Device::destination_of(const Incoming& in) {
  const auto drop = [&](Counter counter) {
    core_.counters.add(counter);
    return nullptr;
  };
  constexpr std::uint16_t kMembership = 0x8000;  // 10.9.3: full or limited, all the same to us
  if ((in.headers.pkey | kMembership) != wire::kDefaultPkey) return drop(Counter::kDropPkey);
  QueuePair* qp = core_.find(in.headers.qp);
  if (in.info().kind == RoceKind::kCnp) {
    return drop(qp == nullptr ? Counter::kDropCnp : Counter::kRxCnp);
  }
  if (qp == nullptr) return drop(Counter::kDropQpUnknown);
  if (!is_service(qp->init.type, in.info().service)) return drop(Counter::kDropQpType);
  if (!takes(qp->state, in.info().is_response())) return drop(Counter::kDropQpState);
  const bool connected = qp->init.type != QpType::kUd;
  const bool from_peer = in.source == qp->route.destination && in.type == qp->route.type;
  if (connected && !from_peer) return drop(Counter::kDropAddress);
  return qp;
}

void Device::deliver(Incoming& in, Instant now) {
  QueuePair* qp = destination_of(in);
  if (qp == nullptr) return;
  const packet::Offload& offload = in.packet.meta().offload;
  in.is_super = offload.gso == packet::Gso::kRoce;
  if (in.is_super && in.payload_size > qp->mtu && offload.gso_size != qp->mtu) {
    core_.counters.add(Counter::kDropGso);
    return;
  }
  if (in.is_super && in.is_pad_valid()) in.packets = packets_of(in.size(), qp->mtu);
  in.starts = in.info().starts;
  core_.counters.add(Counter::kRxPackets, in.packets);
  core_.counters.add(Counter::kRxBytes, in.payload_size);
  if (qp->state == QpState::kRtr && !qp->responder.established) {
    qp->responder.established = true;
    raise(*qp, EventType::kCommunicationEstablished);
  }
  if (in.info().is_response()) {
    receive_response(core_, *qp, in, now);
  } else if (qp->init.type == QpType::kUd) {
    receive_datagram(core_, *qp, in, now);
  } else {
    receive_request(core_, *qp, in, now);
  }
}

// Nothing that the network says of our packets is believed: paths have no MTU but the connection's,
// and what is unreachable is found out by the time-out.
bool Device::recognises(const ip::PathError& /*error*/) const { return false; }
void Device::failed(const ip::PathError& /*error*/, Instant /*now*/) {}

bool Device::run(Instant now, std::size_t frames) {
  core_.direct_budget = kDirectBudget;
  while (QueuePair* qp = core_.expired(now)) requester_timer(core_, *qp, now);
  deliver_loopback(now);
  while (frames > 0) {
    QueuePair* qp = core_.next_scheduled();
    if (qp == nullptr) break;
    const Served served = serve(*qp, std::min(frames, kBurst), now);
    frames -= served.frames;
    deliver_loopback(now);
    if (!served.has_buffers) break;
  }
  return has_work();
}

// Responses first: a peer waits for them, and they free what it has outstanding.
Device::Served Device::serve(QueuePair& qp, std::size_t most, Instant now) {
  for (std::size_t sent = 0; sent < most; ++sent) {
    Sending sending = wants_to_respond(qp) ? send_response(core_, qp, now) : Sending::kIdle;
    if (sending == Sending::kIdle) sending = send_request(core_, qp, now);
    if (sending == Sending::kIdle) return {.frames = sent};
    if (sending == Sending::kNoBuffer) {
      core_.schedule(qp);
      return {.frames = sent, .has_buffers = false};
    }
  }
  if (wants_to_respond(qp) || wants_to_send(core_, qp, now)) core_.schedule(qp);
  return {.frames = most};
}

}  // namespace tideline::rdma
