// SPDX-License-Identifier: Apache-2.0
// The flow labels of IPv6: RFC 6437 §3. One for each TCP connection and each pair of UDP ports, a
// keyed hash, so that routers spread flows over paths without a look at ports, and nobody can tell
// a label beforehand. Thread: the worker's that owns the host.
#pragma once

#include <array>
#include <cstdint>

#include "base/random.h"
#include "ip/keyed_hash.h"
#include "wire/ip_address.h"

namespace tideline::ip {

class FlowLabels {
 public:
  explicit FlowLabels(Rng& rng) : secret_(HashKey::random(rng)) {}

  // `ports`: the first four bytes of the transport header. Never 0, which says that there is none.
  std::uint32_t label_of(const wire::Ipv6Address& source, const wire::Ipv6Address& destination,
                         std::uint8_t protocol, std::uint32_t ports) {
    // The flows that send now find their label here, and need no hash.
    const std::uint64_t spread = (ports ^ destination.low()) * 0x9e3779b97f4a7c15;
    Known& known = known_[spread >> 58];
    if (known.ports == ports && known.protocol == protocol && known.destination == destination &&
        known.source == source) {
      return known.label;
    }
    const std::uint64_t hash =
        siphash(secret_, std::array{source.high(), source.low(), destination.high(),
                                    destination.low(), std::uint64_t{ports} << 8 | protocol});
    const auto label = static_cast<std::uint32_t>(hash & 0xfffff);
    known = {.source = source,
             .destination = destination,
             .ports = ports,
             .label = label == 0 ? 1 : label,
             .protocol = protocol};
    return known.label;
  }

 private:
  struct Known {
    wire::Ipv6Address source;
    wire::Ipv6Address destination;
    std::uint32_t ports = 0;
    std::uint32_t label = 0;
    std::uint8_t protocol = 0;  // 0: none is known
  };

  HashKey secret_;
  std::array<Known, 64> known_{};
};

}  // namespace tideline::ip
