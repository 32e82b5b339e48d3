// SPDX-License-Identifier: Apache-2.0
#include "ip/routers.h"

#include <algorithm>

namespace tideline::ip {

using wire::Ipv6Address;

namespace {

// RFC 4861 §10, MAX_RTR_SOLICITATION_DELAY; RFC 7559 §2: RTR_SOLICITATION_INTERVAL and
// MAX_RTR_SOLICITATION_INTERVAL.
constexpr Duration kMaxFirstDelay = std::chrono::seconds(1);
constexpr Duration kFirstInterval = std::chrono::seconds(4);
constexpr Duration kLongestInterval = std::chrono::seconds(3600);

}  // namespace

Routers::Routers(Context& context, NeighbourTable<Ipv6Address>& neighbours)
    : context_(context), first_hops_(context, context.routes6, neighbours) {}

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
  const Instant until = now + std::chrono::seconds(message.router_lifetime);
  const int preference = static_cast<int>(message.preference);
  if (!first_hops_.advertised(router, preference, until, now)) {
    context_.drops.count(Discard::kNdpTooManyRouters);
  }
}

void Routers::remove(const Ipv6Address& router, Instant now) {
  if (first_hops_.remove(router) && !first_hops_.has_advertised()) solicit(now);
}

void Routers::run_timers(Instant now) {
  if (first_hops_.run_timers(now) && !first_hops_.has_advertised()) solicit(now);
}

Duration Routers::jittered(Duration time) {
  const double factor = 0.9 + 0.2 * context_.rng.unit();
  return Duration(static_cast<Duration::rep>(static_cast<double>(time.count()) * factor));
}

}  // namespace tideline::ip
