// SPDX-License-Identifier: Apache-2.0
#include "ip/neighbour.h"

#include <algorithm>
#include <utility>

namespace tideline::ip {

using packet::PacketPtr;
using wire::MacAddress;
using enum NeighbourState;

template <typename Address>
NeighbourTable<Address>::NeighbourTable(const NeighbourOptions& options,
                                        Solicitor<Address>& solicitor, Carrier& carrier,
                                        DropCounters& drops, Rng& rng)
    : options_(options),
      solicitor_(solicitor),
      carrier_(carrier),
      drops_(drops),
      rng_(rng),
      entries_(options.capacity, HashKey::random(rng)) {}

// Callbacks may come back into the table and evict the entry at hand: they are the last thing that
// any function here does with it.
template <typename Address>
void NeighbourTable<Address>::send(PacketPtr packet, const Address& next_hop, Instant now) {
  Entry* entry = entries_.touch(next_hop);
  if (entry == nullptr) {
    entry = create(next_hop, true);
    wait(*entry, std::move(packet));
    set_state(*entry, kIncomplete, now);
    probe(next_hop, *entry, now);
    return;
  }
  switch (entry->state) {
    case kIncomplete:
      wait(*entry, std::move(packet));
      return;
    case kFailed:
      drops_.count(Discard::kNeighbourUnresolved);
      carrier_.undeliverable(std::move(packet), now);
      return;
    case kReachable:
      if (now < entry->reachable_until) break;
      set_state(*entry, kDelay, now);  // by way of STALE, which this packet ends
      break;
    case kStale:
      set_state(*entry, kDelay, now);
      break;
    case kDelay:
    case kProbe:
      break;
  }
  carrier_.carry(std::move(packet), MacAddress(entry->mac), now);
}

template <typename Address>
bool NeighbourTable<Address>::resolve(const Address& next_hop, Instant now) {
  Entry* entry = entries_.touch(next_hop);
  if (entry != nullptr) return entry->state != kIncomplete && entry->state != kFailed;
  entry = create(next_hop, true);
  set_state(*entry, kIncomplete, now);
  probe(next_hop, *entry, now);
  return false;
}

template <typename Address>
void NeighbourTable<Address>::heard_request(const Address& address, const MacAddress& mac,
                                            Instant now) {
  Entry* entry = entries_.find(address);
  if (entry == nullptr) {
    entry = create(address, false);
    if (entry == nullptr) return;
    entry->mac = mac;
    set_state(*entry, kStale, now);
    return;
  }
  const bool waits = entry->state == kIncomplete || entry->state == kFailed;
  if (!waits && entry->mac == mac) return;
  entry->mac = mac;
  set_state(*entry, kStale, now);
  resolved(*entry, now);
}

template <typename Address>
ClaimResult NeighbourTable<Address>::heard_claim(const Address& address,
                                                 const NeighbourClaim& claim, Instant now) {
  Entry* entry = entries_.find(address);
  if (entry == nullptr) return ClaimResult::kUnknown;
  if (entry->state == kIncomplete || entry->state == kFailed) {
    if (!claim.mac) return ClaimResult::kIgnored;
    entry->mac = *claim.mac;
    set_state(*entry, claim.solicited ? kReachable : kStale, now);
    resolved(*entry, now);
    return ClaimResult::kTaken;
  }
  const bool differs = claim.mac && *claim.mac != entry->mac;
  if (differs && !claim.override_cache) {
    // Not believed, but doubted: RFC 4861 §7.2.5, case I.
    if (entry->state == kReachable) set_state(*entry, kStale, now);
    return ClaimResult::kIgnored;
  }
  if (differs) entry->mac = *claim.mac;
  if (claim.solicited) {
    set_state(*entry, kReachable, now);
  } else if (differs) {
    set_state(*entry, kStale, now);
  }
  return ClaimResult::kTaken;
}

template <typename Address>
bool NeighbourTable<Address>::asks_for(const Address& address) const {
  const Entry* entry = entries_.find(address);
  return entry != nullptr && (entry->state == kIncomplete || entry->state == kProbe);
}

template <typename Address>
void NeighbourTable<Address>::confirm(const Address& address, Instant now) {
  Entry* entry = entries_.find(address);
  if (entry == nullptr || entry->state == kIncomplete || entry->state == kFailed) return;
  set_state(*entry, kReachable, now);
}

template <typename Address>
void NeighbourTable<Address>::set_times(Duration base_reachable_time, Duration retransmit_time) {
  using std::chrono::seconds;
  // In bounds, so that no advertisement makes us flood the link or ask no more.
  constexpr Duration kShortestRetransmit = std::chrono::milliseconds(100);
  if (base_reachable_time > Duration::zero()) {
    options_.base_reachable_time =
        std::clamp<Duration>(base_reachable_time, seconds(1), std::chrono::hours(1));
  }
  if (retransmit_time > Duration::zero()) {
    options_.retransmit_time =
        std::clamp<Duration>(retransmit_time, kShortestRetransmit, seconds(10));
  }
}

template <typename Address>
void NeighbourTable<Address>::run_timers(Instant now) {
  if (now < earliest_) return;
  entries_.for_each([&](const Address& address, Entry& entry) {
    if (entry.deadline <= now) deadline_passed(Address(address), entry, now);
  });
  earliest_ = kNever;
  entries_.for_each([&](const Address& /*address*/, const Entry& entry) {
    earliest_ = std::min(earliest_, entry.deadline);
  });
}

template <typename Address>
void NeighbourTable<Address>::deadline_passed(const Address& address, Entry& entry, Instant now) {
  switch (entry.state) {
    case kIncomplete:
      if (entry.probes < options_.max_probes) {
        probe(address, entry, now);
        return;
      }
      // RFC 4861 §7.2.2, RFC 1122 §2.3.2.1: those who wait are told, and nobody asks again at once.
      set_state(entry, kFailed, now);
      solicitor_.silent(address, now);
      for (PacketPtr& packet : take_waiting(entry)) {
        drops_.count(Discard::kNeighbourUnresolved);
        carrier_.undeliverable(std::move(packet), now);
      }
      return;
    case kDelay:
      set_state(entry, kProbe, now);
      probe(address, entry, now);
      return;
    case kProbe:
      if (entry.probes < options_.max_probes) {
        probe(address, entry, now);
        return;
      }
      // RFC 4861 §7.3.3: the next packet starts from the beginning.
      entries_.erase(address);
      solicitor_.silent(address, now);
      return;
    case kFailed:
      entries_.erase(address);
      return;
    case kReachable:
    case kStale:
      return;
  }
}

template <typename Address>
std::optional<NeighbourState> NeighbourTable<Address>::state(const Address& address,
                                                             Instant now) const {
  const Entry* entry = entries_.find(address);
  if (entry == nullptr) return std::nullopt;
  // REACHABLE has no timer: it ends when somebody looks.
  if (entry->state == kReachable && now >= entry->reachable_until) return kStale;
  return entry->state;
}

template <typename Address>
std::optional<MacAddress> NeighbourTable<Address>::mac(const Address& address) const {
  const Entry* entry = entries_.find(address);
  if (entry == nullptr || entry->state == kIncomplete || entry->state == kFailed) {
    return std::nullopt;
  }
  return entry->mac;
}

template <typename Address>
auto NeighbourTable<Address>::create(const Address& address, bool on_demand) -> Entry* {
  if (entries_.full() && !evict(on_demand)) {
    drops_.count(Discard::kNeighbourTableFull);
    return nullptr;
  }
  return &entries_.insert(address);
}

// For a packet of ours the oldest gives way, whatever its state. What others say makes only those
// give way that nobody uses: a scan cannot drive out the neighbours that we talk to.
template <typename Address>
bool NeighbourTable<Address>::evict(bool on_demand) {
  const Address* victim = entries_.oldest();
  if (!on_demand) {
    victim = entries_.find_oldest_if([](const Address&, const Entry& entry) {
      return entry.state == kStale || entry.state == kFailed;
    });
  }
  if (victim == nullptr) return false;
  const Address address = *victim;
  Entry& entry = *entries_.find(address);
  while (!entry.waiting.empty()) drop_oldest_waiting(entry, Discard::kNeighbourEvicted);
  entries_.erase(address);
  return true;
}

template <typename Address>
void NeighbourTable<Address>::set_state(Entry& entry, NeighbourState state, Instant now) {
  entry.state = state;
  entry.probes = 0;
  entry.deadline = kNever;
  switch (state) {
    case kReachable:
      // RFC 4861 §6.3.2: uniformly distributed, against synchronised probing.
      entry.reachable_until = now + jittered(options_.base_reachable_time, 0.5, 1.5);
      return;
    case kDelay:
      set_deadline(entry, now + options_.delay_first_probe);
      return;
    case kFailed:
      set_deadline(entry, now + options_.failed_time);
      return;
    case kIncomplete:
    case kProbe:  // probe() sets their deadlines
    case kStale:
      return;
  }
}

template <typename Address>
void NeighbourTable<Address>::set_deadline(Entry& entry, Instant deadline) {
  entry.deadline = deadline;
  earliest_ = std::min(earliest_, deadline);
}

// RFC 1122 §2.3.2.2, RFC 4861 §7.2.2: the newest stay.
template <typename Address>
void NeighbourTable<Address>::wait(Entry& entry, PacketPtr packet) {
  const std::size_t segments = packet->segment_count();
  while (!entry.waiting.empty() && (entry.waiting.size() == kMaxWaiting ||
                                    waiting_segments_ + segments > options_.waiting_segments)) {
    drop_oldest_waiting(entry, Discard::kNeighbourQueueFull);
  }
  if (waiting_segments_ + segments > options_.waiting_segments) {
    drops_.count(Discard::kNeighbourQueueFull);
    return;
  }
  waiting_segments_ += segments;
  entry.waiting.push_back(std::move(packet));
}

template <typename Address>
void NeighbourTable<Address>::drop_oldest_waiting(Entry& entry, Discard reason) {
  drops_.count(reason);
  waiting_segments_ -= entry.waiting.front()->segment_count();
  entry.waiting.erase(entry.waiting.begin());
}

template <typename Address>
std::vector<PacketPtr> NeighbourTable<Address>::take_waiting(Entry& entry) {
  for (const PacketPtr& packet : entry.waiting) waiting_segments_ -= packet->segment_count();
  return std::exchange(entry.waiting, {});
}

template <typename Address>
void NeighbourTable<Address>::resolved(Entry& entry, Instant now) {
  if (entry.waiting.empty()) return;
  // They are sent now, which is what ends STALE.
  if (entry.state == kStale) set_state(entry, kDelay, now);
  const MacAddress mac = entry.mac;
  for (PacketPtr& packet : take_waiting(entry)) {
    carrier_.carry(std::move(packet), mac, now);
  }
}

template <typename Address>
void NeighbourTable<Address>::probe(const Address& address, Entry& entry, Instant now) {
  ++entry.probes;
  set_deadline(entry, now + jittered(options_.retransmit_time, 1.0, 1.1));
  std::optional<MacAddress> known;
  if (entry.state == kProbe) known = entry.mac;
  const packet::Packet* waiting = entry.waiting.empty() ? nullptr : entry.waiting.front().get();
  solicitor_.solicit(address, known, waiting, now);
}

template <typename Address>
Duration NeighbourTable<Address>::jittered(Duration time, double low, double high) {
  const double factor = low + (high - low) * rng_.unit();
  return Duration(static_cast<Duration::rep>(static_cast<double>(time.count()) * factor));
}

template class NeighbourTable<wire::Ipv4Address>;
template class NeighbourTable<wire::Ipv6Address>;

}  // namespace tideline::ip
