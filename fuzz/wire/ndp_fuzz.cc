// SPDX-License-Identifier: Apache-2.0
// Neighbour discovery messages behind the IPv6 header that carries them.
#include "wire/ndp.h"

#include "round_trip.h"
#include "wire/ipv6.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tideline::wire;
  const Bytes packet = input_bytes(data, size);
  const auto ipv6 = parse_ipv6(packet);
  if (!ipv6) return 0;
  const NdpCarrier carrier{
      .source = ipv6->source, .destination = ipv6->destination, .hop_limit = ipv6->hop_limit};
  const Bytes message = packet.subspan(sizeof(Ipv6Header), ipv6->payload_length);
  check_round_trip([&](Bytes bytes) { return parse_ndp(bytes, carrier); }, message, message.size());
  return 0;
}
