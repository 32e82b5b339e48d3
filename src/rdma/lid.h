// SPDX-License-Identifier: Apache-2.0
// Local identifiers (IBA 4.1.3): the 16 bits by which programs that are older than RoCE name ports.
// RoCE has none (annex A16.4.3), but such programs exchange nothing else. So the LID of a host is
// what its IPv4 address has behind the prefix, where that fits, and who is named by a LID is the
// host of that network with that rest. Values; thread: any.
#pragma once

#include <cstdint>
#include <optional>

#include "rdma/types.h"
#include "wire/ip_address.h"

namespace tideline::rdma {

class LidNetwork {
 public:
  LidNetwork() = default;  // nobody has a LID
  // The host's own address and its network's prefix.
  explicit LidNetwork(const wire::Ipv4Prefix& own) : own_(own), exists_(true) {}

  // 0: none.
  std::uint16_t own_lid() const { return gid_of(lid_in(own_)) ? lid_in(own_) : std::uint16_t{0}; }
  Gid own_gid() const { return Gid::mapped(own_.address); }
  // Nothing if no host can have it.
  std::optional<Gid> gid_of(std::uint16_t lid) const {
    constexpr std::uint16_t kFirstMulticast = 0xc000;
    const bool fits = own_.length >= 16 && own_.length <= 30 && lid < host_mask(own_);
    if (!exists_ || !fits || lid == 0 || lid >= kFirstMulticast) return std::nullopt;
    return Gid::mapped(wire::Ipv4Address(own_.network().value() | lid));
  }

 private:
  static std::uint32_t host_mask(const wire::Ipv4Prefix& prefix) {
    return static_cast<std::uint32_t>(0xffffffffULL >> prefix.length);
  }
  static std::uint16_t lid_in(const wire::Ipv4Prefix& prefix) {
    return static_cast<std::uint16_t>(prefix.address.value() & host_mask(prefix));
  }

  wire::Ipv4Prefix own_{};
  bool exists_ = false;
};

}  // namespace tideline::rdma
