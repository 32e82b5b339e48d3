// SPDX-License-Identifier: Apache-2.0
// The routers of the link, as they advertise themselves: RFC 4861 §6.3, with the preferences of
// RFC 4191 (a host of its type B) and the solicitations of RFC 7559; and what they say of better
// first hops, RFC 4861 §8. The best of them becomes the default route, unless one is configured.
// Both tables are bounded. Thread: the worker's that owns the host.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "ip/context.h"
#include "ip/lru_map.h"
#include "ip/neighbour.h"
#include "wire/ndp.h"

namespace tideline::ip {

class Routers {
 public:
  static constexpr std::size_t kMaxRouters = 8;  // others are not heard of
  static constexpr std::size_t kMaxRedirects = 64;

  Routers(Context& context, const NeighbourTable<wire::Ipv6Address>& neighbours);

  // Asks for routers from now on, until one has been heard.
  void solicit(Instant now);
  // Whether it is time to ask. The caller does.
  bool solicitation_due(Instant now);

  void advertised(const wire::Ipv6Address& router, const wire::RouterAdvertisement& message,
                  Instant now);
  // It is no router any more.
  void remove(const wire::Ipv6Address& router, Instant now);
  // False if it is not the first hop to the destination that says so.
  bool redirected(const wire::Ipv6Address& from, const wire::Redirect& message, Instant now);
  // A first hop does not answer: another router may.
  void reconsider(Instant now);

  std::optional<wire::Ipv6Address> next_hop(const wire::Ipv6Address& destination,
                                            Instant now) const;

  Instant next_deadline() const;
  void run_timers(Instant now);

  std::size_t size() const { return routers_.size(); }
  std::size_t redirects() const { return redirects_.size(); }

 private:
  struct Router {
    wire::Ipv6Address address;
    wire::RouterPreference preference;
    Instant until;
  };
  struct Better {
    wire::Ipv6Address target;
    Instant until{};
  };

  bool is_unreachable(const wire::Ipv6Address& address, Instant now) const;
  bool is_configured() const;
  Duration jittered(Duration time);

  Context& context_;
  const NeighbourTable<wire::Ipv6Address>& neighbours_;
  std::vector<Router> routers_;
  std::optional<wire::Ipv6Address> installed_;  // the default route that is ours
  LruMap<wire::Ipv6Address, Better> redirects_;
  Instant solicit_at_ = kNever;
  Duration solicit_interval_{};
};

}  // namespace tideline::ip
