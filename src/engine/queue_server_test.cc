// SPDX-License-Identifier: Apache-2.0
// The engine's half of the queue pair, with clients that keep the rules. Those that break them:
// queue_hostile_test.cc.
#include "engine/queue_server.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>

#include "engine/queue_test_client.h"

namespace tideline::engine {
namespace {

using client::Failure;
using client::SocketType;
using queue::Op;

std::string pattern(std::size_t from, std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>((from + i) * 7 >> 3);
  return text;
}

class QueueServerTest : public ::testing::Test {
 protected:
  TestEngine engine_;
  RawClient left_{engine_};
  RawClient right_{engine_};

  void greet_both() {
    ASSERT_TRUE(left_.greet());
    ASSERT_TRUE(right_.greet());
  }
};

TEST_F(QueueServerTest, AProgramAttachesAndIsKnown) {
  queue::Hello hello;
  std::strncpy(hello.program.data(), "a\x01program", hello.program.size());
  ASSERT_TRUE(left_.greet(hello));
  std::vector<ClientInfo> clients;
  engine_.server().for_each_client([&](const ClientInfo& each) { clients.push_back(each); });
  ASSERT_EQ(clients.size(), 1U);
  EXPECT_EQ(clients[0].program, "a.program");
  EXPECT_EQ(clients[0].pid, ::getpid());
  EXPECT_EQ(clients[0].uid, ::getuid());
  left_.die();
  EXPECT_TRUE(engine_.until([&] { return engine_.server().is_idle(); }));
  EXPECT_EQ(engine_.server().ended(EndReason::kClosed), 1U);
}

TEST_F(QueueServerTest, AnotherVersionIsToldWhatToDo) {
  EXPECT_FALSE(left_.greet({.version = queue::kVersion + 1}));
  EXPECT_TRUE(left_.heard);
  EXPECT_NE(std::string(left_.welcome.reason.data()).find("one version"), std::string::npos);
  EXPECT_EQ(engine_.server().ended(EndReason::kVersion), 1U);
}

TEST_F(QueueServerTest, ThePolicyRefuses) {
  engine_.policy() = {.admitted = false, .reason = "not you"};
  EXPECT_FALSE(left_.greet());
  EXPECT_STREQ(left_.welcome.reason.data(), "not you");
  engine_.policy() = {.admitted = true, .most_channels = 1};
  EXPECT_TRUE(right_.greet());
  RawClient third(engine_);
  EXPECT_FALSE(third.greet());
  EXPECT_EQ(engine_.server().ended(EndReason::kRefused), 2U);
}

TEST_F(QueueServerTest, AStreamCarriesBytesBothWaysAndItsEnd) {
  greet_both();
  const auto [listener, near, far] = left_.join(right_, 80);
  EXPECT_TRUE(far.has(queue::kConnected));
  EXPECT_EQ(near.page->remote.port, 80);
  EXPECT_EQ(far.page->remote.port, near.page->local.port);
  EXPECT_EQ(left_.write(near, "question"), 8U);
  ASSERT_TRUE(engine_.until([&] { return far.in().readable() == 8; }));
  EXPECT_EQ(right_.read(far), "question");
  EXPECT_EQ(right_.write(far, "answer"), 6U);
  EXPECT_EQ(
      right_.failure_of_call({.op = Op::kShutDown, .flags = queue::kSending, .handle = far.handle}),
      Failure::kNone);
  ASSERT_TRUE(engine_.until([&] { return near.has(queue::kPeerClosed); }));
  EXPECT_EQ(left_.read(near), "answer");
  EXPECT_EQ(left_.close(near), Failure::kNone);
  ASSERT_TRUE(engine_.until([&] { return far.has(queue::kEnded); }));
  EXPECT_EQ(far.page->error.load(), 0U);
  EXPECT_EQ(right_.close(far), Failure::kNone);
  EXPECT_EQ(right_.close(listener), Failure::kNone);
  ASSERT_TRUE(engine_.until([&] { return engine_.server().sockets().in_use() == 0; }));
}

TEST_F(QueueServerTest, MegabytesArriveAsTheyWereSent) {
  greet_both();
  const auto [listener, near, far] = left_.join(right_, 80);
  constexpr std::size_t kTotal = std::size_t{8} << 20;
  std::size_t sent = 0;
  std::size_t received = 0;
  bool same = true;
  ASSERT_TRUE(engine_.until([&] {
    if (sent < kTotal) {
      sent += left_.write(near, pattern(sent, std::min<std::size_t>(100'000, kTotal - sent)));
    }
    const std::string text = right_.read(far, 70'000);
    same &= text == pattern(received, text.size());
    received += text.size();
    return received == kTotal || !same;
  }));
  EXPECT_TRUE(same);
}

}  // namespace
}  // namespace tideline::engine
