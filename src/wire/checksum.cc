// SPDX-License-Identifier: Apache-2.0
#include "wire/checksum.h"

#include "wire/endian.h"

namespace tideline::wire {
namespace {

struct PseudoHeader4 {
  Ipv4Address source;
  Ipv4Address destination;
  std::uint8_t zero;
  std::uint8_t protocol;
  be16 length;
};
static_assert(sizeof(PseudoHeader4) == 12);

struct PseudoHeader6 {
  Ipv6Address source;
  Ipv6Address destination;
  be32 length;
  std::array<std::uint8_t, 3> zero;
  std::uint8_t protocol;
};
static_assert(sizeof(PseudoHeader6) == 40);

template <typename Header>
PartialChecksum sum_of(const Header& header) {
  PartialChecksum sum;
  sum.add(std::as_bytes(std::span(&header, 1)));
  return sum;
}

}  // namespace

PartialChecksum pseudo_header(Ipv4Address source, Ipv4Address destination, std::uint8_t protocol,
                              std::uint32_t length) {
  return sum_of(PseudoHeader4{.source = source,
                              .destination = destination,
                              .zero = 0,
                              .protocol = protocol,
                              .length = be16(static_cast<std::uint16_t>(length))});
}

PartialChecksum pseudo_header(const Ipv6Address& source, const Ipv6Address& destination,
                              std::uint8_t protocol, std::uint32_t length) {
  return sum_of(PseudoHeader6{.source = source,
                              .destination = destination,
                              .length = be32(length),
                              .zero = {},
                              .protocol = protocol});
}

std::uint16_t update_checksum(std::uint16_t checksum, Bytes before, Bytes after) {
  CHECK(before.size() == after.size() && before.size() % 2 == 0, "{} bytes become {}",
        before.size(), after.size());
  for (std::size_t i = 0; i < before.size(); i += 2) {
    checksum = update_checksum(checksum, view_as<be16>(before.subspan(i)).value(),
                               view_as<be16>(after.subspan(i)).value());
  }
  return checksum;
}

}  // namespace tideline::wire
