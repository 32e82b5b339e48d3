// SPDX-License-Identifier: Apache-2.0
// The connection on which the two sides of a copy talk: messages over a stream. Thread: the
// engine's.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <tideline/stream.h>

#include "copy/message.h"

namespace tideline::app::copy {

// A peer that is gone is found out by what it does not acknowledge; the client says something every
// kAlive for that.
inline constexpr std::chrono::nanoseconds kAlive = std::chrono::seconds(2);
inline constexpr StreamOptions kLineOptions{.send_buffer = std::size_t{64} << 10,
                                            .receive_buffer = std::size_t{64} << 10,
                                            .user_timeout = std::chrono::seconds(10)};

class Line {
 public:
  explicit Line(Stream stream) : stream_(std::move(stream)) {}

  Stream& stream() { return stream_; }
  const Stream& stream() const { return stream_; }

  void send(const Message& message) {
    const std::vector<std::byte> bytes = encode(message);
    unsent_.insert(unsent_.end(), bytes.begin(), bytes.end());
    flush();
  }
  void flush() {
    const std::size_t sent = stream_.write(unsent_);
    unsent_.erase(unsent_.begin(), unsent_.begin() + static_cast<std::ptrdiff_t>(sent));
  }
  // The peer takes too little of what it is told.
  bool is_clogged() const { return unsent_.size() > kMostUnsent; }

  // The next message that has come whole.
  std::expected<std::optional<Message>, std::string> next() {
    for (;;) {
      auto message = inbox_.next();
      if (!message || *message) return message;
      const std::span<const std::byte> piece = stream_.received();
      const std::size_t size = std::min(piece.size(), inbox_.room());
      if (size == 0) return message;
      inbox_.add(piece.first(size));
      stream_.consume(size);
    }
  }
  // Nothing that comes is of interest any more.
  void discard() {
    for (auto piece = stream_.received(); !piece.empty(); piece = stream_.received()) {
      stream_.consume(piece.size());
    }
  }
  // Nothing more will be said.
  void hang_up() {
    flush();
    stream_.shut_down();
  }
  bool is_over() const { return stream_.state() == Stream::State::kEnded || stream_.at_end(); }
  // Why, for people.
  std::string why_over(const char* who) const {
    if (const auto error = stream_.error()) return error->what;
    return std::string(who) + " has hung up";
  }

 private:
  static constexpr std::size_t kMostUnsent = std::size_t{256} << 10;

  Stream stream_;
  Inbox inbox_;
  std::vector<std::byte> unsent_;
};

}  // namespace tideline::app::copy
