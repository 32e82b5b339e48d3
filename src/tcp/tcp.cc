// SPDX-License-Identifier: Apache-2.0
#include "tcp/tcp.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "ip/addresses.h"
#include "ip/frame.h"
#include "packet/checksum.h"
#include "tcp/arrival.h"
#include "tcp/authentication.h"
#include "tcp/bbr_flow.h"
#include "tcp/ecn.h"
#include "tcp/fast_open_client.h"
#include "tcp/figures.h"
#include "tcp/handshake.h"
#include "tcp/mtu_probe.h"
#include "tcp/receiver.h"
#include "tcp/recovery.h"
#include "tcp/sender.h"
#include "tcp/sequence_numbers.h"
#include "tcp/timers.h"
#include "tcp/transmit.h"
#include "wire/protocol.h"

namespace tideline::tcp {
namespace {

constexpr std::uint8_t kCongestionExperienced = 3;

Tuple quoted_tuple(const ip::PathError& error) {
  return {.local = {error.quote.source, error.quote.source_port()},
          .remote = {error.quote.destination, error.quote.destination_port()}};
}

// RFC 6191: a new incarnation of a connection in TIME-WAIT.
bool may_reopen(const Tcb& tcb, const Segment& segment) {
  if (!segment.has(wire::kTcpSyn) || segment.has(wire::kTcpAck) || segment.has(wire::kTcpRst)) {
    return false;
  }
  if (tcb.timestamps_on && segment.options.timestamps) {
    const std::uint32_t value = segment.options.timestamps->value;
    if (static_cast<std::int32_t>(value - tcb.ts_recent) > 0) return true;
    if (value != tcb.ts_recent) return false;
  }
  return segment.seq > tcb.rcv_nxt;
}

End end_of(ip::PathErrorKind kind) {
  switch (kind) {
    case ip::PathErrorKind::kNetworkUnreachable:
      return End::kNetworkUnreachable;
    case ip::PathErrorKind::kProtocolUnreachable:
      return End::kProtocolUnreachable;
    case ip::PathErrorKind::kPortUnreachable:
      return End::kRefused;
    case ip::PathErrorKind::kHostUnreachable:
    case ip::PathErrorKind::kTimeExceeded:
    case ip::PathErrorKind::kParameterProblem:
    case ip::PathErrorKind::kUnknown:
    case ip::PathErrorKind::kPacketTooBig:
      return End::kHostUnreachable;
  }
  return End::kHostUnreachable;
}

// MUST-46. The broadcast address of a network is its host's to know.
bool is_group(const wire::Ipv6Address& address) {
  if (!address.is_mapped()) return address.is_multicast();
  const wire::Ipv4Address ipv4 = address.mapped_ipv4();
  return ipv4.is_multicast() || ipv4.is_limited_broadcast();
}

}  // namespace

Tcp::Tcp(const Config& config, Network& network, packet::Pool& pool, Rng& rng)
    : core_(std::make_unique<Core>(config, network, pool, rng)) {}

Tcp::~Tcp() = default;

Result<ListenerId> Tcp::listen(const Endpoint& local, const ListenOptions& options,
                               ListenerOwner& owner, std::span<const MasterKey> keys) {
  if (local.port == 0) {
    return fail({.kind = ErrorKind::kUsage, .what = "cannot listen on TCP port 0"});
  }
  Core& core = *core_;
  const auto taken = core.listening.find(local);
  const bool joins = taken != core.listening.end() && options.shared &&
                     core.listeners[taken->second].options.shared;
  if (taken != core.listening.end() && !joins) {
    return fail(
        {.kind = ErrorKind::kUsage,
         .what = fmt::format("TCP port {} of {} is in use", local.port, local.address.to_text())});
  }
  std::vector<MasterKey> accepted_keys;
  for (const MasterKey& key : keys) {
    if (Status good = tcp::add_key(accepted_keys, key); !good) return fail(good.error());
  }
  auto slot = std::ranges::find(core.listeners, nullptr, &Listener::owner);
  if (slot == core.listeners.end()) slot = core.listeners.emplace(core.listeners.end());
  const std::uint32_t generation = slot->generation + 1;
  *slot = {.local = local, .options = options, .owner = &owner, .generation = generation};
  const auto index = static_cast<std::uint32_t>(slot - core.listeners.begin());
  if (joins) slot->next_of_group = taken->second;
  slot->keys = std::move(accepted_keys);
  core.listening[local] = index;
  return ListenerId{.index = index, .generation = generation};
}

void Tcp::set_options(ListenerId id, const StreamOptions& options) {
  if (Listener* listener = find(*core_, id)) listener->options.stream = options;
}

void Tcp::close(ListenerId id) {
  Listener* listener = find(*core_, id);
  if (listener == nullptr) return;
  const auto found = core_->listening.find(listener->local);
  if (found->second == id.index) {
    if (listener->next_of_group == Listener::kNone) {
      core_->listening.erase(found);
    } else {
      found->second = listener->next_of_group;
    }
  } else {
    Listener* before = &core_->listeners[found->second];
    while (before->next_of_group != id.index) before = &core_->listeners[before->next_of_group];
    before->next_of_group = listener->next_of_group;
  }
  listener->owner = nullptr;
  listener->keys.clear();
}

Result<ConnectionId> Tcp::connect(const Endpoint& remote, const Endpoint& local,
                                  const StreamOptions& options, const Attachment& attachment,
                                  Instant now, std::span<const MasterKey> keys) {
  Core& core = *core_;
  Tuple tuple{.local = local, .remote = remote};
  const std::string to = fmt::format("{} port {}", remote.address.to_text(), remote.port);
  if (remote.port == 0 || is_group(remote.address) || ip::is_never_on_a_wire(remote.address)) {
    return fail({.kind = ErrorKind::kUsage, .what = fmt::format("cannot connect to {}", to)});
  }
  if (tuple.local.address.is_unspecified()) {
    const auto source = core.network.source_for(remote.address);
    if (!source) {
      return fail({.what = fmt::format("no route to {}", to),
                   .remedy = "give this host an address in its network, or a gateway"});
    }
    tuple.local.address = *source;
  }
  if (tuple.local.port == 0) {
    const auto port = ephemeral_port(core, tuple);
    if (!port) {
      return fail({.kind = ErrorKind::kExhausted,
                   .what = fmt::format("all ports towards {} are in use", to)});
    }
    tuple.local.port = *port;
  }
  if (core.table.find(tuple) != nullptr) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = fmt::format("port {} is connected to {} already", tuple.local.port, to)});
  }
  std::vector<MasterKey> checked_keys;
  for (const MasterKey& key : keys) {
    if (Status good = tcp::add_key(checked_keys, key); !good) return fail(good.error());
  }
  Tcb* tcb = create(core, tuple, options, now);
  if (tcb == nullptr) {
    return fail({.kind = ErrorKind::kExhausted,
                 .what = fmt::format("all {} connections are in use", core.tcbs.capacity())});
  }
  tcb->attachment = attachment;
  begin_authentication(core, *tcb, keys);
  open_active(core, *tcb, now);
  return id_of(core, *tcb);
}

