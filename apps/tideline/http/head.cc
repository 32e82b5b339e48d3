// SPDX-License-Identifier: Apache-2.0
#include "http/head.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace tideline::app::http {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

// RFC 9110 §5.6.2.
bool is_token(std::string_view text) {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::ranges::all_of(text, [&](char c) {
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') ||
           kOthers.find(c) != std::string_view::npos;
  });
}

bool is_visible(char c) { return c > ' ' && c != 0x7f; }  // bytes above 127 are negative

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t";
  const std::size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

// The next line of a head, without its end; nothing at the empty line.
std::optional<std::string_view> next_line(std::string_view& head) {
  const std::size_t end = head.find("\r\n");
  if (end == std::string_view::npos || end == 0) return std::nullopt;
  const std::string_view line = head.substr(0, end);
  head.remove_prefix(end + 2);
  return line;
}

bool parse_fields(std::string_view head, Fields& fields) {
  while (const auto line = next_line(head)) {
    const std::size_t colon = line->find(':');
    if (colon == std::string_view::npos || !is_token(line->substr(0, colon))) return false;
    const std::string_view value = trim(line->substr(colon + 1));
    const bool clean = std::ranges::none_of(
        value, [](char c) { return (c >= 0 && c < ' ' && c != '\t') || c == 0x7f; });
    if (!clean || fields.size() == kMaxFields) return false;
    fields.add({.name = line->substr(0, colon), .value = value});
  }
  return head == "\r\n";
}

// "HTTP/1.1" and "HTTP/1.0".
std::optional<int> parse_version(std::string_view text) {
  if (text.size() != 8 || !text.starts_with("HTTP/1.")) return std::nullopt;
  if (text[7] < '0' || text[7] > '9') return std::nullopt;
  return text[7] - '0';
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char small = lower(c);
  return small >= 'a' && small <= 'f' ? small - 'a' + 10 : -1;
}

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    const int high = hex_digit(text[i + 1]);
    const int low = hex_digit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    decoded += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return decoded;
}

}  // namespace

std::optional<std::string_view> Fields::find(std::string_view name) const {
  const auto found = std::ranges::find_if(
      fields_, [&](const Field& field) { return equal_ignoring_case(field.name, name); });
  if (found == fields_.end()) return std::nullopt;
  return found->value;
}

std::size_t Fields::count(std::string_view name) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      fields_, [&](const Field& field) { return equal_ignoring_case(field.name, name); }));
}

