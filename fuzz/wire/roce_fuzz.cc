// SPDX-License-Identifier: Apache-2.0
// RoCE packets from the BTH on.
#include "wire/roce.h"

#include "round_trip.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tideline::wire;
  const Bytes packet = input_bytes(data, size);
  const auto roce = parse_roce(packet);
  if (!roce) return 0;
  check_round_trip([](Bytes bytes) { return parse_roce(bytes); }, packet, roce->info().header_size);
  return 0;
}
