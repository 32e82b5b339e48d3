// SPDX-License-Identifier: Apache-2.0
// Ethernet frames with VLAN tags.
#include "wire/ethernet.h"

#include "round_trip.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tideline::wire;
  const Bytes frame = input_bytes(data, size);
  const auto ethernet = parse_ethernet(frame);
  if (!ethernet) return 0;
  CHECK(rewrite(*ethernet, frame, ethernet->header_size()) ==
        std::vector(frame.begin(), frame.end()));
  check_round_trip([](Bytes bytes) { return parse_ethernet(bytes); }, frame,
                   ethernet->header_size());
  return 0;
}