bool Tcp::may_write_early(ConnectionId id) const {
  const Tcb* tcb = find(*core_, id);
  return tcb != nullptr && tcb->opened_fast;
}

void Tcp::accepted(ConnectionId id) {
  Tcb* tcb = find(*core_, id);
  if (tcb == nullptr || tcb->accepted) return;
  tcb->accepted = true;
  if (Listener* listener = find(*core_, tcb->listener)) --listener->unaccepted;
}

namespace {

std::unexpected<Error> gone(std::string_view what) {
  return fail({.kind = ErrorKind::kUsage, .what = fmt::format("the {} is gone", what)});
}

}  // namespace

Status Tcp::add_key(ListenerId id, const MasterKey& key) {
  Listener* listener = find(*core_, id);
  return listener == nullptr ? gone("listener") : tcp::add_key(listener->keys, key);
}

Status Tcp::remove_key(ListenerId id, std::uint8_t send_id, std::uint8_t receive_id) {
  Listener* listener = find(*core_, id);
  return listener == nullptr ? gone("listener")
                             : tcp::remove_key(listener->keys, send_id, receive_id);
}

Status Tcp::add_key(ConnectionId id, const MasterKey& key) {
  Tcb* tcb = find(*core_, id);
  return tcb == nullptr ? gone("connection") : tcp::add_key(*tcb, key);
}

