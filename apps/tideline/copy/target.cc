// SPDX-License-Identifier: Apache-2.0
#include "copy/target.h"

#include <fmt/format.h>

namespace tideline::app::copy {
namespace {

// The colon between host and name. An IPv6 address has colons itself: the last one, then.
std::size_t separator_of(std::string_view text) {
  if (text.starts_with('[')) {
    const std::size_t bracket = text.find("]:");
    return bracket == std::string_view::npos ? bracket : bracket + 1;
  }
  const std::size_t first = text.find(':');
  const bool ipv4 = text.substr(0, first).find('.') != std::string_view::npos;
  return ipv4 ? first : text.rfind(':');
}

}  // namespace

Result<Target> parse_target(std::string_view text, std::string_view file) {
  const std::size_t colon = separator_of(text);
  if (colon == std::string_view::npos || colon == 0 || text.starts_with("[]")) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = fmt::format("'{}' names no host and file", text),
                 .remedy = "write it like 192.0.2.1:NAME or [2001:db8::1]:NAME"});
  }
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
  std::string_view name = text.substr(colon + 1);
  if (name.empty()) name = file.substr(file.rfind('/') + 1);
  return Target{.host = std::string(host), .name = std::string(name)};
}

}  // namespace tideline::app::copy
