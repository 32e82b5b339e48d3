// SPDX-License-Identifier: Apache-2.0
#include "http/answer.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

namespace tideline::app::http {
namespace {

std::string_view reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 416:
      return "Range Not Satisfiable";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Error";
  }
}

std::string begin_head(int status, std::time_t now, bool closes) {
  std::string head = fmt::format("HTTP/1.1 {} {}\r\nServer: tideline\r\nDate: {}\r\n", status,
                                 reason_of(status), http_date(now));
  if (closes) head += "Connection: close\r\n";
  return head;
}

// An answer whose body says no more than its status. `fields` end with "\r\n".
Answer plain(int status, std::string_view fields, bool has_body, bool closes, std::time_t now) {
  const std::string body = fmt::format("{} {}\n", status, reason_of(status));
  Answer answer{.status = status, .text = begin_head(status, now, closes), .closes = closes};
  answer.text +=
      fmt::format("{}Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n", fields, body.size());
  if (has_body) answer.text += body;
  return answer;
}

// A path as path_of() gives it, for a URL: RFC 3986 §2.1.
std::string encoded(std::string_view path) {
  std::string text;
  for (const char c : path) {
    const bool plain_here = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                            (c >= '0' && c <= '9') ||
                            std::string_view("-._~/").find(c) != std::string_view::npos;
    text += plain_here ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return text;
}

// Whether the client has this version: RFC 9110 §13.1.2, §13.1.3.
bool has_it(const RequestHead& request, const File& file) {
  if (request.fields.find("If-None-Match")) {
    return request.fields.has_element("If-None-Match", file.tag) ||
           request.fields.find("If-None-Match") == "*";
  }
  return request.fields.find("If-Modified-Since") == http_date(file.modified);
}

// Whether a range is of this version: RFC 9110 §13.1.5.
bool range_holds(const RequestHead& request, const File& file) {
  const auto condition = request.fields.find("If-Range");
  return !condition || *condition == file.tag || *condition == http_date(file.modified);
}

Answer give(const RequestHead& request, File file, bool closes, std::time_t now) {
  const bool is_head = request.method == "HEAD";
  if (has_it(request, file)) {
    Answer answer{.status = 304, .text = begin_head(304, now, closes), .closes = closes};
    answer.text += fmt::format("ETag: {}\r\n\r\n", file.tag);
    return answer;
  }
  Answer answer{.status = 200, .part = {.begin = 0, .end = file.size}, .closes = closes};
  std::string range;
  const auto wanted = request.fields.find("Range");
  if (wanted && !is_head && range_holds(request, file)) {
    switch (parse_range(*wanted, file.size, answer.part)) {
      case RangeResult::kNone:
        break;
      case RangeResult::kUnsatisfiable:
        return plain(416, fmt::format("Content-Range: bytes */{}\r\n", file.size), true, closes,
                     now);
      case RangeResult::kOne:
        answer.status = 206;
        range = fmt::format("Content-Range: bytes {}-{}/{}\r\n", answer.part.begin,
                            answer.part.end - 1, file.size);
    }
  }
  answer.text = begin_head(answer.status, now, closes);
  answer.text += fmt::format(
      "Content-Type: {}\r\nContent-Length: {}\r\n{}Accept-Ranges: bytes\r\nLast-Modified: "
      "{}\r\nETag: {}\r\n\r\n",
      file.type, answer.part.end - answer.part.begin, range, http_date(file.modified), file.tag);
  if (!is_head) answer.file = std::move(file.fd);
  return answer;
}

}  // namespace

Answer refuse(int status, std::time_t now) { return plain(status, "", true, true, now); }

Answer answer(const RequestHead& request, const Files& files, std::time_t now) {
  // A body that nobody asked for is not waited for: what follows it would not be found.
  const bool closes = !request.keeps_alive() || request.has_body();
  const bool is_head = request.method == "HEAD";
  if (request.method != "GET" && !is_head) {
    return plain(405, "Allow: GET, HEAD\r\n", true, closes, now);
  }
  const auto path = path_of(request.target);
  if (!path) return plain(400, "", !is_head, closes, now);
  auto file = files.find(*path);
  if (file) return give(request, std::move(*file), closes, now);
  std::string fields;
  if (file.error() == 301) {
    fields = fmt::format("Location: /{}/\r\n", encoded(*path));
  }
  return plain(file.error(), fields, !is_head, closes, now);
}

}  // namespace tideline::app::http
