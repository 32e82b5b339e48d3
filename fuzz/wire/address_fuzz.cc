// SPDX-License-Identifier: Apache-2.0
// The text forms of addresses and prefixes.
#include "wire/mac_address.h"

#include "base/check.h"

namespace tideline::wire {
namespace {

template <typename T>
void check_text(std::string_view text) {
  const auto value = T::from_text(text);
  if (!value) return;
  const auto again = T::from_text(value->to_text());
  CHECK(again.has_value() && *again == *value, "{}", value->to_text());
}

}  // namespace
}  // namespace tideline::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tideline::wire;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_text<Ipv4Address>(text);
  check_text<Ipv6Address>(text);
  check_text<Ipv4Prefix>(text);
  check_text<Ipv6Prefix>(text);
  check_text<MacAddress>(text);
  return 0;
}
