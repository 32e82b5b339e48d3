// SPDX-License-Identifier: Apache-2.0
// How many ICMP errors may be sent: token buckets, one for the host and one per destination.
// RFC 1812 §4.3.2.8, RFC 4443 §2.4 (f). Thread: the worker's that owns the host.
#pragma once

#include <algorithm>
#include <cstddef>

#include "base/random.h"
#include "base/time.h"
#include "ip/lru_map.h"

namespace tideline::ip {

struct ErrorLimiterOptions {
  std::int64_t rate = 1000;  // errors per second of the host
  std::int64_t burst = 50;
  std::int64_t rate_per_destination = 10;
  std::int64_t burst_per_destination = 10;
  std::size_t destinations = 256;
};

// Credit is counted in time: a token is what accrues in one interval.
class TokenBucket {
 public:
  // Takes `count` tokens if there are as many. `burst` is the most that gather.
  bool take(std::int64_t count, Duration interval, std::int64_t burst, Instant now) {
    credit_ = fresh_ ? interval * burst : std::min(credit_ + (now - last_), interval * burst);
    fresh_ = false;
    last_ = now;
    if (credit_ < interval * count) return false;
    credit_ -= interval * count;
    return true;
  }

 private:
  bool fresh_ = true;  // full
  Duration credit_{};
  Instant last_{};
};

class ErrorLimiter {
 public:
  ErrorLimiter(const ErrorLimiterOptions& options, Rng& rng)
      : options_(options), rng_(rng), buckets_(options.destinations, HashKey::random(rng)) {}

  bool allow(const wire::Ipv6Address& destination, Instant now) {
    TokenBucket* bucket = buckets_.touch(destination);
    if (bucket == nullptr) {
      if (buckets_.full()) buckets_.erase(wire::Ipv6Address(*buckets_.oldest()));
      bucket = &buckets_.insert(destination);
    }
    if (!bucket->take(1, interval(options_.rate_per_destination), options_.burst_per_destination,
                      now)) {
      return false;
    }
    // One or two tokens, at random: who watches the host's limit from aside cannot count on it what
    // others made us send (CVE-2020-25705).
    const auto count = 1 + static_cast<std::int64_t>(rng_.below(2));
    return host_.take(count, interval(options_.rate), options_.burst, now);
  }

 private:
  static Duration interval(std::int64_t rate) { return Duration(std::chrono::seconds(1)) / rate; }

  ErrorLimiterOptions options_;
  Rng& rng_;
  TokenBucket host_;
  LruMap<wire::Ipv6Address, TokenBucket> buckets_;
};

}  // namespace tideline::ip
