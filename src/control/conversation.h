// SPDX-License-Identifier: Apache-2.0
// One client of the control socket: asks once, by a line, and is answered once. Sans-I/O. Thread:
// the server's.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/time.h"

namespace tideline::control {

inline constexpr std::string_view kQuestion = "{\"ask\":\"status\"}\n";
// Of a front end: to end. Answered when it has begun to.
inline constexpr std::string_view kStop = "{\"ask\":\"stop\"}\n";

class Conversation {
 public:
  enum class State : std::uint8_t {
    kListening,   // the question is not whole
    kAsked,       // for the status: answer() is to be called
    kToldToStop,  // answer() or refuse() is to be called
    kAnswering,   // pending() is to be sent
    kOver,
  };

  // `permitted`: otherwise it is told that it is not.
  Conversation(bool permitted, Instant now);

  State state() const { return state_; }
  Instant deadline() const { return deadline_; }

  void add(std::string_view bytes);
  void answer(std::string text);
  // With the reason.
  void refuse(std::string_view why);
  std::string_view pending() const { return std::string_view(answer_).substr(sent_); }
  void sent(std::size_t size);
  // The client has hung up, or its time is over.
  void end() { state_ = State::kOver; }

 private:
  static constexpr Duration kPatience = std::chrono::seconds(2);

  State state_ = State::kListening;
  Instant deadline_;
  std::string question_;
  std::string answer_;
  std::size_t sent_ = 0;
};

}  // namespace tideline::control
