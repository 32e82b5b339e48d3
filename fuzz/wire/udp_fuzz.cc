// SPDX-License-Identifier: Apache-2.0
// UDP datagrams.
#include "wire/udp.h"

#include "round_trip.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tideline::wire;
  const Bytes payload = input_bytes(data, size);
  if (size < sizeof(UdpHeader)) {
    CHECK(!parse_udp(payload));
    return 0;
  }
  check_round_trip(parse_udp, payload, sizeof(UdpHeader));
  return 0;
}
