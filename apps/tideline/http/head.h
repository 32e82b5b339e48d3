// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 as `serve` and `get` speak it: the heads of messages (RFC 9112), ranges (RFC 9110 §14)
// and chunked bodies (RFC 9112 §7.1). Sans-I/O; nothing here trusts what has come. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tideline::app::http {

inline constexpr std::size_t kMaxHead = 16384;  // bytes, with the empty line
inline constexpr std::size_t kMaxFields = 100;

struct Field {
  std::string_view name;
  std::string_view value;  // without white space around it
};

class Fields {
 public:
  void add(Field field) { fields_.push_back(field); }
  std::size_t size() const { return fields_.size(); }
  std::size_t count(std::string_view name) const;
  // The first of the name; upper and lower case are the same.
  std::optional<std::string_view> find(std::string_view name) const;
  // Whether a list of that name has the element: "Connection: keep-alive, upgrade".
  bool has_element(std::string_view name, std::string_view element) const;

 private:
  std::vector<Field> fields_;
};

// They refer to the bytes that were parsed.
struct RequestHead {
  std::string_view method;
  std::string_view target;
  int minor = 1;  // HTTP/1.minor
  Fields fields;

  bool keeps_alive() const;
  bool has_body() const;
};

struct ResponseHead {
  int status = 0;
  int minor = 1;
  Fields fields;
};

// The size of the head at the front of `bytes`, the empty line included; nothing while it is not
// complete.
std::optional<std::size_t> head_size(std::string_view bytes);
// Of a complete head. The error is the status to answer with: 400, 431, 501 or 505.
std::expected<RequestHead, int> parse_request(std::string_view head);
// Of a complete head. Nothing: it is none.
std::optional<ResponseHead> parse_response(std::string_view head);

// Digits only, and no overflow.
std::optional<std::uint64_t> parse_number(std::string_view text);
// Content-Length, of which there must be one value only. Nothing: there is none, or no valid one.
std::optional<std::uint64_t> content_length(const Fields& fields);

// The path of a request's target, decoded and without its query, relative to the root: "a/b.txt",
// or "" for the root; a directory's ends with "/". Nothing if it is no path below the root.
std::optional<std::string> path_of(std::string_view target);

// A part of a representation: bytes [begin, end).
struct Range {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;

  friend bool operator==(const Range&, const Range&) = default;
};
enum class RangeResult : std::uint8_t { kNone, kOne, kUnsatisfiable };
// What a Range field asks of `size` bytes. Several ranges, and what is none, are ignored, as RFC
// 9110 §14.2 allows.
RangeResult parse_range(std::string_view value, std::uint64_t size, Range& range);
// "bytes 0-99/200": the range, and the whole size if it is known. Nothing if it is none.
std::optional<std::pair<Range, std::optional<std::uint64_t>>> parse_content_range(
    std::string_view value);

// Takes a chunked body apart.
class ChunkDecoder {
 public:
  enum class State : std::uint8_t { kMore, kDone, kBad };

  // Takes from the front of `bytes` what it can; `payload` is the part of it that is body. Call
  // again with the rest until all is taken, or it is no longer kMore.
  std::size_t take(std::string_view bytes, std::string_view& payload);
  State state() const { return state_; }

 private:
  enum class Part : std::uint8_t { kSize, kExtension, kSizeLf, kData, kDataCr, kDataLf, kTrailer };

  void take_syntax(char c);
  void take_trailer(char c);

  State state_ = State::kMore;
  Part part_ = Part::kSize;
  std::uint64_t left_ = 0;
  unsigned digits_ = 0;
  std::size_t line_ = 0;     // bytes of the present line of the trailer
  std::size_t trailer_ = 0;  // bytes, bounded
};

}  // namespace tideline::app::http
