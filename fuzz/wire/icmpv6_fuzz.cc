// SPDX-License-Identifier: Apache-2.0
// ICMPv6 messages with the packets that they quote.
#include "wire/icmpv6.h"

#include "round_trip.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tideline::wire;
  const Bytes message = input_bytes(data, size);
  if (size < sizeof(Icmpv6Header)) {
    CHECK(!parse_icmpv6(message));
    return 0;
  }
  check_round_trip(parse_icmpv6, message, sizeof(Icmpv6Header));
  return 0;
}
