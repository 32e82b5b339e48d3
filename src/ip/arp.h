// SPDX-License-Identifier: Apache-2.0
// ARP: RFC 826, RFC 1122 §2.3.2, with the probes, announcements and conflicts of RFC 5227. Replies
// that nobody asked for change nothing; an announcement moves an address that we already talk to,
// since that is how addresses legitimately move. Thread: the worker's that owns the host.
#pragma once

#include <optional>
#include <vector>

#include "ip/context.h"
#include "ip/first_hops.h"
#include "ip/neighbour.h"
#include "wire/arp.h"
#include "wire/packet_layout.h"

namespace tideline::ip {

// How an address is tested before it is used, and told of then: RFC 5227 §1.1. DEVIATES: the RFC's
// seconds were made for links that need them to come up; a station on a link that is up answers
// within a millisecond. Nobody starts a program to wait four to seven seconds for it.
struct AddressProbeOptions {
  unsigned probes = 3;                                         // PROBE_NUM; 0: no test
  Duration longest_wait{};                                     // PROBE_WAIT, at random from zero
  Duration shortest_interval = std::chrono::milliseconds(20);  // PROBE_MIN
  Duration longest_interval = std::chrono::milliseconds(40);   // PROBE_MAX
  Duration announce_wait = std::chrono::milliseconds(60);      // ANNOUNCE_WAIT
  unsigned announcements = 2;                                  // ANNOUNCE_NUM
  Duration announce_interval = std::chrono::seconds(2);        // ANNOUNCE_INTERVAL
  Duration defend_interval = std::chrono::seconds(10);         // DEFEND_INTERVAL

  // The times that the RFC has.
  static constexpr AddressProbeOptions rfc5227() {
    using std::chrono::seconds;
    return {.longest_wait = seconds(1),
            .shortest_interval = seconds(1),
            .longest_interval = seconds(2),
            .announce_wait = seconds(2)};
  }
};

// Whether somebody else may have an address that we are given.
enum class Uniqueness : std::uint8_t { kToBeTested, kCertain };

class Arp final : private Solicitor<wire::Ipv4Address> {
 public:
  Arp(Context& context, const NeighbourOptions& options, const AddressProbeOptions& probing,
      Carrier& carrier);

  void receive(packet::PacketPtr frame, const wire::PacketLayout& layout, Instant now);
  // Gives the host an address, after making sure that nobody on the link has it, and announces it.
  void add_address(const wire::Ipv4Prefix& prefix, Uniqueness uniqueness, Instant now);
  Instant next_deadline() const;
  void run_timers(Instant now);

  std::optional<wire::Ipv4Address> next_hop(wire::Ipv4Address destination, Instant now) const {
    return first_hops_.next_hop(destination, now);
  }
  FirstHops<wire::Ipv4Address>& first_hops() { return first_hops_; }
  const FirstHops<wire::Ipv4Address>& first_hops() const { return first_hops_; }
  NeighbourTable<wire::Ipv4Address>& neighbours() { return neighbours_; }
  const NeighbourTable<wire::Ipv4Address>& neighbours() const { return neighbours_; }

 private:
  // An address under test, then one that is announced.
  struct Claim {
    wire::Ipv4Prefix prefix;
    unsigned probes_left;
    unsigned announcements_left;
    bool ours;  // the test is over
    Instant deadline;
  };

  void solicit(const wire::Ipv4Address& target, const std::optional<wire::MacAddress>& known,
               const packet::Packet* waiting, Instant now) override;
  void silent(const wire::Ipv4Address& target, Instant now) override;
  bool check_claims(const wire::Arp& arp, Instant now);
  void step(Claim& claim, Instant now);
  void probe(wire::Ipv4Address address, Instant now);
  void announce(wire::Ipv4Address address, Instant now);
  Duration between(Duration shortest, Duration longest);
  bool check_conflict(const wire::Arp& arp, Instant now);
  bool check_sender(const wire::Arp& arp, Instant now);
  void learn(const wire::Arp& arp, Instant now);
  void answer(const wire::Arp& arp, Instant now);
  void send(const wire::Arp& arp, const wire::MacAddress& to, Instant now);

  Context& context_;
  AddressProbeOptions probing_;
  NeighbourTable<wire::Ipv4Address> neighbours_;
  FirstHops<wire::Ipv4Address> first_hops_;
  std::vector<Claim> claims_;
  std::optional<Instant> defended_;  // when we last defended an address
};

}  // namespace tideline::ip
