// SPDX-License-Identifier: Apache-2.0
#include "control/conversation.h"

#include <gtest/gtest.h>

#include <string>

namespace tideline::control {
namespace {

using State = Conversation::State;

TEST(Conversation, IsAnsweredOnceItHasAsked) {
  Conversation conversation(true, Instant());
  for (const char c : kQuestion) {
    EXPECT_EQ(conversation.state(), State::kListening);
    conversation.add(std::string_view(&c, 1));
  }
  EXPECT_EQ(conversation.state(), State::kAsked);
  conversation.answer("answer");
  conversation.sent(2);
  EXPECT_EQ(conversation.pending(), "swer");
  conversation.sent(4);
  EXPECT_EQ(conversation.state(), State::kOver);
}

TEST(Conversation, AnotherQuestionIsRefused) {
  for (const std::string& text :
       {std::string("x"), std::string(100'000, '{'), std::string(kQuestion) + "x",
        std::string("{\"ask\":\"stopp\"}\n"), std::string(1, '\0')}) {
    Conversation conversation(true, Instant());
    conversation.add(text);
    ASSERT_EQ(conversation.state(), State::kAnswering);
    EXPECT_NE(conversation.pending().find("\"error\""), std::string::npos);
  }
}

TEST(Conversation, IsToldToStop) {
  Conversation conversation(true, Instant());
  conversation.add(kStop.substr(0, 8));
  EXPECT_EQ(conversation.state(), State::kListening);
  conversation.add(kStop.substr(8));
  ASSERT_EQ(conversation.state(), State::kToldToStop);
  conversation.refuse("not now");
  EXPECT_EQ(conversation.state(), State::kAnswering);
  EXPECT_EQ(conversation.pending(), "{\"error\":\"not now\"}\n");
}

TEST(Conversation, WhoMayNotAskIsTold) {
  Conversation conversation(false, Instant());
  EXPECT_EQ(conversation.state(), State::kAnswering);
  EXPECT_NE(conversation.pending().find("only the user"), std::string::npos);
  conversation.add(kQuestion);
  EXPECT_EQ(conversation.state(), State::kAnswering);
}

}  // namespace
}  // namespace tideline::control
