// SPDX-License-Identifier: Apache-2.0
// IPv4 headers with options. The checksum is made right, or nothing would get past it.
#include "wire/ipv4.h"

#include "round_trip.h"
#include "wire/checksum.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tideline::wire;
  std::vector<std::byte> packet(input_bytes(data, size).begin(), input_bytes(data, size).end());
  if (packet.size() >= sizeof(Ipv4Header)) {
    auto& header = view_as<Ipv4Header>(MutableBytes(packet));
    header.checksum = be16(0);
    const std::size_t header_size = std::min(header.header_size(), packet.size());
    header.checksum = be16(checksum(Bytes(packet).first(header_size)));
  }
  const auto ipv4 = parse_ipv4(packet);
  if (!ipv4) {
    if (!is_ipv4_option_problem(ipv4.error())) return 0;
    const std::size_t size_of_header = view_as<Ipv4Header>(Bytes(packet)).header_size();
    const auto at = ipv4_option_problem_at(Bytes(packet).first(size_of_header));
    CHECK(at && *at >= sizeof(Ipv4Header) && *at < size_of_header);
    return 0;
  }
  CHECK(ipv4->total_length <= packet.size() && ipv4->header_size() <= ipv4->total_length);
  static_cast<void>(ipv4->options.router_alert());
  check_round_trip(parse_ipv4, packet, ipv4->header_size());
  return 0;
}
