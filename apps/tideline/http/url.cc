// SPDX-License-Identifier: Apache-2.0
#include "http/url.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "http/head.h"

namespace tideline::app::http {
namespace {

std::unexpected<Error> no_url(std::string_view text) {
  return fail({.kind = ErrorKind::kUsage,
               .what = fmt::format("'{}' is no URL", text),
               .remedy = "write it like http://192.0.2.1/file or http://[2001:db8::1]:8080/file"});
}

}  // namespace

Result<Url> parse_url(std::string_view text) {
  constexpr std::string_view kScheme = "http://";
  if (!text.starts_with(kScheme)) return no_url(text);
  std::string_view rest = text.substr(kScheme.size());
  rest = rest.substr(0, rest.find('#'));
  const std::size_t slash = std::min(rest.find_first_of("/?"), rest.size());
  const std::string_view authority = rest.substr(0, slash);
  const std::string_view target = rest.substr(slash);
  Url url{.host = std::string(authority),
          .target = fmt::format("{}{}", target.starts_with('/') ? "" : "/", target)};
  const bool clean = std::ranges::all_of(url.target, [](char c) { return c > ' ' && c != 0x7f; });
  std::string_view port;
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    if (end == std::string_view::npos) return no_url(text);
    url.address = authority.substr(1, end - 1);
    port = authority.substr(end + 1);
  } else {
    const std::size_t colon = std::min(authority.find(':'), authority.size());
    url.address = authority.substr(0, colon);
    port = authority.substr(colon);
  }
  if (!port.empty()) {
    const auto number = port[0] == ':' ? parse_number(port.substr(1)) : std::nullopt;
    if (!number || *number == 0 || *number > 65535) return no_url(text);
    url.port = static_cast<std::uint16_t>(*number);
  }
  if (url.address.empty() || !clean) return no_url(text);
  if (const auto path = path_of(url.target)) {
    const std::size_t last = path->rfind('/');
    url.file_name = last == std::string::npos ? *path : path->substr(last + 1);
  }
  return url;
}

}  // namespace tideline::app::http
