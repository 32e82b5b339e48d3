// SPDX-License-Identifier: Apache-2.0
#include "wire/udp.h"

namespace tideline::wire {

Parsed<Udp> parse_udp(Bytes payload) {
  const auto length = check_udp(payload, payload.size());
  if (!length) return drop(length.error());
  const auto& header = view_as<UdpHeader>(payload);
  return Udp{.source_port = header.source_port.value(),
             .destination_port = header.destination_port.value(),
             .length = *length,
             .checksum = header.checksum.value()};
}

Parsed<void> check_udp_checksum(const Udp& udp, const PartialChecksum& sum, UdpChecksumRule rule) {
  if (udp.checksum == 0) {
    if (rule == UdpChecksumRule::kRequired) return drop(DropReason::kUdpChecksumMissing);
    return {};
  }
  if (!sum.valid()) return drop(DropReason::kUdpChecksum);
  return {};
}

std::size_t emit(const Udp& udp, MutableBytes out) {
  view_as<UdpHeader>(out) = {.source_port = be16(udp.source_port),
                             .destination_port = be16(udp.destination_port),
                             .length = be16(udp.length),
                             .checksum = be16(udp.checksum)};
  return sizeof(UdpHeader);
}

}  // namespace tideline::wire
