// SPDX-License-Identifier: Apache-2.0
#include "copy/message.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <variant>
#include <vector>

#include "copy/target.h"

namespace tideline::app::copy {
namespace {

std::vector<Message> read_all(std::span<const std::byte> bytes, std::size_t step) {
  Inbox inbox;
  std::vector<Message> messages;
  while (!bytes.empty()) {
    const auto part = bytes.first(std::min(step, bytes.size()));
    inbox.add(part);
    bytes = bytes.subspan(part.size());
    for (auto message = inbox.next(); message && *message; message = inbox.next()) {
      messages.push_back(**message);
    }
  }
  return messages;
}

TEST(CopyMessage, WhatIsSentIsWhatComesHoweverItIsCut) {
  const Offer offer{.size = 10'000'000'000,
                    .mode = 0640,
                    .qp = {.number = 0x123456, .psn = 0xabcdef, .mtu_bytes = 4096},
                    .name = std::string(kMaxName, 'n')};
  const Accept accept{.qp = {.number = 7, .psn = 8, .mtu_bytes = 1024},
                      .address = 0x7f0011223344,
                      .rkey = 0xdeadbeef,
                      .window_size = 1U << 20,
                      .windows = 16};
  Checksum checksum{};
  checksum.fill(0x5a);
  std::vector<std::byte> bytes;
  for (const Message& message :
       {Message(offer), Message(accept), Message(Filled{.window = 3, .length = 77}),
        Message(Freed{.window = 3}), Message(End{.size = 5, .checksum = checksum}),
        Message(Done{.checksum = checksum, .passed = 1, .kernel_copied = 2}),
        Message(Failure{.reason = "why"}), Message(Alive{})}) {
    const auto more = encode(message);
    bytes.insert(bytes.end(), more.begin(), more.end());
  }
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, bytes.size()}) {
    const auto messages = read_all(bytes, step);
    ASSERT_EQ(messages.size(), 8U) << "in steps of " << step;
    const auto& o = std::get<Offer>(messages[0]);
    EXPECT_EQ(o.version, kVersion);
    EXPECT_EQ(o.size, offer.size);
    EXPECT_EQ(o.mode, offer.mode);
    EXPECT_EQ(o.qp.number, offer.qp.number);
    EXPECT_EQ(o.qp.psn, offer.qp.psn);
    EXPECT_EQ(o.qp.mtu_bytes, offer.qp.mtu_bytes);
    EXPECT_EQ(o.name, offer.name);
    const auto& a = std::get<Accept>(messages[1]);
    EXPECT_EQ(a.address, accept.address);
    EXPECT_EQ(a.rkey, accept.rkey);
    EXPECT_EQ(a.window_size, accept.window_size);
    EXPECT_EQ(a.windows, accept.windows);
    EXPECT_EQ(std::get<Filled>(messages[2]).length, 77U);
    EXPECT_EQ(std::get<Freed>(messages[3]).window, 3U);
    EXPECT_EQ(std::get<End>(messages[4]).checksum, checksum);
    EXPECT_EQ(std::get<Done>(messages[5]).kernel_copied, 2U);
    EXPECT_EQ(std::get<Failure>(messages[6]).reason, "why");
    EXPECT_TRUE(std::holds_alternative<Alive>(messages[7]));
  }
}

// Every byte of the head, and every length, that no message has.
TEST(CopyMessage, WhatMakesNoSenseIsAnError) {
  const auto good = encode(End{.size = 5});
  for (std::size_t at = 0; at < 7; ++at) {
    auto bad = good;
    bad[at] ^= std::byte{0x40};
    Inbox inbox;
    inbox.add(bad);
    EXPECT_FALSE(inbox.next()) << "byte " << at;
  }
  for (int difference : {-1, 1}) {
    auto bad = good;
    bad[7] = static_cast<std::byte>(static_cast<int>(bad[7]) + difference);
    bad.resize(good.size() + 1);
    Inbox inbox;
    inbox.add(bad);
    EXPECT_FALSE(inbox.next()) << "length " << difference;
  }
  auto offer = encode(Offer{.name = "n"});
  offer[8] ^= std::byte{1};  // the magic number
  Inbox inbox;
  inbox.add(offer);
  EXPECT_FALSE(inbox.next());
  Inbox nameless;
  nameless.add(encode(Offer{}));
  EXPECT_FALSE(nameless.next());
}

TEST(CopyMessage, ATextCannotCommandATerminal) {
  const auto messages = read_all(encode(Failure{.reason = "a\033[2Jb\nc\xc2\x9b-\xc3\xa4"}), 99);
  ASSERT_EQ(messages.size(), 1U);
  EXPECT_EQ(std::get<Failure>(messages[0]).reason, "a?[2Jb?c\xc2?-\xc3\xa4");
  EXPECT_EQ(std::get<Failure>(read_all(encode(Failure{.reason = std::string(9999, 'x')}), 99)[0])
                .reason.size(),
            kMaxReason);
}

TEST(CopyTarget, HostAndName) {
  const auto is = [](std::string_view text, std::string_view host, std::string_view name) {
    const auto target = parse_target(text, "dir/own");
    ASSERT_TRUE(target) << text;
    EXPECT_EQ(target->host, host) << text;
    EXPECT_EQ(target->name, name) << text;
  };
  is("192.0.2.1:n", "192.0.2.1", "n");
  is("192.0.2.1:", "192.0.2.1", "own");
  is("192.0.2.1:a:b", "192.0.2.1", "a:b");
  is("[2001:db8::1]:n", "2001:db8::1", "n");
  is("[2001:db8::1]:a:b", "2001:db8::1", "a:b");
  is("2001:db8::1:n", "2001:db8::1", "n");
  for (const char* text :
       {"", "n", ":n", "[]:n", "[2001:db8::1", "[2001:db8::1]", "[2001:db8::1]n"}) {
    EXPECT_FALSE(parse_target(text, "own")) << text;
  }
}

}  // namespace
}  // namespace tideline::app::copy