Status Tcp::remove_key(ConnectionId id, std::uint8_t send_id, std::uint8_t receive_id) {
  Tcb* tcb = find(*core_, id);
  return tcb == nullptr ? gone("connection") : tcp::remove_key(*tcb, send_id, receive_id);
}

Status Tcp::use_keys(ConnectionId id, std::optional<std::uint8_t> send_id,
                     std::optional<std::uint8_t> receive_id) {
  Tcb* tcb = find(*core_, id);
  if (tcb == nullptr) return gone("connection");
  if (Status good = tcp::use_keys(*tcb, send_id, receive_id); !good) return good;
  tcb->ack_now = true;
  mark_pending(*core_, *tcb);
  return {};
}

AuthenticationInfo Tcp::authentication(ConnectionId id) const {
  const Tcb* tcb = find(*core_, id);
  return tcb == nullptr ? AuthenticationInfo() : authentication_of(*tcb);
}

std::span<const MasterKey> Tcp::keys(ListenerId id) const {
  const Listener* listener = find(*core_, id);
  return listener == nullptr ? std::span<const MasterKey>() : listener->keys;
}

void Tcp::written(ConnectionId id, bool more) {
  Tcb* tcb = find(*core_, id);
  if (tcb == nullptr) return;
  tcb->more_to_come = tcb->more_was_said = more;
  mark_pending(*core_, *tcb);
}

void Tcp::consumed(ConnectionId id, Instant now) {
  if (Tcb* tcb = find(*core_, id)) window_may_open(*core_, *tcb, now);
}

void Tcp::shut_down(ConnectionId id, Instant now) {
  Tcb* tcb = find(*core_, id);
  if (tcb == nullptr || tcb->shut_down) return;
  if (tcb->state == State::kSynSent && !has_early_data(*tcb)) {
    finish(*core_, *tcb, End::kAborted, now);
    return;
  }
  tcb->shut_down = true;
  mark_pending(*core_, *tcb);
}

void Tcp::close(ConnectionId id, bool unread, Instant now) {
  Tcb* tcb = find(*core_, id);
  if (tcb == nullptr || tcb->closed_by_owner) return;
  if (unread || (tcb->state == State::kSynSent && !has_early_data(*tcb))) {
    abort(id, now);
    return;
  }
  tcb->closed_by_owner = true;
  tcb->shut_down = true;
  // Of a closed window: that it was probed before is no reason to give up now.
  if (tcb->is_synchronized() && tcb->snd_wnd == 0) tcb->retries = 0;
  if (tcb->state == State::kFinWait2) {
    arm(*core_, *tcb, Timer::kLife, now + core_->config.fin_wait2);
  }
  mark_pending(*core_, *tcb);
}

void Tcp::abort(ConnectionId id, Instant now) {
  Tcb* tcb = find(*core_, id);
  if (tcb == nullptr || tcb->end != End::kNone) return;
  if (tcb->state != State::kSynSent) send_reset(*core_, *tcb, now);
  finish(*core_, *tcb, End::kAborted, now);
}

void Tcp::set_options(ConnectionId id, const StreamOptions& options, Instant now) {
  Tcb* tcb = find(*core_, id);
  if (tcb == nullptr) return;
  const bool another = tcb->options.congestion != options.congestion;
  const bool bounds = tcb->options.notsent_lowat != options.notsent_lowat;
  tcb->options = options;
  // As in Linux: what was held back goes, whatever else holds it.
  tcb->pushed |= options.no_delay;
  if (another) choose_congestion_control(*core_, *tcb, now);
  restart_keepalive(*core_, *tcb, now);
  if (tcb->is_synchronized()) update_mss(*core_, *tcb, now);
  if (tcb->is_synchronized() && bounds) bound_unsent(*core_, *tcb);
  mark_pending(*core_, *tcb);
}

