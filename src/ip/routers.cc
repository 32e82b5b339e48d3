// SPDX-License-Identifier: Apache-2.0
#include "ip/routers.h"

#include <algorithm>
#include <tuple>

namespace tideline::ip {

using wire::Ipv6Address;

namespace {

// RFC 4861 §10, MAX_RTR_SOLICITATION_DELAY; RFC 7559 §2: RTR_SOLICITATION_INTERVAL and
// MAX_RTR_SOLICITATION_INTERVAL.
constexpr Duration kMaxFirstDelay = std::chrono::seconds(1);
constexpr Duration kFirstInterval = std::chrono::seconds(4);
constexpr Duration kLongestInterval = std::chrono::seconds(3600);
// RFC 4861 sets a redirect no limit; a router that still means it will say it again.
constexpr Duration kRedirectLifetime = std::chrono::minutes(10);

constexpr wire::Ipv6Prefix kDefault{};

}  // namespace

Routers::Routers(Context& context, const NeighbourTable<Ipv6Address>& neighbours)
    : context_(context),
      neighbours_(neighbours),
      redirects_(kMaxRedirects, HashKey::random(context.rng)) {
  routers_.reserve(kMaxRouters);
}

void Routers::solicit(Instant now) {
  const auto delay = context_.rng.below(static_cast<std::uint64_t>(kMaxFirstDelay.count()));
  solicit_at_ = now + Duration(static_cast<Duration::rep>(delay));
  solicit_interval_ = Duration::zero();
}

// RFC 7559 §2, RFC 8415 §15: each interval twice the one before, with a tenth of jitter.
bool Routers::solicitation_due(Instant now) {
  if (solicit_at_ > now) return false;
  const Duration next =
      solicit_interval_ == Duration::zero() ? kFirstInterval : 2 * solicit_interval_;
  solicit_interval_ = jittered(std::min(next, kLongestInterval));
  solicit_at_ = now + solicit_interval_;
  return true;
}

// RFC 4861 §6.3.4.
void Routers::advertised(const Ipv6Address& router, const wire::RouterAdvertisement& message,
                         Instant now) {
  if (message.router_lifetime == 0) {
    remove(router, now);
    return;
  }
  solicit_at_ = kNever;
  const auto known = std::ranges::find(routers_, router, &Router::address);
  const Router fresh{.address = router,
                     .preference = message.preference,
                     .until = now + std::chrono::seconds(message.router_lifetime)};
  if (known != routers_.end()) {
    *known = fresh;
  } else if (routers_.size() < kMaxRouters) {
    routers_.push_back(fresh);
  } else {
    context_.drops.count(Discard::kNdpTooManyRouters);
  }
  reconsider(now);
}

void Routers::remove(const Ipv6Address& router, Instant now) {
  if (std::erase_if(routers_, [&](const Router& each) { return each.address == router; }) == 0) {
    return;
  }
  reconsider(now);
  if (routers_.empty()) solicit(now);
}

bool Routers::is_unreachable(const Ipv6Address& address, Instant now) const {
  return neighbours_.state(address, now) == NeighbourState::kFailed;
}

bool Routers::is_configured() const {
  return std::ranges::any_of(context_.routes6.all(), [&](const Route<Ipv6Address>& route) {
    return route.destination == kDefault && route.gateway != installed_;
  });
}

// RFC 4861 §6.3.6, RFC 4191 §3.2: a router that answers before one that does not, the preferred
// before others, the one in use before its equals.
void Routers::reconsider(Instant now) {
  if (is_configured()) return;
  const Router* best = nullptr;
  const auto rank = [&](const Router& each) {
    return std::tuple(!is_unreachable(each.address, now), each.preference,
                      each.address == installed_);
  };
  for (const Router& each : routers_) {
    if (best == nullptr || rank(each) > rank(*best)) best = &each;
  }
  if (best == nullptr) {
    if (installed_) context_.routes6.remove(kDefault);
    installed_.reset();
    return;
  }
  if (installed_ == best->address) return;
  installed_ = best->address;
  context_.routes6.add({.destination = kDefault, .gateway = best->address});
}

// RFC 4861 §8.1, §8.3; what the message's own bytes decide was checked by wire::parse_ndp.
bool Routers::redirected(const Ipv6Address& from, const wire::Redirect& message, Instant now) {
  if (next_hop(message.destination, now) != from || from == message.destination) return false;
  if (context_.addresses.is_ours(message.target)) return false;
  Better* better = redirects_.touch(message.destination);
  if (better == nullptr) {
    if (redirects_.full()) redirects_.erase(Ipv6Address(*redirects_.oldest()));
    better = &redirects_.insert(message.destination);
  }
  *better = {.target = message.target, .until = now + kRedirectLifetime};
  return true;
}

std::optional<Ipv6Address> Routers::next_hop(const Ipv6Address& destination, Instant now) const {
  if (redirects_.size() > 0) {
    const Better* better = redirects_.find(destination);
    // RFC 4861 §7.3.3: a target that does not answer is forgotten.
    if (better != nullptr && now < better->until && !is_unreachable(better->target, now)) {
      return better->target;
    }
  }
  return context_.routes6.next_hop(destination);
}

Instant Routers::next_deadline() const {
  Instant earliest = solicit_at_;
  for (const Router& each : routers_) earliest = std::min(earliest, each.until);
  return earliest;
}

void Routers::run_timers(Instant now) {
  if (std::erase_if(routers_, [&](const Router& each) { return each.until <= now; }) == 0) return;
  reconsider(now);
  if (routers_.empty()) solicit(now);
}

Duration Routers::jittered(Duration time) {
  const double factor = 0.9 + 0.2 * context_.rng.unit();
  return Duration(static_cast<Duration::rep>(static_cast<double>(time.count()) * factor));
}

}  // namespace tideline::ip
