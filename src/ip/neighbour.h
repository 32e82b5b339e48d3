// SPDX-License-Identifier: Apache-2.0
// Which Ethernet address a neighbour has, and whether it still answers: the state machine of
// RFC 4861 §7.3, used for IPv4 (arp.h) and IPv6 (ndp.h) alike.
//
//              send()                 answer, solicited
//   (none) ------------> INCOMPLETE --------------------> REACHABLE <------------+
//     ^ |                  | 3 probes                        | reachable time    | answer,
//     | | heard_request    v                     heard or    v                   | confirm()
//     | |                FAILED (1 s)           not asked  STALE                 |
//     | +-----------------------------------------------> (no timer)            |
//     |                                                      | send()            |
//     |  3 probes without answer                  5 s        v                   |
//     +---------------------------------- PROBE <--------- DELAY ----------------+
//
// The table is bounded: the least recently used entry gives way. An entry that waits for its
// address keeps the latest packets (RFC 1122 §2.3.2.2), whole datagrams, fragmented only when they
// leave. What nobody asked for never creates an entry. Thread: the worker's that owns the host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "ip/discard.h"
#include "ip/lru_map.h"
#include "packet/packet.h"
#include "wire/mac_address.h"

namespace tideline::ip {

enum class NeighbourState : std::uint8_t {
  kIncomplete,
  kReachable,
  kStale,
  kDelay,
  kProbe,
  kFailed,
};

// Times of RFC 4861 §10; IPv4 uses the same.
struct NeighbourOptions {
  std::size_t capacity = 1024;
  std::size_t waiting_segments = 512;  // of packets that wait, over all entries
  Duration retransmit_time = std::chrono::seconds(1);
  Duration base_reachable_time = std::chrono::seconds(30);
  Duration delay_first_probe = std::chrono::seconds(5);
  Duration failed_time = std::chrono::seconds(1);
  unsigned max_probes = 3;  // multicast and unicast
};

// What an advertisement or an ARP reply says of an address.
struct NeighbourClaim {
  std::optional<wire::MacAddress> mac;
  bool solicited = false;
  bool override_cache = false;
};

// What became of a claim.
enum class ClaimResult : std::uint8_t {
  kUnknown,  // nobody talks to that neighbour: nothing is kept
  kIgnored,  // it says too little, or contradicts what is known
  kTaken,
};

// Asks on the link.
template <typename Address>
class Solicitor {
 public:
  // Who has `target`? To everybody, or to `known` alone: does it still? `waiting` is the IP packet
  // that wants to know, if there is one.
  virtual void solicit(const Address& target, const std::optional<wire::MacAddress>& known,
                       const packet::Packet* waiting, Instant now) = 0;
  // Nobody answers for `target`. Told before those are whose packets wait for it.
  virtual void silent(const Address& target, Instant now) = 0;

 protected:
  ~Solicitor() = default;
};

// Takes packets whose next hop is known, or never will be. May send again.
class Carrier {
 public:
  virtual void carry(packet::PacketPtr packet, const wire::MacAddress& to, Instant now) = 0;
  virtual void undeliverable(packet::PacketPtr packet, Instant now) = 0;

 protected:
  ~Carrier() = default;
};

template <typename Address>
class NeighbourTable {
 public:
  // Packets per entry: a program that opens many connections at once sends as many SYNs.
  static constexpr std::size_t kMaxWaiting = 128;

  NeighbourTable(const NeighbourOptions& options, Solicitor<Address>& solicitor, Carrier& carrier,
                 DropCounters& drops, Rng& rng);

  // Hands an IP packet to the carrier, now or when the next hop has answered.
  void send(packet::PacketPtr packet, const Address& next_hop, Instant now);

  // Asks for the next hop, if nothing is known of it, before there is anything to send. Whether its
  // address is known.
  bool resolve(const Address& next_hop, Instant now);

  // A neighbour asked for us and said who it is: RFC 4861 §7.2.3, RFC 826.
  void heard_request(const Address& address, const wire::MacAddress& mac, Instant now);
  // RFC 4861 §7.2.5.
  ClaimResult heard_claim(const Address& address, const NeighbourClaim& claim, Instant now);
  // Whether an answer from this address is expected.
  bool asks_for(const Address& address) const;
  // A protocol above made forward progress: RFC 4861 §7.3.1.
  void confirm(const Address& address, Instant now);

  // What a router advertises of them (RFC 4861 §6.3.4); zero leaves one as it is.
  void set_times(Duration base_reachable_time, Duration retransmit_time);
  Duration retransmit_time() const { return options_.retransmit_time; }

  Instant next_deadline() const { return earliest_; }
  void run_timers(Instant now);

  std::size_t size() const { return entries_.size(); }
  // Nothing if there is no entry.
  std::optional<NeighbourState> state(const Address& address, Instant now) const;
  std::optional<wire::MacAddress> mac(const Address& address) const;

 private:
  struct Entry {
    wire::MacAddress mac;
    NeighbourState state = NeighbourState::kIncomplete;
    std::uint8_t probes = 0;                 // sent in this state
    Instant deadline = kNever;               // of INCOMPLETE, DELAY, PROBE, FAILED
    Instant reachable_until{};               // of REACHABLE
    std::vector<packet::PacketPtr> waiting;  // oldest first
  };

  Entry* create(const Address& address, bool on_demand);
  bool evict(bool on_demand);
  void set_state(Entry& entry, NeighbourState state, Instant now);
  void set_deadline(Entry& entry, Instant deadline);
  void wait(Entry& entry, packet::PacketPtr packet);
  void drop_oldest_waiting(Entry& entry, Discard reason);
  std::vector<packet::PacketPtr> take_waiting(Entry& entry);
  void resolved(Entry& entry, Instant now);
  void probe(const Address& address, Entry& entry, Instant now);
  void deadline_passed(const Address& address, Entry& entry, Instant now);
  Duration jittered(Duration time, double low, double high);

  NeighbourOptions options_;
  Solicitor<Address>& solicitor_;
  Carrier& carrier_;
  DropCounters& drops_;
  Rng& rng_;
  LruMap<Address, Entry> entries_;
  std::size_t waiting_segments_ = 0;
  Instant earliest_ = kNever;  // never later than any entry's deadline
};

extern template class NeighbourTable<wire::Ipv4Address>;
extern template class NeighbourTable<wire::Ipv6Address>;

}  // namespace tideline::ip
