// SPDX-License-Identifier: Apache-2.0
// HTTP heads, ranges, paths and chunked bodies: no answer may name bytes that a file does not have,
// no path may lead above the root, and a chunked body is the same however it is cut.
#include <algorithm>
#include <string>
#include <string_view>

#include "base/check.h"
#include "http/head.h"
#include "http/url.h"

using namespace tideline::app::http;

namespace {

void check_path(std::string_view target) {
  const auto path = path_of(target);
  if (!path) return;
  CHECK(!path->starts_with('/') && path->find('\0') == std::string::npos);
  for (std::string_view rest = *path; !rest.empty();) {
    const std::size_t end = std::min(rest.find('/'), rest.size());
    const std::string_view segment = rest.substr(0, end);
    CHECK(!segment.empty() && segment != "." && segment != "..", "{}", *path);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

void check_range(std::string_view value) {
  for (const std::uint64_t size :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1000}, UINT64_MAX}) {
    Range range;
    if (parse_range(value, size, range) != RangeResult::kOne) continue;
    CHECK(range.begin < range.end && range.end <= size, "{} {} of {}", range.begin, range.end,
          size);
  }
  if (const auto part = parse_content_range(value)) CHECK(part->first.begin < part->first.end);
}

std::string decode(std::string_view bytes, std::size_t step, ChunkDecoder& decoder) {
  std::string body;
  while (!bytes.empty() && decoder.state() == ChunkDecoder::State::kMore) {
    std::string_view payload;
    const std::size_t taken = decoder.take(bytes.substr(0, step), payload);
    CHECK(taken > 0 && taken <= bytes.size() && payload.size() <= taken);
    body += payload;
    bytes.remove_prefix(taken);
  }
  return body;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_path(text);
  check_range(text);
  (void)parse_url(text);
  if (const auto end = head_size(text)) {
    const std::string_view head = text.substr(0, *end);
    if (const auto request = parse_request(head)) {
      check_path(request->target);
      (void)request->keeps_alive();
      (void)request->has_body();
      if (const auto range = request->fields.find("Range")) check_range(*range);
    }
    if (const auto response = parse_response(head)) {
      CHECK(response->status >= 100 && response->status <= 999);
      (void)content_length(response->fields);
    }
  }
  ChunkDecoder whole;
  ChunkDecoder cut;
  const std::string body = decode(text, SIZE_MAX, whole);
  CHECK(body == decode(text, 1, cut) && whole.state() == cut.state());
  return 0;
}
