// SPDX-License-Identifier: Apache-2.0
// `get`: one file over HTTP/1.1, from a stream of the public API into a descriptor. What is already
// there is not asked for again, if the server still has the same file. One thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include <tideline/engine.h>

#include "base/error.h"
#include "http/head.h"
#include "http/url.h"

namespace tideline::app::http {

// Where the bytes go, and what is known of them from before.
struct Target {
  int fd = -1;
  bool seekable = true;
  std::uint64_t have = 0;               // bytes
  std::string validator{};              // of those: an entity tag or a date
  std::optional<std::uint64_t> size{};  // of the whole, once it is known
};

class Download {
 public:
  enum class Outcome : std::uint8_t { kDone, kBroken, kStopped };

  // `progress` is called now and then.
  Download(Engine& engine, const Host& host, const Url& url, Target& target,
           std::function<void()> progress, const std::atomic<bool>& stop);

  // One attempt: kBroken if the connection ended too early, and another may get the rest. An error:
  // nothing helps.
  Result<Outcome> run();
  std::uint64_t received() const { return received_; }  // bytes of body, in all attempts
  // Why the last attempt broke.
  const std::string& reason() const { return reason_; }

 private:
  enum class Framing : std::uint8_t { kLength, kChunked, kUntilEnd };

  bool resumes() const { return target_.have > 0 && !target_.validator.empty(); }
  std::string request() const;
  // Takes what has been received. Nothing: more is needed.
  Result<std::optional<Outcome>> take(Stream& stream);
  Result<bool> take_head(Stream& stream);
  Status begin_body(const ResponseHead& head);
  Status begin_part(const ResponseHead& head);
  Status begin_anew(const ResponseHead& head);
  Result<std::optional<Outcome>> take_body(Stream& stream);
  // The body is complete: is the file, too?
  Outcome end_of_body();
  Status write(std::span<const std::byte> bytes);

  Engine& engine_;
  Host host_;
  Url url_;
  Target& target_;
  std::function<void()> progress_;
  const std::atomic<bool>& stop_;
  std::string head_;
  bool has_head_ = false;
  bool done_ = false;
  Framing framing_ = Framing::kUntilEnd;
  std::uint64_t left_ = 0;  // of a body of known length
  ChunkDecoder chunks_;
  std::uint64_t received_ = 0;
  std::string reason_;
};

}  // namespace tideline::app::http
