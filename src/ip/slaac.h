// SPDX-License-Identifier: Apache-2.0
// Addresses that a host forms itself: the link-local one, and one in each prefix that routers
// advertise for it, with their lifetimes; RFC 4862 §5.3 and §5.5, RFC 4861 §6.3.4 for what is on
// the link. Interface identifiers are those of RFC 7217: the same for one host in one prefix as
// long as its secret is, and telling nobody who sees it elsewhere that it is this host. Prefixes
// are bounded in number. Thread: the worker's that owns the host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "ip/context.h"
#include "ip/keyed_hash.h"
#include "wire/ndp.h"

namespace tideline::ip {

class Slaac {
 public:
  static constexpr std::size_t kMaxPrefixes = 16;  // others are not used

  // Tests an address for duplicates, and gives it to the host.
  class Owner {
   public:
    virtual void form_address(const wire::Ipv6Prefix& prefix, Instant now) = 0;
    virtual void give_up_address(const wire::Ipv6Address& address, Instant now) = 0;

   protected:
    ~Owner() = default;
  };

  // With no secret, identifiers are new in every run.
  Slaac(Context& context, const std::optional<HashKey>& secret, Owner& owner);

  void form_link_local(Instant now);
  void advertised(const wire::NdpPrefix& prefix, Instant now);
  // Another has the address. If we formed it we try another one, a few times; false if we do not.
  bool duplicate_found(const wire::Ipv6Address& address, Instant now);

  Instant next_deadline() const;
  void run_timers(Instant now);

  // Nothing before it has been formed; it may still be under test.
  const std::optional<wire::Ipv6Address>& link_local() const { return link_local_; }

 private:
  struct Known {
    wire::Ipv6Prefix prefix;               // the network
    bool has_route = false;                // on the link, by our word
    bool has_address = false;              //
    std::uint8_t duplicates = 0;           // addresses that others had
    Instant on_link_until{};               //
    wire::Ipv6Address address;             //
    Instant valid_until{};                 //
    std::optional<Instant> deprecated_at;  // nothing once it is
  };

  Known* find_or_create(const wire::Ipv6Prefix& prefix);
  void update_route(Known& known, const wire::NdpPrefix& prefix, Instant now);
  void update_address(Known& known, const wire::NdpPrefix& prefix, Instant now);
  void expire_route(Known& known);
  void expire_address(Known& known, Instant now);
  wire::Ipv6Address stable_address(const wire::Ipv6Prefix& prefix, unsigned duplicates) const;

  Context& context_;
  HashKey secret_;
  Owner& owner_;
  std::vector<Known> known_;
  std::optional<wire::Ipv6Address> link_local_;
  std::uint8_t link_local_duplicates_ = 0;
};

}  // namespace tideline::ip
