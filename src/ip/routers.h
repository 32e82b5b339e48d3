// SPDX-License-Identifier: Apache-2.0
// The routers of the link, as they advertise themselves: RFC 4861 §6.3, with the preferences of
// RFC 4191 (a host of its type B) and the solicitations of RFC 7559. Which of them serves is
// decided in first_hops.h. Thread: the worker's that owns the host.
#pragma once

#include "ip/context.h"
#include "ip/first_hops.h"
#include "ip/neighbour.h"
#include "wire/ndp.h"

namespace tideline::ip {

class Routers {
 public:
  Routers(Context& context, NeighbourTable<wire::Ipv6Address>& neighbours);

  // Asks for routers from now on, until one has been heard.
  void solicit(Instant now);
  // Whether it is time to ask. The caller does.
  bool solicitation_due(Instant now);

  void advertised(const wire::Ipv6Address& router, const wire::RouterAdvertisement& message,
                  Instant now);
  // It is no router any more.
  void remove(const wire::Ipv6Address& router, Instant now);

  FirstHops<wire::Ipv6Address>& first_hops() { return first_hops_; }
  const FirstHops<wire::Ipv6Address>& first_hops() const { return first_hops_; }

  Instant next_deadline() const { return std::min(solicit_at_, first_hops_.next_deadline()); }
  void run_timers(Instant now);

 private:
  Duration jittered(Duration time);

  Context& context_;
  FirstHops<wire::Ipv6Address> first_hops_;
  Instant solicit_at_ = kNever;
  Duration solicit_interval_{};
};

}  // namespace tideline::ip
