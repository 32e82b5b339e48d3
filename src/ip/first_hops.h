// SPDX-License-Identifier: Apache-2.0
// To whom a host gives packets for other networks: the default routers, of which one that answers
// serves, and what they say of better first hops to single destinations. RFC 1122 §3.3.1 and
// §3.2.2.2 for IPv4 (arp.h), RFC 4861 §6.3.6 and §8.3 for IPv6 (routers.h). A route that control
// has set for 0.0.0.0/0 or ::/0 itself is left alone. Both tables are bounded. Thread: the worker's
// that owns the host.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "ip/context.h"
#include "ip/lru_map.h"
#include "ip/neighbour.h"
#include "wire/ip_address.h"

namespace tideline::ip {

template <typename Address>
class FirstHops {
 public:
  static constexpr std::size_t kMaxRouters = 8;  // others are not heard of
  static constexpr std::size_t kMaxRedirects = 64;

  FirstHops(Context& context, Routes<Address>& routes, NeighbourTable<Address>& neighbours);

  // A default router that the host's owner names: it comes before those that advertise themselves,
  // and goes with the host. False if there are too many.
  bool configure(const Address& router, Instant now);
  // One that advertises itself. False if there are too many.
  bool advertised(const Address& router, int preference, Instant until, Instant now);
  // It is no router any more. Whether it had advertised itself.
  bool remove(const Address& router);

  // A neighbour does not answer: if it is a router, another may.
  void silent(const Address& neighbour, Instant now);
  // It does: what was thought of it is over.
  void heard(const Address& neighbour);

  // A redirect. False if it is not the first hop to the destination that says so, or it says
  // nothing that we could do.
  bool redirected(const Address& from, const Address& destination, const Address& target,
                  Instant now);

  // The neighbour to hand a packet to; nothing if there is no route.
  std::optional<Address> next_hop(const Address& destination, Instant now) const {
    if (redirects_.size() > 0) {
      const Better* better = redirects_.find(destination);
      if (better != nullptr && now < better->until) return better->target;
    }
    return routes_.next_hop(destination);
  }

  // Of those that advertise themselves.
  Instant next_deadline() const;
  // Whether one has gone.
  bool run_timers(Instant now);

  std::size_t size() const { return routers_.size(); }
  // Whether there is one that advertises itself.
  bool has_advertised() const;
  std::size_t redirects() const { return redirects_.size(); }

 private:
  struct Router {
    Address address;
    int preference = 0;
    Instant until = kNever;
    bool configured = false;
    std::optional<Instant> silent_since{};  // it did not answer then
    std::optional<Instant> asked_at{};      // after it had fallen silent
  };
  struct Better {
    Address target;
    Instant until{};
  };

  Router* find(const Address& address);
  bool add(const Router& router, Instant now);
  bool is_in_use(Instant now) const;
  void ask(Router& router, Instant now);
  void forget_redirects_to(const Address& target, bool as_router);
  void choose();

  Context& context_;
  Routes<Address>& routes_;
  NeighbourTable<Address>& neighbours_;
  std::vector<Router> routers_;
  std::optional<Address> installed_;  // the default route that is ours
  LruMap<Address, Better> redirects_;
};

extern template class FirstHops<wire::Ipv4Address>;
extern template class FirstHops<wire::Ipv6Address>;

}  // namespace tideline::ip
