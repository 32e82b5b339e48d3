// SPDX-License-Identifier: Apache-2.0
// TCP segments: options are written in another order and alignment than they came in.
#include "wire/tcp.h"

#include "round_trip.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tideline::wire;
  const Bytes segment = input_bytes(data, size);
  const auto header_size = check_tcp(segment, segment.size());
  CHECK(header_size.has_value() || !parse_tcp(segment));
  if (header_size) check_round_trip(parse_tcp, segment, *header_size);
  return 0;
}
