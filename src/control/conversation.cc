// SPDX-License-Identifier: Apache-2.0
#include "control/conversation.h"

#include <utility>

#include "control/json.h"

namespace tideline::control {

Conversation::Conversation(bool permitted, Instant now) : deadline_(now + kPatience) {
  if (!permitted) refuse("only the user of the process and root are answered");
}

void Conversation::refuse(std::string_view why) {
  JsonWriter json;
  json.begin_object().member("error", why).end_object();
  answer(json.text() + "\n");
}

void Conversation::add(std::string_view bytes) {
  if (state_ != State::kListening) return;
  question_ += bytes;
  if (question_ == kQuestion) {
    state_ = State::kAsked;
  } else if (question_ == kStop) {
    state_ = State::kToldToStop;
  } else if (!kQuestion.starts_with(question_) && !kStop.starts_with(question_)) {
    refuse("the question is {\"ask\":\"status\"}");
  }
}

void Conversation::answer(std::string text) {
  answer_ = std::move(text);
  state_ = State::kAnswering;
}

void Conversation::sent(std::size_t size) {
  sent_ += size;
  if (sent_ == answer_.size()) state_ = State::kOver;
}

}  // namespace tideline::control
