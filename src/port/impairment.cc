// SPDX-License-Identifier: Apache-2.0
#include "port/impairment.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "packet/copy.h"
#include "wire/ethernet.h"

namespace tideline::port {
namespace {

PortInfo impaired_info(const Port& inner, const ImpairmentSpec& spec) {
  PortInfo info = inner.info();
  info.capabilities.tso4 = false;
  info.capabilities.tso6 = false;
  info.capabilities.uso = false;
  info.capabilities.roce_gso = false;
  if (spec.corrupt > 0) info.capabilities.tx_checksum = false;
  info.capabilities = without_unmet(info.capabilities);
  return info;
}

Duration time_of(std::size_t bytes, std::uint64_t bits_per_second) {
  constexpr std::uint64_t kBitsNs = 8'000'000'000;
  return Duration(static_cast<std::int64_t>(bytes * kBitsNs / bits_per_second));
}

}  // namespace

ImpairedPort::ImpairedPort(std::unique_ptr<Port> inner, const ImpairmentSpec& spec,
                           std::uint64_t seed, const QueuePools& pools, std::size_t max_held)
    : Port(impaired_info(*inner, spec)), inner_(std::move(inner)), spec_(spec) {
  CHECK(pools.size() == info().queues, "{} pools, {} queues", pools.size(), info().queues);
  for (unsigned queue = 0; queue < info().queues; ++queue) {
    links_.emplace_back(Rng(seed + queue), pools[queue], max_held);
  }
}

std::size_t ImpairedPort::rx_burst(unsigned queue, Burst& burst, Instant now) {
  flush(queue, now);
  return inner_->rx_burst(queue, burst, now);
}

std::size_t ImpairedPort::tx_burst(unsigned queue, Burst& burst, Instant now) {
  flush(queue, now);
  std::size_t taken = 0;
  for (PacketPtr& frame : burst) {
    if (frame == nullptr || !admit(queue, *frame)) continue;
    if (send(queue, std::move(frame), now)) ++taken;
  }
  burst.clear();
  flush(queue, now);
  return taken;
}

std::size_t ImpairedPort::tx_room(unsigned queue) {
  const Link& link = links_[queue];
  // Each frame may come with a duplicate.
  const std::size_t room = (link.held.size() - link.count) / 2;
  return std::min({room, inner_->tx_room(queue), Burst::kCapacity});
}

// A token bucket: what it lacks is told by when it will be full.
bool ImpairedPort::conforms(Link& link, std::size_t size, Instant now) const {
  if (spec_.police_bits == 0) return true;
  const Instant refilled_at = std::max(link.refilled_at, now) + time_of(size, spec_.police_bits);
  if (refilled_at - now > time_of(spec_.burst_bytes, spec_.police_bits)) return false;
  link.refilled_at = refilled_at;
  return true;
}

// Returns whether the link took the frame; taken frames may be lost all the same.
bool ImpairedPort::send(unsigned queue, PacketPtr frame, Instant now) {
  Link& link = links_[queue];
  if (!conforms(link, frame->size(), now)) {
    counters(queue).drop(Drop::kImpairPolice);
    return true;
  }
  if (spec_.mtu > 0 && frame->size() > spec_.mtu + sizeof(wire::EthernetHeader)) {
    counters(queue).drop(Drop::kImpairMtu);
    return true;
  }
  if (chance(link, spec_.loss)) {
    counters(queue).drop(Drop::kImpairLoss);
    return true;
  }
  PacketPtr twin;
  if (chance(link, spec_.dup)) {
    twin = packet::copy_of(*frame, *link.pool, counters(queue).passes);
    if (twin == nullptr) counters(queue).drop(Drop::kImpairPool);
  }
  if (chance(link, spec_.corrupt)) {
    frame = corrupted(queue, std::move(frame));
    if (frame == nullptr) return false;
  }
  if (chance(link, spec_.reorder)) {
    leave(queue, std::move(frame), now);
  } else if (!hold(queue, std::move(frame), now)) {
    return false;
  }
  if (twin != nullptr) hold(queue, std::move(twin), now);
  return true;
}

bool ImpairedPort::hold(unsigned queue, PacketPtr frame, Instant now) {
  Link& link = links_[queue];
  if (link.count == link.held.size()) {
    counters(queue).drop(Drop::kImpairFull);
    return false;
  }
  link.free_at = std::max(link.free_at, now);
  if (spec_.queue > Duration::zero() && link.free_at - now > spec_.queue) {
    counters(queue).drop(Drop::kImpairFull);
    return false;
  }
  if (spec_.rate_bits > 0) link.free_at += time_of(frame->size(), spec_.rate_bits);
  Instant due = link.free_at + spec_.delay;
  if (spec_.jitter > Duration::zero()) {
    const auto span = static_cast<std::uint64_t>(2 * spec_.jitter.count() + 1);
    due += Duration(static_cast<std::int64_t>(link.rng.below(span))) - spec_.jitter;
  }
  // Jitter does not reorder: a frame waits for the one before it.
  due = std::max(due, link.last_due);
  link.last_due = due;
  if (chance(link, spec_.late)) {
    const auto most = static_cast<std::uint64_t>(spec_.lateness.count());
    due += Duration(static_cast<std::int64_t>(1 + link.rng.below(most)));
  }
  const auto at = [&](std::size_t place) -> Held& {
    return link.held[(link.first + place) % link.held.size()];
  };
  std::size_t place = link.count++;
  for (; place > 0 && at(place - 1).due > due; --place) at(place) = std::move(at(place - 1));
  at(place) = {.due = due, .frame = std::move(frame)};
  return true;
}

// Flips one bit, in a copy if the memory is borrowed. Null if there is no segment for the copy.
PacketPtr ImpairedPort::corrupted(unsigned queue, PacketPtr frame) {
  Link& link = links_[queue];
  std::size_t offset = link.rng.below(frame->size());
  const auto bit = static_cast<std::byte>(1U << link.rng.below(8));
  packet::Segment* segment = &frame->first();
  for (; offset >= segment->bytes().size(); segment = segment->next()) {
    offset -= segment->bytes().size();
  }
  if (segment->borrowed()) {
    frame = packet::copy_of(*frame, *link.pool, counters(queue).passes);
    if (frame == nullptr) {
      counters(queue).drop(Drop::kImpairPool);
      return nullptr;
    }
    segment = &frame->first();
    offset = link.rng.below(segment->bytes().size());
  }
  segment->writable()[offset] ^= bit;
  return frame;
}

void ImpairedPort::leave(unsigned queue, PacketPtr frame, Instant now) {
  Link& link = links_[queue];
  if (link.leaving.full()) inner_->tx_burst(queue, link.leaving, now);
  link.leaving.push(std::move(frame));
}

// Sends what is due.
void ImpairedPort::flush(unsigned queue, Instant now) {
  Link& link = links_[queue];
  while (link.count > 0 && link.held[link.first].due <= now) {
    leave(queue, std::move(link.held[link.first].frame), now);
    link.first = (link.first + 1) % link.held.size();
    --link.count;
  }
  if (!link.leaving.empty()) inner_->tx_burst(queue, link.leaving, now);
}

Instant ImpairedPort::next_deadline(unsigned queue) const {
  const Link& link = links_[queue];
  const Instant inner = inner_->next_deadline(queue);
  return link.count == 0 ? inner : std::min(inner, link.held[link.first].due);
}

QueueStats ImpairedPort::stats(unsigned queue) {
  QueueStats sum = inner_->stats(queue);
  const QueueStats& own = counters(queue);
  for (std::size_t i = 0; i < kDropCount; ++i) sum.drops[i] += own.drops[i];
  sum.passes.add(own.passes);
  return sum;
}

}  // namespace tideline::port
