// SPDX-License-Identifier: Apache-2.0
// What a port can do, so that nic does the rest in software. Fixed when the port is opened.
#pragma once

#include <cstddef>

#include "base/error.h"
#include "packet/metadata.h"

namespace tideline::port {

inline constexpr std::size_t kEthernetHeader = 14;
inline constexpr std::size_t kMinFrame = kEthernetHeader;
// The longest GSO frame: 65535 bytes of IP behind an Ethernet header and a VLAN tag.
inline constexpr std::size_t kMaxGsoFrame = 65'535 + kEthernetHeader + 4;

struct Capabilities {
  bool rx_checksum = false;     // received frames may say that their checksum is valid, or needed
  bool tx_checksum = false;     // takes frames whose checksum is needed
  bool scatter_gather = false;  // takes frames of several segments, borrowed ones among them
  bool tso4 = false;            // takes TCP over IPv4 beyond max_frame
  bool tso6 = false;
  bool uso = false;                                    // takes UDP beyond max_frame
  bool roce_gso = false;                               // takes RDMA messages beyond max_frame
  std::size_t max_frame = 1500 + kEthernetHeader + 4;  // of a frame that is no GSO frame

  friend bool operator==(const Capabilities&, const Capabilities&) = default;
};

// Whether frames of this kind may exceed max_frame; yes for kNone, which says nothing.
bool takes_gso(const Capabilities& capabilities, packet::Gso gso);

// An error if a capability lacks what it depends on: scatter/gather needs the checksum (who
// gathers would else have to sum first), segmentation needs both.
Status validate(const Capabilities& capabilities);

// The same without what lacks what it depends on: for ports whose capabilities are found out, or
// chosen by the user.
Capabilities without_unmet(Capabilities capabilities);

}  // namespace tideline::port
