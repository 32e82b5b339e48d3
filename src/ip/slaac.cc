// SPDX-License-Identifier: Apache-2.0
#include "ip/slaac.h"

#include <algorithm>
#include <array>

namespace tideline::ip {

using wire::Ipv6Address;
using wire::Ipv6Prefix;

namespace {

constexpr Ipv6Prefix kLinkLocal{.address = Ipv6Address(0xfe80000000000000, 0), .length = 64};
constexpr unsigned kIdentifierBits = 64;  // RFC 4291 §2.5.1, RFC 2464 §4
constexpr std::uint8_t kRetries = 3;      // RFC 7217 §7, IDGEN_RETRIES
constexpr std::uint32_t kForEver = 0xffffffff;
constexpr Duration kTwoHours = std::chrono::hours(2);

Instant after(std::uint32_t lifetime, Instant now) {
  return lifetime == kForEver ? kNever : now + std::chrono::seconds(lifetime);
}

}  // namespace

Slaac::Slaac(Context& context, const std::optional<HashKey>& secret, Owner& owner)
    : context_(context), secret_(secret ? *secret : HashKey::random(context.rng)), owner_(owner) {
  known_.reserve(kMaxPrefixes);
}

// RFC 7217 §5: a function of the prefix, the interface, the number of duplicates, and the secret.
Ipv6Address Slaac::stable_address(const Ipv6Prefix& prefix, unsigned duplicates) const {
  std::uint64_t mac = 0;
  for (const std::uint8_t byte : context_.mac.bytes()) mac = mac << 8 | byte;
  const std::array words{prefix.address.high(), mac, std::uint64_t{duplicates}};
  const std::uint64_t identifier = siphash<2, 4>(secret_, std::span<const std::uint64_t>(words));
  // RFC 5453: the identifier 0 is the routers' anycast, fdff:ffff:ffff:ff80 and up are reserved.
  constexpr std::uint64_t kReserved = 0xfdffffffffffff80;
  if (identifier == 0 || identifier >> 7 == kReserved >> 7) {
    return stable_address(prefix, duplicates + kRetries + 1);
  }
  return {prefix.address.high(), identifier};
}

void Slaac::form_link_local(Instant now) {
  context_.routes6.add({.destination = kLinkLocal});
  link_local_ = stable_address(kLinkLocal, link_local_duplicates_);
  owner_.form_address({.address = *link_local_, .length = kLinkLocal.length}, now);
}

// RFC 4862 §5.5.3 (a) to (c).
void Slaac::advertised(const wire::NdpPrefix& prefix, Instant now) {
  const Ipv6Prefix network{.address = prefix.prefix.network(), .length = prefix.prefix.length};
  if (network.address.is_link_local() || network.address.is_multicast()) return;
  if (prefix.preferred_lifetime > prefix.valid_lifetime) return;
  Known* known = find_or_create(network);
  if (known == nullptr) return;
  if (prefix.on_link) update_route(*known, prefix, now);
  if (prefix.autonomous) update_address(*known, prefix, now);
  std::erase_if(known_, [](const Known& each) { return !each.has_route && !each.has_address; });
}

Slaac::Known* Slaac::find_or_create(const Ipv6Prefix& prefix) {
  const auto found = std::ranges::find(known_, prefix, &Known::prefix);
  if (found != known_.end()) return &*found;
  if (known_.size() == kMaxPrefixes) {
    context_.drops.count(Discard::kNdpTooManyPrefixes);
    return nullptr;
  }
  return &known_.emplace_back(Known{.prefix = prefix});
}

// RFC 4861 §6.3.4. A route that is configured stays as it is.
void Slaac::update_route(Known& known, const wire::NdpPrefix& prefix, Instant now) {
  known.on_link_until = after(prefix.valid_lifetime, now);
  if (prefix.valid_lifetime == 0) {
    expire_route(known);
    return;
  }
  const auto& routes = context_.routes6.all();
  const bool there = std::ranges::any_of(
      routes, [&](const auto& route) { return route.destination == known.prefix; });
  if (there) return;
  context_.routes6.add({.destination = known.prefix});
  known.has_route = true;
}

void Slaac::expire_route(Known& known) {
  if (known.has_route) context_.routes6.remove(known.prefix);
  known.has_route = false;
}

// RFC 4862 §5.5.3 (d) and (e).
void Slaac::update_address(Known& known, const wire::NdpPrefix& prefix, Instant now) {
  if (known.prefix.length != 128 - kIdentifierBits) return;
  const Instant valid_until = after(prefix.valid_lifetime, now);
  known.deprecated_at = after(prefix.preferred_lifetime, now);
  if (!known.has_address) {
    if (prefix.valid_lifetime == 0 || known.duplicates > kRetries) return;
    known.has_address = true;
    known.valid_until = valid_until;
    known.address = stable_address(known.prefix, known.duplicates);
    owner_.form_address({.address = known.address, .length = known.prefix.length}, now);
    return;
  }
  if (prefix.preferred_lifetime > 0) {
    context_.addresses.set_state(known.address, AddressState::kPreferred);
  }
  // Nobody takes our addresses away with one forged advertisement: what is left stays, but for what
  // is beyond two hours.
  if (valid_until > now + kTwoHours || valid_until > known.valid_until) {
    known.valid_until = valid_until;
  } else if (known.valid_until > now + kTwoHours) {
    known.valid_until = now + kTwoHours;
  }
}

void Slaac::expire_address(Known& known, Instant now) {
  known.has_address = false;
  owner_.give_up_address(known.address, now);
}

// RFC 7217 §6: with the next number the address is another one.
bool Slaac::duplicate_found(const Ipv6Address& address, Instant now) {
  if (address == link_local_) {
    link_local_.reset();
    if (++link_local_duplicates_ > kRetries) return false;
    form_link_local(now);
    return true;
  }
  const auto found = std::ranges::find_if(
      known_, [&](const Known& each) { return each.has_address && each.address == address; });
  if (found == known_.end()) return false;
  if (++found->duplicates > kRetries) {
    found->has_address = false;
    return false;
  }
  found->address = stable_address(found->prefix, found->duplicates);
  owner_.form_address({.address = found->address, .length = found->prefix.length}, now);
  return true;
}

Instant Slaac::next_deadline() const {
  Instant earliest = kNever;
  for (const Known& each : known_) {
    if (each.has_route) earliest = std::min(earliest, each.on_link_until);
    if (!each.has_address) continue;
    earliest = std::min(earliest, each.valid_until);
    if (each.deprecated_at) earliest = std::min(earliest, *each.deprecated_at);
  }
  return earliest;
}

void Slaac::run_timers(Instant now) {
  for (Known& each : known_) {
    if (each.has_route && each.on_link_until <= now) expire_route(each);
    if (!each.has_address) continue;
    if (each.valid_until <= now) {
      expire_address(each, now);
    } else if (each.deprecated_at && *each.deprecated_at <= now) {
      // An address that is still tested stays to be deprecated when that is over.
      if (context_.addresses.is_tentative(each.address)) {
        each.deprecated_at = now + std::chrono::seconds(1);
        continue;
      }
      context_.addresses.set_state(each.address, AddressState::kDeprecated);
      each.deprecated_at.reset();
    }
  }
  std::erase_if(known_, [](const Known& each) { return !each.has_route && !each.has_address; });
}

}  // namespace tideline::ip
