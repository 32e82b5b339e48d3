// SPDX-License-Identifier: Apache-2.0
#include "ip/first_hops.h"

#include <algorithm>
#include <tuple>

namespace tideline::ip {

using wire::Ipv4Address;
using wire::Ipv6Address;

namespace {

// Neither RFC 1122 nor RFC 4861 sets a redirect a limit; a router that still means it will say it
// again.
constexpr Duration kRedirectLifetime = std::chrono::minutes(10);
// RFC 4191 §3.2: how often a router is asked whether it has come back, at most.
constexpr Duration kAskInterval = std::chrono::minutes(1);

}  // namespace

template <typename Address>
FirstHops<Address>::FirstHops(Context& context, Routes<Address>& routes,
                              NeighbourTable<Address>& neighbours)
    : context_(context),
      routes_(routes),
      neighbours_(neighbours),
      redirects_(kMaxRedirects, HashKey::random(context.rng)) {
  routers_.reserve(kMaxRouters);
}

template <typename Address>
auto FirstHops<Address>::find(const Address& address) -> Router* {
  const auto found = std::ranges::find(routers_, address, &Router::address);
  return found == routers_.end() ? nullptr : &*found;
}

template <typename Address>
bool FirstHops<Address>::add(const Router& router, Instant now) {
  Router* known = find(router.address);
  if (known == nullptr) {
    if (routers_.size() == kMaxRouters) return false;
    routers_.push_back(router);
  } else if (!known->configured) {
    known->preference = router.preference;
    known->until = router.until;
    known->configured = router.configured;
    if (known->silent_since) ask(*known, now);
  }
  choose();
  return true;
}

template <typename Address>
bool FirstHops<Address>::configure(const Address& router, Instant now) {
  return add({.address = router, .configured = true}, now);
}

template <typename Address>
bool FirstHops<Address>::advertised(const Address& router, int preference, Instant until,
                                    Instant now) {
  return add({.address = router, .preference = preference, .until = until}, now);
}

// RFC 4861 §6.3.5, §7.2.5: whoever sent by it looks for another.
template <typename Address>
bool FirstHops<Address>::remove(const Address& router) {
  forget_redirects_to(router, true);
  const auto gone = std::erase_if(
      routers_, [&](const Router& each) { return each.address == router && !each.configured; });
  if (gone > 0) choose();
  return gone > 0;
}

// RFC 4861 §7.3.3, RFC 1122 §3.3.1.4.
template <typename Address>
void FirstHops<Address>::silent(const Address& neighbour, Instant now) {
  forget_redirects_to(neighbour, false);
  Router* router = find(neighbour);
  if (router == nullptr) return;
  router->silent_since = now;
  choose();
}

template <typename Address>
void FirstHops<Address>::heard(const Address& neighbour) {
  Router* router = find(neighbour);
  if (router == nullptr || !router->silent_since) return;
  router->silent_since.reset();
  choose();
}

// Whether packets go to the router in use, so that another's return would be of use.
template <typename Address>
bool FirstHops<Address>::is_in_use(Instant now) const {
  if (!installed_) return false;
  const auto state = neighbours_.state(*installed_, now);
  return state && *state != NeighbourState::kStale;
}

// RFC 4191 §3.2: a router that speaks to all, but gave no answer, is asked again while there is
// something to send. What it answers is heard().
template <typename Address>
void FirstHops<Address>::ask(Router& router, Instant now) {
  if (!is_in_use(now) || (router.asked_at && now - *router.asked_at < kAskInterval)) return;
  router.asked_at = now;
  neighbours_.resolve(router.address, now);
}

// As a router: its neighbours are not sent by it, but to it.
template <typename Address>
void FirstHops<Address>::forget_redirects_to(const Address& target, bool as_router) {
  redirects_.for_each([&](const Address& destination, const Better& better) {
    if (better.target == target && !(as_router && destination == target)) {
      redirects_.erase(Address(destination));
    }
  });
}

// RFC 4861 §6.3.6, RFC 4191 §3.2: a router that answers before one that did not, the preferred
// before others, the one in use before its equals. Where none answers, they take turns.
template <typename Address>
void FirstHops<Address>::choose() {
  constexpr wire::Prefix<Address> kDefault{};
  const bool fixed = std::ranges::any_of(routes_.all(), [&](const Route<Address>& route) {
    return route.destination == kDefault && route.gateway != installed_;
  });
  if (fixed) return;
  const auto rank = [&](const Router& each) {
    const Duration silence =
        each.silent_since ? each.silent_since->time_since_epoch() : Duration::zero();
    return std::tuple(!each.silent_since, -silence.count(), each.configured, each.preference,
                      each.address == installed_);
  };
  const Router* best = nullptr;
  for (const Router& each : routers_) {
    if (best == nullptr || rank(each) > rank(*best)) best = &each;
  }
  if (best == nullptr) {
    if (installed_) routes_.remove(kDefault);
    installed_.reset();
    return;
  }
  if (installed_ == best->address) return;
  installed_ = best->address;
  routes_.add({.destination = kDefault, .gateway = best->address});
}

template <typename Address>
bool FirstHops<Address>::redirected(const Address& from, const Address& destination,
                                    const Address& target, Instant now) {
  if (next_hop(destination, now) != from || from == destination || from == target) return false;
  if (context_.addresses.is_ours(target)) return false;
  Better* better = redirects_.touch(destination);
  if (better == nullptr) {
    if (redirects_.full()) redirects_.erase(Address(*redirects_.oldest()));
    better = &redirects_.insert(destination);
  }
  *better = {.target = target, .until = now + kRedirectLifetime};
  return true;
}

template <typename Address>
bool FirstHops<Address>::has_advertised() const {
  return !std::ranges::all_of(routers_, &Router::configured);
}

template <typename Address>
Instant FirstHops<Address>::next_deadline() const {
  Instant earliest = kNever;
  for (const Router& each : routers_) earliest = std::min(earliest, each.until);
  return earliest;
}

template <typename Address>
bool FirstHops<Address>::run_timers(Instant now) {
  bool gone = false;
  for (std::size_t i = 0; i < routers_.size();) {
    const Router& each = routers_[i];
    if (each.until > now) {
      ++i;
      continue;
    }
    gone = true;
    remove(Address(each.address));
  }
  return gone;
}

template class FirstHops<Ipv4Address>;
template class FirstHops<Ipv6Address>;

}  // namespace tideline::ip
