// SPDX-License-Identifier: Apache-2.0
// IGMP and MLD messages; the first byte says which.
#include "wire/group_message.h"

#include "round_trip.h"

namespace {

using namespace tideline::wire;

// What is written of a message, and the sources of a query behind it, reads the same again.
template <typename Address, typename Parse>
void check(Parse parse, Bytes message, std::size_t query_header) {
  const auto value = parse(message, message.size());
  if (!value) return;
  const auto again = [&](Bytes bytes) { return parse(bytes, bytes.size()); };
  if (const auto* query = std::get_if<GroupQuery<Address>>(&*value)) {
    const std::size_t tail = query->version == GroupVersion::kRecords ? 4 : 0;
    const auto same = again(rewrite(*query, message, query_header + tail));
    CHECK(same.has_value() && *same == *value);
    (void)query->max_response_ms();
  } else if (const auto* report = std::get_if<GroupReport<Address>>(&*value)) {
    const auto same = again(rewrite(*report, message, message.size()));
    CHECK(same.has_value() && *same == *value);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes message = input_bytes(data, size);
  if (size == 0) return 0;
  if ((data[0] & 1) != 0) {
    check<tideline::wire::Ipv4Address>(parse_igmp, message.subspan(1), 8);
  } else {
    check<tideline::wire::Ipv6Address>(parse_mld, message.subspan(1), 24);
  }
  return 0;
}