Info Tcp::info(ConnectionId id, Instant now) const {
  const Tcb* tcb = find(*core_, id);
  return tcb == nullptr ? Info() : info_of(*core_, *tcb, now);
}

std::size_t Tcp::list(std::uint32_t& from, std::span<Info> out) const {
  std::size_t count = 0;
  for (; core_->tcbs.was_used(from); ++from) {
    const Tcb& tcb = core_->tcbs.at(from);
    if (!tcb.in_use) continue;
    if (count == out.size()) return count;
    out[count++] = info_of(*core_, tcb, {});
  }
  from = 0;
  return count;
}

// The checks of RFC 9293 §3.10.7 that precede every state.
void Tcp::receive(packet::PacketPtr packet, const ip::Datagram& datagram, Instant now) {
  Core& core = *core_;
  ++core.counters.segments_in;
  if (datagram.to_group || datagram.source.is_multicast()) {
    core.counters.count(Discard::kToGroup);
    return;
  }
  if (!check_checksum(*packet, datagram)) return;
  const wire::PacketLayout& layout = datagram.layout;
  const auto header = wire::parse_tcp(layout.l4_bytes(packet->first().bytes()));
  if (!header) {
    core.counters.count(header.error());
    return;
  }
  if (header->source_port == 0 || header->destination_port == 0) {
    core.counters.count(Discard::kPortZero);
    return;
  }
  Segment segment{.tuple = {.local = {datagram.destination, header->destination_port},
                            .remote = {datagram.source, header->source_port}},
                  .seq = Seq(header->sequence_number),
                  .ack = Seq(header->acknowledgment_number),
                  .flags = header->flags,
                  .window = header->window,
                  .urgent = header->urgent_pointer,
                  .header = layout.l4_bytes(packet->first().bytes())
                                .first(static_cast<std::size_t>(layout.payload - layout.l4)),
                  .gso_size = packet->meta().offload.gso_size,
                  .ecn = static_cast<std::uint8_t>(datagram.traffic_class & 3),
                  .congestion_seen = (datagram.traffic_class & 3) == kCongestionExperienced,
                  .size = static_cast<std::uint32_t>(layout.payload_size()),
                  .options = header->options};
  if (segment.size > 0) {
    packet->truncate(layout.end);
    packet->trim_front(layout.payload);
    segment.payload = std::move(packet);
  }
  dispatch(segment, now);
}

void Tcp::dispatch(Segment& segment, Instant now) {
  Core& core = *core_;
  Tcb* tcb = core.table.find(segment.tuple);
  if (tcb != nullptr && !is_authentic(core, *tcb, segment)) return;
  std::optional<Seq> after;
  if (tcb != nullptr && tcb->state == State::kTimeWait && segment.has(wire::kTcpSyn) &&
      find_listener(core, segment.tuple.local) != nullptr) {
    if (may_reopen(*tcb, segment)) {
      after = tcb->snd_nxt;
      finish(core, *tcb, End::kFinished, now);
      tcb = nullptr;
    } else {
      tcb->syn_declined = true;
    }
  }
  if (tcb != nullptr) {
    segment_arrives(core, *tcb, segment, now);
  } else if (Listener* listener = find_listener(core, segment.tuple.local)) {
    Listener& member = *member_for(core, *listener, segment.tuple);
    if (is_admitted(core, member, segment)) listen_arrives(core, member, segment, after, now);
  } else {
    core.counters.count(Discard::kPortClosed);
    answer_with_reset(core, segment, now);
  }
}

bool Tcp::check_checksum(const packet::Packet& packet, const ip::Datagram& datagram) {
  if (packet.meta().offload.checksum != packet::Checksum::kInPacket) return true;
  const wire::PacketLayout& layout = datagram.layout;
  const auto length = static_cast<std::uint32_t>(layout.l4_size());
  auto sum =
      datagram.source.is_mapped()
          ? wire::pseudo_header(datagram.source.mapped_ipv4(), datagram.destination.mapped_ipv4(),
                                wire::kProtocolTcp, length)
          : wire::pseudo_header(datagram.source, datagram.destination, wire::kProtocolTcp, length);
  sum.add(packet::sum_range(packet, layout.l4, length, core_->passes));
  if (sum.valid()) return true;
  core_->counters.count(wire::DropReason::kTcpChecksum);
  return false;
}

