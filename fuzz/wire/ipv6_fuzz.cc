// SPDX-License-Identifier: Apache-2.0
// IPv6 headers, extension headers and fragment headers.
#include "wire/ipv6.h"

#include "round_trip.h"
#include "wire/ipv6_extensions.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tideline::wire;
  const Bytes packet = input_bytes(data, size);
  const auto ipv6 = parse_ipv6(packet);
  if (!ipv6) return 0;
  check_round_trip(parse_ipv6, packet, sizeof(Ipv6Header));
  const std::size_t packet_size = sizeof(Ipv6Header) + ipv6->payload_length;
  const auto found = parse_ipv6_extensions(packet, packet_size);
  if (!found) {
    CHECK(found.error().pointer < packet_size);
    return 0;
  }
  CHECK(found->upper <= packet_size && found->fragment < found->upper);
  if (found->fragment != 0) {
    check_round_trip(parse_ipv6_fragment, packet.subspan(found->fragment),
                     sizeof(Ipv6FragmentHeader));
  }
  return 0;
}
