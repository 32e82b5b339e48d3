// SPDX-License-Identifier: Apache-2.0
// ICMP messages with the packets that they quote.
#include "wire/icmp.h"

#include "round_trip.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tideline::wire;
  const Bytes message = input_bytes(data, size);
  if (size < sizeof(IcmpHeader)) {
    CHECK(!parse_icmp(message));
    return 0;
  }
  check_round_trip(parse_icmp, message, sizeof(IcmpHeader));
  return 0;
}
