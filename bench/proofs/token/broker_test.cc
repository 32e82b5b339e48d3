// SPDX-License-Identifier: Apache-2.0
#include "proofs/token/broker.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "base/random.h"

namespace proofs::token {
namespace {

using tideline::UniqueFd;

class BrokerTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/tideline-broker-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
    auto broker = Broker::create(directory_ + "/broker");
    ASSERT_TRUE(broker.has_value()) << broker.error().message();
    broker_ = std::move(*broker);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  UniqueFd client() {
    UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    (directory_ + "/broker").copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    settle();
    return socket;
  }

  // Handles all that lies there.
  void settle() {
    for (int i = 0; i < 20; ++i) broker_->run_once(0);
  }

  struct Answer {
    Reply reply;
    std::vector<UniqueFd> fds;
  };
  Answer receive(int socket) {
    Answer answer{.reply = {.error = -1}, .fds = {}};
    auto message =
        tideline::receive_with_fds(socket, std::as_writable_bytes(std::span(&answer.reply, 1)));
    if (message) answer.fds = std::move(message->fds);
    return answer;
  }
  Answer ask(int socket, const Request& request, std::vector<int> fds = {}) {
    EXPECT_TRUE(tideline::send_with_fds(socket, std::as_bytes(std::span(&request, 1)), fds));
    settle();
    return receive(socket);
  }

  std::string directory_;
  std::unique_ptr<Broker> broker_;
  Address address_{.ip = 0x010012c6, .port = 80};
};

TEST_F(BrokerTest, ConnectMeetsAcceptAndTheLastCloseEndsIt) {
  const UniqueFd one = client();
  const UniqueFd two = client();
  EXPECT_EQ(ask(one.get(), {.op = Op::kConnect, .address = address_}).reply.error, ECONNREFUSED);
  Answer listening = ask(one.get(), {.op = Op::kListen, .address = address_});
  ASSERT_EQ(listening.fds.size(), 1U);
  EXPECT_EQ(ask(two.get(), {.op = Op::kListen, .address = address_}).reply.error, EADDRINUSE);
  Answer connected = ask(two.get(), {.op = Op::kConnect, .address = address_});
  ASSERT_EQ(connected.fds.size(), 2U);
  Answer accepted = receive(listening.fds[0].get());
  ASSERT_EQ(accepted.fds.size(), 2U);
  EXPECT_EQ(connected.reply.side + accepted.reply.side, 1U);
  EXPECT_EQ(broker_->counts().connections, 1U);

  // A duplicate of the token proves the right to its memory; another socket does not.
  const UniqueFd copy(::dup(accepted.fds[0].get()));
  EXPECT_EQ(ask(one.get(), {.op = Op::kAttach}, {copy.get()}).reply.side, accepted.reply.side);
  EXPECT_EQ(ask(one.get(), {.op = Op::kAttach}, {two.get()}).reply.error, EBADF);

  accepted.fds[0].reset();
  settle();
  pollfd token{.fd = connected.fds[0].get(), .events = POLLRDHUP, .revents = 0};
  EXPECT_EQ(::poll(&token, 1, 0), 0) << "the copy still holds it";
  const_cast<UniqueFd&>(copy).reset();
  settle();
  EXPECT_EQ(::poll(&token, 1, 0), 1);
  connected.fds[0].reset();
  listening.fds[0].reset();
  settle();
  EXPECT_EQ(broker_->counts().connections, 0U);
  EXPECT_EQ(broker_->counts().listeners, 0U);
}

TEST_F(BrokerTest, ConnectionsThatNobodyAcceptsAreRefusedAtLastAndFreed) {
  const UniqueFd one = client();
  Answer listening = ask(one.get(), {.op = Op::kListen, .address = address_});
  std::vector<UniqueFd> tokens;
  for (int i = 0; i < 2000; ++i) {
    Answer connected = ask(one.get(), {.op = Op::kConnect, .address = address_});
    if (connected.reply.error != 0) break;
    tokens.push_back(std::move(connected.fds[0]));
  }
  EXPECT_GT(tokens.size(), 100U);
  EXPECT_LT(tokens.size(), 2000U);
  listening.fds[0].reset();  // with it go the queued tokens
  tokens.clear();
  while (broker_->counts().connections != 0) broker_->run_once(1000);
  EXPECT_EQ(broker_->counts().listeners, 0U);
}

TEST_F(BrokerTest, ADeadProcessLeavesNoBells) {
  UniqueFd one = client();
  const Answer hello = ask(one.get(), {.op = Op::kHello});
  EXPECT_NE(hello.reply.incarnation, 0U);
  const Answer bell = ask(one.get(), {.op = Op::kNewBell});
  ASSERT_EQ(bell.fds.size(), 1U);
  const UniqueFd two = client();
  EXPECT_EQ(ask(two.get(), {.op = Op::kFindBell, .bell = bell.reply.bell}).reply.generation,
            bell.reply.generation);
  one.reset();
  settle();
  EXPECT_EQ(broker_->counts().bells, 0U);
  EXPECT_EQ(ask(two.get(), {.op = Op::kFindBell, .bell = bell.reply.bell}).reply.error, ENOENT);
}

TEST_F(BrokerTest, HostileBytesEndOnlyTheirOwnClient) {
  const UniqueFd good = client();
  tideline::Rng rng(3);
  for (int round = 0; round < 3000; ++round) {
    const UniqueFd bad = client();
    Request request{.magic = rng.below(3) != 0 ? kMagic : static_cast<std::uint32_t>(rng()),
                    .op = static_cast<Op>(rng.below(9)),
                    .address = {.ip = 1, .port = static_cast<std::uint16_t>(rng.below(3))},
                    .bell = static_cast<std::uint32_t>(rng() >> rng.below(64)),
                    .want_far = static_cast<std::uint32_t>(rng.below(3))};
    std::array<std::byte, 4 * sizeof(Request)> bytes{};
    std::memcpy(bytes.data(), &request, sizeof(request));
    const std::size_t size = rng.below(3) != 0 ? sizeof(request) : 1 + rng.below(bytes.size());
    const std::vector<int> fds(rng.below(3) == 0 ? rng.below(4) : 0, bad.get());
    EXPECT_TRUE(tideline::send_with_fds(bad.get(), std::span(bytes).first(size), fds));
    settle();
  }
  settle();
  EXPECT_EQ(ask(good.get(), {.op = Op::kHello}).reply.error, 0);
  EXPECT_EQ(broker_->counts().clients, 1U);
  EXPECT_EQ(broker_->counts().connections, 0U);
  EXPECT_EQ(broker_->counts().bells, 0U);
}

TEST_F(BrokerTest, BytesIntoATokenAreThrownAway) {
  const UniqueFd one = client();
  Answer listening = ask(one.get(), {.op = Op::kListen, .address = address_});
  const Answer connected = ask(one.get(), {.op = Op::kConnect, .address = address_});
  const std::array<char, 4096> fill{};
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(::send(connected.fds[0].get(), fill.data(), fill.size(), MSG_DONTWAIT), 4096);
    settle();
  }
  EXPECT_EQ(broker_->counts().connections, 1U);
}

}  // namespace
}  // namespace proofs::token
