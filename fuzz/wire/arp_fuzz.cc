// SPDX-License-Identifier: Apache-2.0
// ARP packets.
#include "wire/arp.h"

#include "round_trip.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tideline::wire;
  const Bytes packet = input_bytes(data, size);
  if (size < sizeof(ArpHeader)) {
    CHECK(!parse_arp(packet));
    return 0;
  }
  check_round_trip(parse_arp, packet, sizeof(ArpHeader));
  return 0;
}
