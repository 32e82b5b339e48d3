// SPDX-License-Identifier: Apache-2.0
#include "http/download.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <span>
#include <utility>

#include "base/clock.h"

namespace tideline::app::http {
namespace {

constexpr Duration kLook = std::chrono::milliseconds(200);
constexpr Duration kSilence = std::chrono::seconds(60);

std::unexpected<Error> peer_failed(const Url& url, std::string_view what) {
  return fail({.kind = ErrorKind::kPeer, .what = fmt::format("{} {}", url.host, what)});
}

std::string validator_of(const Fields& fields) {
  // A weak tag says nothing of single bytes: RFC 9110 §13.1.5.
  const auto tag = fields.find("ETag");
  if (tag && !tag->starts_with("W/")) return std::string(*tag);
  return std::string(fields.find("Last-Modified").value_or(""));
}

}  // namespace

Download::Download(Engine& engine, const Host& host, const Url& url, Target& target,
                   std::function<void()> progress, const std::atomic<bool>& stop)
    : engine_(engine),
      host_(host),
      url_(url),
      target_(target),
      progress_(std::move(progress)),
      stop_(stop) {}

std::string Download::request() const {
  std::string text = fmt::format(
      "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: tideline\r\nAccept: */*\r\nConnection: close\r\n",
      url_.target, url_.host);
  if (resumes()) {
    text += fmt::format("Range: bytes={}-\r\nIf-Range: {}\r\n", target_.have, target_.validator);
  }
  return text + "\r\n";
}

Result<Download::Outcome> Download::run() {
  head_.clear();
  has_head_ = done_ = false;
  chunks_ = {};
  const auto server = Endpoint::parse(url_.address, url_.port);
  if (!server) return fail(server.error());
  auto stream = host_.connect(
      *server, {.send_buffer = std::size_t{64} << 10, .receive_buffer = std::size_t{4} << 20});
  if (!stream) return fail(std::move(stream.error()));
  const std::string text = request();
  stream->write(std::as_bytes(std::span(text)));
  Instant heard = monotonic_now();
  while (!stop_) {
    const bool ready = engine_.wait(kLook);
    while (engine_.next()) continue;  // there is one stream
    progress_();
    if (ready) heard = monotonic_now();
    auto taken = take(*stream);
    if (!taken) return fail(std::move(taken.error()));
    const std::optional<Outcome>& outcome = *taken;
    if (outcome) return *outcome;
    if (stream->state() == Stream::State::kEnded || monotonic_now() - heard > kSilence) {
      const auto error = stream->error();
      reason_ = error ? error->what : "the connection ended too early";
      return Outcome::kBroken;
    }
  }
  return Outcome::kStopped;
}

Result<std::optional<Download::Outcome>> Download::take(Stream& stream) {
  if (!has_head_) {
    auto complete = take_head(stream);
    if (!complete) return fail(std::move(complete.error()));
    if (!*complete) {
      if (!stream.at_end()) return std::nullopt;
      reason_ = "the connection ended before an answer";
      return Outcome::kBroken;
    }
  }
  if (done_) return Outcome::kDone;
  return take_body(stream);
}

// Interim answers (1xx) are passed over.
Result<bool> Download::take_head(Stream& stream) {
  for (;;) {
    const auto piece = stream.received();
    if (piece.empty()) return false;
    const std::size_t before = head_.size();
    head_.append(reinterpret_cast<const char*>(piece.data()),
                 std::min(piece.size(), kMaxHead + 1 - before));
    const auto size = head_size(head_);
    const std::size_t used = (size ? *size : head_.size()) - before;
    head_.resize(before + used);
    stream.consume(used);
    if (!size) {
      if (head_.size() > kMaxHead) return peer_failed(url_, "answers with a head that is too long");
      continue;
    }
    const auto head = parse_response(head_);
    if (!head) return peer_failed(url_, "does not answer as HTTP says");
    if (head->status >= 200) {
      has_head_ = true;
      if (Status s = begin_body(*head); !s) return fail(std::move(s.error()));
      return true;
    }
    head_.clear();
  }
}

Status Download::begin_body(const ResponseHead& head) {
  if (head.fields.find("Transfer-Encoding")) {
    if (!head.fields.has_element("Transfer-Encoding", "chunked")) {
      return peer_failed(url_, "uses a transfer coding that is not known here");
    }
    framing_ = Framing::kChunked;
  } else if (head.fields.find("Content-Length")) {
    const auto length = content_length(head.fields);
    if (!length) return peer_failed(url_, "answers with a Content-Length that is none");
    framing_ = Framing::kLength;
    left_ = *length;
  } else {
    framing_ = Framing::kUntilEnd;
  }
  if (head.status == 206) return begin_part(head);
  if (head.status == 416 && target_.have > 0) {
    // All of it may be there already; else it is another file now, and shorter.
    const auto range = head.fields.find("Content-Range");
    if (range == fmt::format("bytes */{}", target_.have)) {
      done_ = true;
      return {};
    }
    target_.validator.clear();
    return fail({.kind = ErrorKind::kPeer,
                 .what = "the file has become shorter than what is here of it",
                 .remedy = "remove the .part file"});
  }
  if (head.status != 200) return peer_failed(url_, fmt::format("answers {}", head.status));
  return begin_anew(head);
}

Status Download::begin_part(const ResponseHead& head) {
  const auto range = parse_content_range(head.fields.find("Content-Range").value_or(""));
  if (!resumes()) return peer_failed(url_, "sends a part that was not asked for");
  if (!range || range->first.begin != target_.have) {
    return peer_failed(url_, "sends another part than was asked for");
  }
  if (framing_ == Framing::kLength && left_ != range->first.end - range->first.begin) {
    return peer_failed(url_, "contradicts itself about the length of a part");
  }
  target_.size = range->second;
  return {};
}

Status Download::begin_anew(const ResponseHead& head) {
  // Whatever is there, also what nobody knows the version of.
  if (target_.seekable ? ::ftruncate(target_.fd, 0) != 0 : target_.have > 0) {
    return peer_failed(url_, "cannot continue, and what was written cannot be taken back");
  }
  target_.have = 0;
  target_.validator = validator_of(head.fields);
  target_.size = framing_ == Framing::kLength ? std::optional(left_) : std::nullopt;
  return {};
}

Result<std::optional<Download::Outcome>> Download::take_body(Stream& stream) {
  for (;;) {
    if (framing_ == Framing::kLength && left_ == 0) return end_of_body();
    const auto piece = stream.received();
    if (piece.empty()) break;
    std::size_t used = piece.size();
    std::span<const std::byte> payload = piece;
    if (framing_ == Framing::kLength) {
      used = static_cast<std::size_t>(std::min<std::uint64_t>(left_, used));
      payload = piece.first(used);
      left_ -= used;
    } else if (framing_ == Framing::kChunked) {
      std::string_view text;
      used = chunks_.take({reinterpret_cast<const char*>(piece.data()), piece.size()}, text);
      payload = std::as_bytes(std::span(text));
      if (chunks_.state() == ChunkDecoder::State::kBad) {
        return peer_failed(url_, "sends a body whose chunks make no sense");
      }
    }
    if (Status s = write(payload); !s) return fail(std::move(s.error()));
    stream.consume(used);
    if (framing_ == Framing::kChunked && chunks_.state() == ChunkDecoder::State::kDone) {
      return end_of_body();
    }
  }
  if (!stream.at_end()) return std::nullopt;
  if (framing_ == Framing::kUntilEnd) return end_of_body();
  reason_ = "the connection ended too early";
  return Outcome::kBroken;
}

// A part may be less than what was asked for: RFC 9110 §15.3.7.
Download::Outcome Download::end_of_body() {
  if (!target_.size || target_.have == *target_.size) return Outcome::kDone;
  reason_ = "the server sends only a part";
  return Outcome::kBroken;
}

Status Download::write(std::span<const std::byte> bytes) {
  if (target_.size && bytes.size() > *target_.size - target_.have) {
    return peer_failed(url_, "sends more than it has said");
  }
  while (!bytes.empty()) {
    const ssize_t size = target_.seekable ? ::pwrite(target_.fd, bytes.data(), bytes.size(),
                                                     static_cast<off_t>(target_.have))
                                          : ::write(target_.fd, bytes.data(), bytes.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fail_errno("cannot write what was received");
    target_.have += static_cast<std::uint64_t>(size);
    received_ += static_cast<std::uint64_t>(size);
    bytes = bytes.subspan(static_cast<std::size_t>(size));
  }
  return {};
}

}  // namespace tideline::app::http
