// SPDX-License-Identifier: Apache-2.0
// What routers have said of the largest packet that a path carries: RFC 1191, RFC 8201. Who asks
// for a destination that nothing is known of gets the link's MTU. Thread: the worker's that owns
// the host.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/random.h"
#include "base/time.h"
#include "ip/lru_map.h"
#include "wire/ipv6.h"

namespace tideline::ip {

struct PathMtuOptions {
  std::size_t capacity = 512;
  Duration lifetime = std::chrono::minutes(10);  // RFC 1191 §6.3, RFC 8201 §5.3
  // Nobody makes us send smaller packets than this (RFC 1191 §3 needs 68 only); where a path does
  // need it, we stop forbidding routers to fragment.
  std::uint16_t floor_ipv4 = 552;
};

struct PathMtu {
  std::uint16_t mtu = 0;
  bool below_floor = false;  // IPv4: do not set DF
};

class PathMtuCache {
 public:
  PathMtuCache(const PathMtuOptions& options, std::uint16_t link_mtu, Rng& rng)
      : options_(options),
        link_mtu_(link_mtu),
        link_mtu_ipv6_(link_mtu),
        paths_(options.capacity, HashKey::random(rng)) {}

  // IPv4 addresses are mapped, as below.
  PathMtu find(const wire::Ipv6Address& destination, Instant now) const {
    const Entry* entry = paths_.find(destination);
    if (entry == nullptr || now >= entry->expires) return {.mtu = link_mtu(destination)};
    return entry->path;
  }

  // A router says that the path carries `mtu` only. False if that is no news: MTUs are lowered by
  // others, and raised by time alone.
  bool lower(const wire::Ipv6Address& destination, std::uint32_t mtu, Instant now) {
    if (mtu >= find(destination, now).mtu) return false;
    const std::uint16_t floor =
        destination.is_mapped() ? options_.floor_ipv4 : wire::kIpv6MinimumMtu;
    Entry* entry = paths_.touch(destination);
    if (entry == nullptr) {
      if (paths_.full()) paths_.erase(wire::Ipv6Address(*paths_.oldest()));
      entry = &paths_.insert(destination);
    }
    entry->path = {.mtu = static_cast<std::uint16_t>(std::max<std::uint32_t>(mtu, floor)),
                   .below_floor = mtu < floor};
    entry->path.mtu = std::min(entry->path.mtu, link_mtu(destination));
    entry->expires = now + options_.lifetime;
    return true;
  }

  // What a router wants of IPv6 on this link (RFC 4861 §6.3.4), in bounds; it raises nothing.
  void set_link_mtu_ipv6(std::uint32_t mtu) {
    if (mtu >= wire::kIpv6MinimumMtu && mtu <= link_mtu_) {
      link_mtu_ipv6_ = static_cast<std::uint16_t>(mtu);
    }
  }

  std::size_t size() const { return paths_.size(); }

 private:
  struct Entry {
    PathMtu path;
    Instant expires{};
  };

  std::uint16_t link_mtu(const wire::Ipv6Address& destination) const {
    return destination.is_mapped() ? link_mtu_ : link_mtu_ipv6_;
  }

  PathMtuOptions options_;
  std::uint16_t link_mtu_;
  std::uint16_t link_mtu_ipv6_;
  LruMap<wire::Ipv6Address, Entry> paths_;
};

}  // namespace tideline::ip
