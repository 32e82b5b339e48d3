// SPDX-License-Identifier: Apache-2.0
#include "port/capabilities.h"

namespace tideline::port {

using packet::Gso;

Capabilities without_unmet(Capabilities capabilities) {
  capabilities.scatter_gather &= capabilities.tx_checksum;
  const bool gso = capabilities.scatter_gather;
  capabilities.tso4 &= gso;
  capabilities.tso6 &= gso;
  capabilities.uso &= gso;
  capabilities.roce_gso &= gso;
  return capabilities;
}

bool takes_gso(const Capabilities& capabilities, Gso gso) {
  switch (gso) {
    case Gso::kNone:
      return true;
    case Gso::kTcpV4:
      return capabilities.tso4;
    case Gso::kTcpV6:
      return capabilities.tso6;
    case Gso::kUdp:
      return capabilities.uso;
    case Gso::kRoce:
      return capabilities.roce_gso;
  }
  return false;
}

Status validate(const Capabilities& capabilities) {
  if (capabilities.max_frame < kMinFrame) {
    return fail({.kind = ErrorKind::kUsage, .what = "a port must take frames of 14 bytes"});
  }
  if (capabilities.scatter_gather && !capabilities.tx_checksum) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = "scatter/gather needs checksum offload",
                 .remedy = "switch checksum offload on, or scatter/gather off"});
  }
  if (without_unmet(capabilities) != capabilities) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = "segmentation offload needs checksum offload and scatter/gather",
                 .remedy = "switch both on, or segmentation offload off"});
  }
  return {};
}

}  // namespace tideline::port
