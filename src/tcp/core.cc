// SPDX-License-Identifier: Apache-2.0
#include "tcp/core.h"

#include <algorithm>
#include <utility>

#include "tcp/authentication.h"
#include "tcp/bbr_flow.h"
#include "tcp/ecn.h"
#include "tcp/mtu_probe.h"
#include "tcp/sequence_numbers.h"

namespace tideline::tcp {
namespace {

constexpr wire::Ipv6Address kAnyIpv4 = wire::Ipv6Address::mapped(wire::Ipv4Address());

void leave_time_wait(Core& core, Tcb& tcb) {
  const bool listed = core.time_wait_first == &tcb || tcb.time_wait_prev != nullptr;
  if (!listed) return;
  (tcb.time_wait_prev == nullptr ? core.time_wait_first : tcb.time_wait_prev->time_wait_next) =
      tcb.time_wait_next;
  (tcb.time_wait_next == nullptr ? core.time_wait_last : tcb.time_wait_next->time_wait_prev) =
      tcb.time_wait_prev;
  tcb.time_wait_next = tcb.time_wait_prev = nullptr;
  --core.time_wait_count;
}

void destroy(Core& core, Tcb& tcb) {
  ++core.generations[core.tcbs.index_of(tcb)];
  release_congestion_control(core, tcb);
  forget_accurate_ecn(core, tcb);
  forget_authentication(core, tcb);
  forget_mtu_search(core, tcb);
  if (tcb.incidents != nullptr) core.incidents.give(tcb.incidents);
  tcb.in_use = false;
  core.tcbs.give(&tcb);
}

void forget_listener(Core& core, Tcb& tcb) {
  Listener* listener = find(core, tcb.listener);
  if (listener == nullptr) return;
  if (std::exchange(tcb.syn_ack_owed, false)) --listener->unanswered;
  if (tcb.state == State::kSynReceived) {
    --listener->half_open;
  } else if (!tcb.accepted) {
    --listener->unaccepted;
  }
  tcb.listener = {};
}

// The oldest connection in TIME-WAIT gives way.
void evict_time_wait(Core& core, Instant now) {
  for (Tcb* tcb = core.time_wait_first; tcb != nullptr; tcb = tcb->time_wait_next) {
    if (tcb->is_pending || tcb->attachment.owner != nullptr) continue;
    core.counters.count(Discard::kTimeWaitEvicted);
    leave_time_wait(core, *tcb);
    core.table.erase(*tcb);
    core.wheel.cancel(*tcb);
    set_state(core, *tcb, State::kClosed, now);
    destroy(core, *tcb);
    return;
  }
}

}  // namespace

std::string_view name_of(State state) {
  static constexpr std::array<std::string_view, 10> kNames{
      "CLOSED",     "SYN_SENT",   "SYN_RECEIVED", "ESTABLISHED", "FIN_WAIT_1",
      "FIN_WAIT_2", "CLOSE_WAIT", "CLOSING",      "LAST_ACK",    "TIME_WAIT"};
  return kNames[static_cast<std::size_t>(state)];
}

void PendingList::add(Tcb& tcb) {
  if (tcb.is_pending) return;
  tcb.is_pending = true;
  tcb.pending_next = nullptr;
  (last_ == nullptr ? first_ : last_->pending_next) = &tcb;
  last_ = &tcb;
}

Tcb* PendingList::take() {
  Tcb* tcb = first_;
  if (tcb == nullptr) return nullptr;
  first_ = tcb->pending_next;
  if (first_ == nullptr) last_ = nullptr;
  tcb->is_pending = false;
  return tcb;
}

Core::Core(const Config& configuration, Network& below, packet::Pool& packets, Rng& random)
    : config(configuration),
      network(below),
      pool(packets),
      rng(random),
      tcbs(configuration.max_connections),
      generations(configuration.max_connections, 1),
      bbrs(configuration.max_connections),
      accurate_ecns(configuration.max_connections),
      authentications(configuration.max_connections),
      mtu_searches(configuration.max_connections),
      incidents(configuration.max_connections),
      ranges(configuration.max_ranges),
      table(tcbs, configuration.secrets[0]),
      fast_open_cache(configuration.secrets[0]) {
  for (std::uint16_t& step : port_steps) step = static_cast<std::uint16_t>(random());
}

Tcb* create(Core& core, const Tuple& tuple, const StreamOptions& options, Instant now) {
  Tcb* tcb = core.tcbs.take();
  if (tcb == nullptr) {
    evict_time_wait(core, now);
    tcb = core.tcbs.take();
  }
  if (tcb == nullptr) {
    core.counters.count(Discard::kConnectionsFull);
    return nullptr;
  }
  tcb->core = &core;
  tcb->tuple = tuple;
  tcb->generation = core.generations[core.tcbs.index_of(*tcb)];
  tcb->in_use = true;
  tcb->options = options;
  choose_congestion_control(core, *tcb, now);
  tcb->ts_offset = timestamp_offset(core, tuple);
  tcb->rto = core.config.initial_rto;
  tcb->reordering = core.config.reordering;
  tcb->last_received = now;
  tcb->last_sent = tcb->last_data_sent = now;
  core.table.insert(*tcb);
  return tcb;
}

Incidents& incidents_of(Tcb& tcb) {
  if (tcb.incidents == nullptr) tcb.incidents = tcb.core->incidents.take();  // as many as TCBs
  return *tcb.incidents;
}

ConnectionId id_of(const Core& core, const Tcb& tcb) {
  return {.index = core.tcbs.index_of(tcb), .generation = tcb.generation};
}

Tcb* find(Core& core, ConnectionId id) {
  if (!core.tcbs.was_used(id.index)) return nullptr;
  Tcb& tcb = core.tcbs.at(id.index);
  return tcb.in_use && tcb.generation == id.generation ? &tcb : nullptr;
}

Listener* find(Core& core, ListenerId id) {
  if (id.index >= core.listeners.size()) return nullptr;
  Listener& listener = core.listeners[id.index];
  return listener.owner != nullptr && listener.generation == id.generation ? &listener : nullptr;
}

Listener* member_for(Core& core, Listener& first, const Tuple& tuple) {
  if (first.next_of_group == Listener::kNone) return &first;
  std::uint64_t count = 0;
  for (Listener* each = &first;; each = &core.listeners[each->next_of_group]) {
    ++count;
    if (each->next_of_group == Listener::kNone) break;
  }
  Listener* member = &first;
  for (auto skip = siphash<2, 4>(table_key(core), tuple.words()) % count; skip > 0; --skip) {
    member = &core.listeners[member->next_of_group];
  }
  return member;
}

// The most specific: RFC 9293 §3.10.1, MUST-44.
Listener* find_listener(Core& core, const Endpoint& local) {
  if (core.listening.empty()) return nullptr;
  const auto look = [&](const wire::Ipv6Address& address) -> Listener* {
    const auto found = core.listening.find({.address = address, .port = local.port});
    return found == core.listening.end() ? nullptr : &core.listeners[found->second];
  };
  if (Listener* exact = look(local.address)) return exact;
  if (local.address.is_mapped()) {
    if (Listener* version = look(kAnyIpv4)) return version;
  }
  Listener* any = look(wire::Ipv6Address());
  return any != nullptr && any->options.only_ipv6 && local.address.is_mapped() ? nullptr : any;
}

void set_state(Core& core, Tcb& tcb, State state, Instant now) {
  const State before = std::exchange(tcb.state, state);
  if (core.config.tracer != nullptr) {
    core.config.tracer->state_changed(id_of(core, tcb), before, state, now);
  }
}

void arm(Core& core, Tcb& tcb, Timer timer, Instant when) {
  tcb.deadline(timer) = when;
  if (when != kNever) core.wheel.schedule_no_later(tcb, when);
}

void enter_time_wait(Core& core, Tcb& tcb, Instant now) {
  if (tcb.state != State::kTimeWait) {
    set_state(core, tcb, State::kTimeWait, now);
    tcb.end = End::kFinished;
    tcb.events.ended = true;
    disarm(tcb, Timer::kRetransmit);
    disarm(tcb, Timer::kPace);
    tcb.reassembly.clear(core.ranges);
    if (core.time_wait_count >= core.config.max_time_wait) evict_time_wait(core, now);
  } else {
    leave_time_wait(core, tcb);
  }
  tcb.time_wait_prev = core.time_wait_last;
  (core.time_wait_last == nullptr ? core.time_wait_first : core.time_wait_last->time_wait_next) =
      &tcb;
  core.time_wait_last = &tcb;
  ++core.time_wait_count;
  arm(core, tcb, Timer::kLife, now + core.config.time_wait);
  mark_pending(core, tcb);
}

void finish(Core& core, Tcb& tcb, End reason, Instant now) {
  if (tcb.state == State::kClosed && tcb.end != End::kNone) return;
  forget_listener(core, tcb);
  leave_time_wait(core, tcb);
  core.table.erase(tcb);
  core.wheel.cancel(tcb);
  tcb.deadlines.fill(kNever);
  tcb.scoreboard.clear(core.ranges);
  tcb.reassembly.clear(core.ranges);
  set_state(core, tcb, State::kClosed, now);
  if (tcb.end == End::kNone) tcb.end = reason;
  if (tcb.opened_fast && tcb.end == End::kFinished) core.fast_open_cache.worked();
  tcb.events.ended = true;
  mark_pending(core, tcb);
}

// Each event is told once. The owner may call back; it finds the connection as it is.
bool tell(Core& core, Tcb& tcb, Instant now) {
  const ConnectionId id = id_of(core, tcb);
  StreamOwner* owner = tcb.attachment.owner;
  const Events events = std::exchange(tcb.events, {});
  if (owner != nullptr && !tcb.closed_by_owner) {
    if (events.established) owner->established(id, now);
    if (events.readable) owner->readable(id, now);
    if (events.peer_closed) owner->peer_closed(id, now);
    if (events.writable) owner->writable(id, now);
  }
  if (owner != nullptr && events.ended) owner->ended(id, tcb.end, now);
  const bool over = tcb.end != End::kNone;
  if (over && tcb.loans[0] + tcb.loans[1] == 0 && !tcb.is_pending) {
    tcb.attachment = {};
    if (owner != nullptr) owner->released(id, now);
    if (tcb.state == State::kClosed) {
      destroy(core, tcb);
      return false;
    }
  }
  return true;
}

}  // namespace tideline::tcp
