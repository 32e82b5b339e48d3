// SPDX-License-Identifier: Apache-2.0
// What `serve` answers to a request: a head, and maybe a part of a file behind it. RFC 9110. One
// thread.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "http/files.h"
#include "http/head.h"

namespace tideline::app::http {

struct Answer {
  int status = 0;
  std::string text;  // the head, and the body unless it is of the file
  UniqueFd file;     // its bytes [begin, end) follow
  Range part;
  bool closes = false;  // the connection, afterwards
};

// `now` is for the Date field.
Answer answer(const RequestHead& request, const Files& files, std::time_t now);
// To what is no request, or cannot be served; the connection closes.
Answer refuse(int status, std::time_t now);

}  // namespace tideline::app::http
