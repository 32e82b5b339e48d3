// SPDX-License-Identifier: Apache-2.0
// The URLs of `get`. Any thread.
#pragma once

#include <string>
#include <string_view>

#include <tideline/endpoint.h>
#include <tideline/error.h>

namespace tideline::app::http {

struct Url {
  std::string host;     // as in the Host field: "192.0.2.1:8080", "[2001:db8::1]"
  std::string address;  // without brackets
  std::uint16_t port = 80;
  std::string target;     // "/a/b?c"
  std::string file_name;  // the last part of the path, decoded; empty if there is none
};

// "http://ADDRESS[:PORT][/PATH]". Names are not resolved.
Result<Url> parse_url(std::string_view text);

}  // namespace tideline::app::http