// RFC 5927 §4: only what quotes something in flight.
bool Tcp::recognises(const ip::PathError& error) const {
  const Tcb* tcb = core_->table.find(quoted_tuple(error));
  const Seq seq(error.quote.sequence_number());
  const bool in_flight = tcb != nullptr && seq >= tcb->snd_una && seq < tcb->snd_nxt;
  if (!in_flight) {
    core_->counters.count(Discard::kPathErrorIgnored);
    return false;
  }
  if (!ignores(*tcb, error.kind)) return true;
  core_->counters.count(Discard::kAuthenticationPathError);
  ++tcb->authentication->path_errors;
  return false;
}

void Tcp::failed(const ip::PathError& error, Instant /*now*/) {
  Core& core = *core_;
  Tcb* tcb = core.table.find(quoted_tuple(error));
  if (tcb == nullptr) return;
  StreamOwner* owner = tcb->closed_by_owner ? nullptr : tcb->attachment.owner;
  const bool tells = tcb->options.tell_path_errors && owner != nullptr;
  if (error.kind == ip::PathErrorKind::kPacketTooBig) {
    tcb->path_mtu_changed = true;
  } else if (tcb->state == State::kSynSent && error.kind != ip::PathErrorKind::kUnknown &&
             (tells || error.kind != ip::PathErrorKind::kTimeExceeded)) {
    // RFC 5461 §4.1: while connecting, the caller waits for nothing better. Who looks for a path's
    // hops waits for just that.
    tcb->hard_error = end_of(error.kind);
    if (tells) owner->path_failed(id_of(core, *tcb), error);
  } else if (!tells || !owner->path_failed(id_of(core, *tcb), error)) {
    tcb->soft_error = end_of(error.kind);  // RFC 5927 §5.2
  }
  // It may come while a segment is being sent.
  mark_pending(core, *tcb);
}

void Tcp::flush(Instant now) {
  // What becomes pending meanwhile gets a second turn here, because an owner may have moved bytes
  // from one connection to another; the rest waits for the next flush.
  for (int turn = 0; turn < 2 && !core_->pending.empty(); ++turn) {
    PendingList batch = std::exchange(core_->pending, {});
    while (Tcb* tcb = batch.take()) flush(*tcb, now);
  }
}

void Tcp::flush(Tcb& tcb, Instant now) {
  Core& core = *core_;
  if (tcb.hard_error != End::kNone) finish(core, tcb, tcb.hard_error, now);
  if (std::exchange(tcb.path_mtu_changed, false) && tcb.is_synchronized()) {
    const std::uint16_t before = tcb.mss;
    update_mss(core, tcb, now);
    if (tcb.mss < before) {
      resend_everything(core, tcb);
    } else {
      drop_refused_mtu_probe(core, tcb, now);
    }
  }
  if (tcb.is_synchronized()) release_acknowledged(core, tcb);
  if (tell(core, tcb, now)) output(core, tcb, now);
}

Instant Tcp::next_deadline() const {
  return core_->pending.empty() ? core_->wheel.next_deadline() : Instant::min();
}

void Tcp::run_timers(Instant now) {
  core_->wheel.run(now,
                   [&](TimerNode& node) { tcp::run_timers(*core_, static_cast<Tcb&>(node), now); });
  flush(now);
}

const Counters& Tcp::counters() const { return core_->counters; }
const packet::PassCounter& Tcp::passes() const { return core_->passes; }
std::size_t Tcp::connections() const { return core_->tcbs.size(); }
std::size_t Tcp::most_connections() const { return core_->tcbs.capacity(); }
std::size_t Tcp::ranges_in_use() const { return core_->ranges.size(); }

}  // namespace tideline::tcp