bool Fields::has_element(std::string_view name, std::string_view element) const {
  for (const Field& field : fields_) {
    if (!equal_ignoring_case(field.name, name)) continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      if (equal_ignoring_case(trim(rest.substr(0, comma)), element)) return true;
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
  return false;
}

// RFC 9112 §9.3.
bool RequestHead::keeps_alive() const {
  if (fields.has_element("Connection", "close")) return false;
  return minor >= 1 || fields.has_element("Connection", "keep-alive");
}

bool RequestHead::has_body() const {
  if (fields.find("Transfer-Encoding")) return true;
  return fields.count("Content-Length") > 0 && content_length(fields) != 0;
}

std::optional<std::size_t> head_size(std::string_view bytes) {
  const std::size_t end = bytes.find("\r\n\r\n");
  if (end == std::string_view::npos) return std::nullopt;
  return end + 4;
}

std::expected<RequestHead, int> parse_request(std::string_view head) {
  if (head.size() > kMaxHead) return std::unexpected(431);
  const auto line = next_line(head);
  if (!line) return std::unexpected(400);
  const std::size_t first = line->find(' ');
  const std::size_t last = line->rfind(' ');
  if (first == std::string_view::npos || first == last) return std::unexpected(400);
  RequestHead request{.method = line->substr(0, first),
                      .target = line->substr(first + 1, last - first - 1)};
  if (!is_token(request.method) || request.target.empty() ||
      !std::ranges::all_of(request.target, is_visible)) {
    return std::unexpected(400);
  }
  const std::string_view version = line->substr(last + 1);
  const auto minor = parse_version(version);
  if (!minor) return std::unexpected(version.starts_with("HTTP/") ? 505 : 400);
  request.minor = *minor;
  if (!parse_fields(head, request.fields)) return std::unexpected(400);
  if (request.minor >= 1 && request.fields.count("Host") != 1) return std::unexpected(400);
  return request;
}

std::optional<ResponseHead> parse_response(std::string_view head) {
  if (head.size() > kMaxHead) return std::nullopt;
  const auto line = next_line(head);
  // "HTTP/1.1 200" and maybe a reason.
  if (!line || line->size() < 12 || (*line)[8] != ' ') return std::nullopt;
  if (line->size() > 12 && (*line)[12] != ' ') return std::nullopt;
  const auto minor = parse_version(line->substr(0, 8));
  const auto status = parse_number(line->substr(9, 3));
  if (!minor || !status || *status < 100) return std::nullopt;
  ResponseHead response{.status = static_cast<int>(*status), .minor = *minor};
  if (!parse_fields(head, response.fields)) return std::nullopt;
  return response;
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> content_length(const Fields& fields) {
  const auto value = fields.find("Content-Length");
  if (!value || fields.count("Content-Length") != 1) return std::nullopt;
  return parse_number(*value);
}

std::optional<std::string> path_of(std::string_view target) {
  // The absolute form names the host once more: RFC 9112 §3.2.2.
  constexpr std::string_view kScheme = "http://";
  if (target.size() > kScheme.size() &&
      equal_ignoring_case(target.substr(0, kScheme.size()), kScheme)) {
    target.remove_prefix(kScheme.size());
    const std::size_t slash = target.find('/');
    target = slash == std::string_view::npos ? "/" : target.substr(slash);
  }
  target = target.substr(0, target.find_first_of("?#"));
  if (!target.starts_with('/')) return std::nullopt;
  const auto decoded = percent_decoded(target);
  if (!decoded || decoded->find('\0') != std::string::npos) return std::nullopt;
  // Segment by segment: RFC 3986 §5.2.4, but that nothing leads above the root.
  std::vector<std::string_view> segments;
  std::string_view rest = *decoded;
  bool is_directory = true;
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const std::size_t end = std::min(rest.find('/'), rest.size());
    const std::string_view segment = rest.substr(0, end);
    rest.remove_prefix(end);
    is_directory = segment.empty() || segment == "." || segment == "..";
    if (segment == "..") {
      if (segments.empty()) return std::nullopt;
      segments.pop_back();
    } else if (!is_directory) {
      segments.push_back(segment);
    }
  }
  std::string path;
  for (const std::string_view segment : segments) {
    if (!path.empty()) path += '/';
    path += segment;
  }
  if (is_directory && !path.empty()) path += '/';
  return path;
}

RangeResult parse_range(std::string_view value, std::uint64_t size, Range& range) {
  constexpr std::string_view kUnit = "bytes=";
  if (value.size() <= kUnit.size() || !equal_ignoring_case(value.substr(0, kUnit.size()), kUnit)) {
    return RangeResult::kNone;
  }
  value = trim(value.substr(kUnit.size()));
  const std::size_t dash = value.find('-');
  if (dash == std::string_view::npos || value.find(',') != std::string_view::npos) {
    return RangeResult::kNone;
  }
  const auto first = parse_number(value.substr(0, dash));
  const auto last = parse_number(value.substr(dash + 1));
  if (dash == 0) {  // the last so many bytes
    if (!last) return RangeResult::kNone;
    if (*last == 0 || size == 0) return RangeResult::kUnsatisfiable;
    range = {.begin = size - std::min(*last, size), .end = size};
    return RangeResult::kOne;
  }
  const bool open = dash + 1 == value.size();
  if (!first || (!open && (!last || *last < *first))) return RangeResult::kNone;
  if (*first >= size) return RangeResult::kUnsatisfiable;
  range = {.begin = *first, .end = open ? size : std::min(*last, size - 1) + 1};
  return RangeResult::kOne;
}

std::optional<std::pair<Range, std::optional<std::uint64_t>>> parse_content_range(
    std::string_view value) {
  constexpr std::string_view kUnit = "bytes ";
  if (value.size() <= kUnit.size() || !equal_ignoring_case(value.substr(0, kUnit.size()), kUnit)) {
    return std::nullopt;
  }
  value.remove_prefix(kUnit.size());
  const std::size_t dash = value.find('-');
  const std::size_t slash = value.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos || slash < dash) {
    return std::nullopt;
  }
  const auto first = parse_number(value.substr(0, dash));
  const auto last = parse_number(value.substr(dash + 1, slash - dash - 1));
  const std::string_view whole = value.substr(slash + 1);
  const auto size = parse_number(whole);
  if (!first || !last || *last < *first || *last == UINT64_MAX) return std::nullopt;
  if (whole != "*" && (!size || *last >= *size)) return std::nullopt;
  return std::pair(Range{.begin = *first, .end = *last + 1}, size);
}

std::size_t ChunkDecoder::take(std::string_view bytes, std::string_view& payload) {
  payload = {};
  std::size_t taken = 0;
  while (taken < bytes.size() && state_ == State::kMore) {
    if (part_ == Part::kData) {
      payload = bytes.substr(
          taken, static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size() - taken)));
      left_ -= payload.size();
      if (left_ == 0) part_ = Part::kDataCr;
      return taken + payload.size();
    }
    take_syntax(bytes[taken++]);
  }
  return taken;
}

void ChunkDecoder::take_syntax(char c) {
  const auto expect = [&](char wanted, Part next) {
    state_ = c == wanted ? state_ : State::kBad;
    part_ = next;
  };
  switch (part_) {
    case Part::kSize:
      if (const int digit = hex_digit(c); digit >= 0) {
        if (++digits_ > 15) state_ = State::kBad;
        left_ = left_ * 16 + static_cast<unsigned>(digit);
      } else if (digits_ == 0) {
        state_ = State::kBad;
      } else if (c == ';' || c == ' ' || c == '\t') {
        part_ = Part::kExtension;
      } else {
        expect('\r', Part::kSizeLf);
      }
      break;
    case Part::kExtension:
      if (++trailer_ > kMaxHead || c == '\n') state_ = State::kBad;
      if (c == '\r') part_ = Part::kSizeLf;
      break;
    case Part::kSizeLf:
      expect('\n', left_ > 0 ? Part::kData : Part::kTrailer);
      digits_ = 0;
      line_ = 0;
      break;
    case Part::kData:
      break;  // take() does that
    case Part::kDataCr:
      expect('\r', Part::kDataLf);
      break;
    case Part::kDataLf:
      expect('\n', Part::kSize);
      break;
    case Part::kTrailer:
      take_trailer(c);
      break;
  }
}

// Fields that nobody asked for, up to an empty line.
void ChunkDecoder::take_trailer(char c) {
  if (++trailer_ > kMaxHead) state_ = State::kBad;
  if (c == '\n') {
    if (line_ == 0) state_ = State::kDone;
    line_ = 0;
  } else if (c != '\r') {
    ++line_;
  }
}

}  // namespace tideline::app::http
