// SPDX-License-Identifier: Apache-2.0
// What client/sockets.h promises, in both placements.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "engine/test_programs.h"

// A forked child attaches, and with that starts a thread, which ThreadSanitizer takes for a
// mistake. NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming): its name for
// it
extern "C" const char* __tsan_default_options() { return "die_after_fork=0"; }

namespace tideline::engine {
namespace {

using client::Endpoint;
using client::Failure;
using client::Sharing;
using client::Socket;
using client::SocketType;
using test::kAny;
using test::kLeft;
using test::kRight;
using test::Placement;

class SocketsTest : public test::TwoPrograms {};

TEST_P(SocketsTest, AStreamCarriesBytesBothWaysAndItsEnd) {
  join();
  EXPECT_EQ(far_->remote(), near_->local());
  EXPECT_EQ(near_->remote(), (Endpoint{kRight, 80}));
  EXPECT_EQ(near_->take_error(), Failure::kNone);
  EXPECT_EQ(send(near_, "question").value(), 8U);
  ASSERT_TRUE(until([&] { return far_->readable_bytes() == 8; }));
  EXPECT_EQ(receive(far_, 4, true), "ques");
  EXPECT_EQ(receive(far_, 4), "ques");
  EXPECT_EQ(receive(far_), "tion");
  EXPECT_EQ(far_->receive({}, false).value().size, 0U);
  EXPECT_EQ(send(far_, "answer").value(), 6U);
  ASSERT_TRUE(far_->shut_down(false, true));
  EXPECT_EQ(send(far_, "more").error(), Failure::kShutDown);
  ASSERT_TRUE(until([&] { return near_->readiness(POLLRDHUP) == POLLRDHUP; }));
  EXPECT_EQ(receive(near_), "answer");
  EXPECT_EQ(receive(near_), "");
  EXPECT_EQ(near_->readiness(POLLIN), POLLIN);
  near_->close(false);
  far_->close(false);
  listener_->close(false);
}

TEST_P(SocketsTest, AFullBufferSaysSoAndTellsWhenThereIsRoom) {
  join();
  auto waiter = left_.sockets->take_waiter();
  near_->watch(**waiter, 7);
  const std::string block(100'000, 'x');
  std::size_t sent = 0;
  // What is on its way makes room again where it arrives.
  Instant full_since = monotonic_now();
  ASSERT_TRUE(until([&] {
    const auto size = send(near_, block);
    sent += size.value_or(0);
    if (size) full_since = monotonic_now();
    return monotonic_now() - full_since > std::chrono::milliseconds(50);
  }));
  EXPECT_EQ(near_->readiness(POLLOUT), 0U);
  (*waiter)->take_hints([](unsigned /*hint*/) {});
  std::size_t received = 0;
  ASSERT_TRUE(until([&] {
    received += receive(far_, 1 << 20).size();
    return received == sent;
  }));
  ASSERT_TRUE(until([&] { return near_->readiness(POLLOUT) == POLLOUT; }));
  unsigned hint = 0;
  (*waiter)->take_hints([&](unsigned number) { hint = number; });
  EXPECT_EQ(hint, 7U);
  near_->close(false);
  left_.sockets->give_waiter(std::move(*waiter));
}

TEST_P(SocketsTest, UnreadBytesMakeACloseAReset) {
  join();
  ASSERT_TRUE(send(near_, "unread"));
  ASSERT_TRUE(until([&] { return far_->readable_bytes() == 6; }));
  far_->close(false);
  ASSERT_TRUE(until([&] { return (near_->readiness(0) & POLLERR) != 0; }));
  EXPECT_EQ(send(near_, "x").error(), Failure::kReset);
  EXPECT_EQ(send(near_, "x").error(), Failure::kShutDown);
  EXPECT_EQ(near_->receive({}, false).value().size, 0U);
}

TEST_P(SocketsTest, AClosedPortRefusesAndTheSocketCanTryAgain) {
  Socket* socket = open(left_);
  EXPECT_EQ(socket->connect(Endpoint{kRight, 81}).error(), Failure::kInProgress);
  ASSERT_TRUE(until([&] { return socket->readiness(POLLOUT) != 0; }));
  EXPECT_EQ(socket->take_error(), Failure::kRefused);
  listener_ = open(right_);
  ASSERT_TRUE(listener_->bind({.address = kAny, .port = 81}, Sharing::kNone));
  ASSERT_TRUE(listener_->listen(1));
  EXPECT_EQ(socket->connect(Endpoint{kRight, 81}).error(), Failure::kInProgress);
  ASSERT_TRUE(until([&] { return socket->readiness(POLLOUT) == POLLOUT; }));
  EXPECT_EQ(socket->take_error(), Failure::kNone);
}

TEST_P(SocketsTest, APortIsTakenUntilItsSocketCloses) {
  Socket* first = open(left_);
  ASSERT_TRUE(first->bind({.address = kAny, .port = 80}, Sharing::kAddress));
  Socket* second = open(left_);
  EXPECT_EQ(second->bind({.address = kAny, .port = 80}, Sharing::kNone).error(),
            Failure::kAddressInUse);
  EXPECT_EQ(second->bind({.address = kLeft, .port = 80}, Sharing::kNone).error(),
            Failure::kAddressInUse);
  ASSERT_TRUE(second->bind({.address = kAny, .port = 80}, Sharing::kAddress));
  ASSERT_TRUE(first->listen(1));
  EXPECT_EQ(second->listen(1).error(), Failure::kAddressInUse);
  first->close(false);
  EXPECT_TRUE(second->listen(1));
}

TEST_P(SocketsTest, DatagramsComeWholeOneByOne) {
  Socket* server = open(right_, SocketType::kDatagram);
  ASSERT_TRUE(server->bind({.address = kAny, .port = 53}, Sharing::kNone));
  Socket* asker = open(left_, SocketType::kDatagram);
  EXPECT_EQ(send(asker, "to nobody").error(), Failure::kNoDestination);
  ASSERT_TRUE(asker->connect(Endpoint{kRight, 53}));
  ASSERT_TRUE(send(asker, std::string(20'000, 'a')));
  ASSERT_TRUE(send(asker, ""));
  ASSERT_TRUE(send(asker, "third"));
  ASSERT_TRUE(until([&] { return server->readable_bytes() == 20'000; }));
  std::string buffer(10, '\0');
  const iovec part{.iov_base = buffer.data(), .iov_len = buffer.size()};
  auto got = server->receive({&part, 1}, true);
  EXPECT_EQ(got->whole, 20'000U);
  got = server->receive({&part, 1}, false);
  EXPECT_EQ(got->size, 10U);
  EXPECT_EQ(got->from, asker->local());
  ASSERT_TRUE(until([&] { return server->readiness(POLLIN) == POLLIN; }));
  EXPECT_EQ(server->receive({&part, 1}, false)->whole, 0U);
  ASSERT_TRUE(until([&] { return server->readable_bytes() == 5; }));
  EXPECT_EQ(receive(server), "third");
  server->close(false);
  ASSERT_TRUE(send(asker, "anybody?"));
  ASSERT_TRUE(until([&] { return (asker->readiness(0) & POLLERR) != 0; }));
  EXPECT_EQ(asker->take_error(), Failure::kRefused);
}

// A thread writes, another reads, each in its own program; helpers serve meanwhile.
TEST_P(SocketsTest, MegabytesArriveAsTheyWereSentBetweenThreads) {
  join();
  constexpr std::size_t kTotal = 8 << 20;
  std::thread reader([&] {
    std::size_t at = 0;
    std::vector<unsigned char> bytes(70'000);
    while (at < kTotal) {
      const iovec part{.iov_base = bytes.data(), .iov_len = bytes.size()};
      const auto got = far_->receive({&part, 1}, false);
      if (!got) {
        right_.sockets->poll();
        std::this_thread::yield();
        continue;
      }
      ASSERT_GT(got->size, 0U);
      for (std::size_t i = 0; i < got->size; ++i) {
        ASSERT_EQ(bytes[i], static_cast<unsigned char>((at + i) * 7 >> 3));
      }
      at += got->size;
    }
  });
  std::vector<unsigned char> all(kTotal);
  for (std::size_t i = 0; i < kTotal; ++i) all[i] = static_cast<unsigned char>(i * 7 >> 3);
  for (std::size_t sent = 0; sent < kTotal;) {
    const iovec part{.iov_base = all.data() + sent,
                     .iov_len = std::min<std::size_t>(kTotal - sent, 300'000)};
    const auto size = near_->send({&part, 1}, std::nullopt);
    if (size) {
      sent += *size;
    } else {
      left_.sockets->poll();
      std::this_thread::yield();
    }
  }
  reader.join();
}

TEST_P(SocketsTest, AForkedChildOfAnEngineIsRefusedAndTheParentGoesOn) {
  if (GetParam() != Placement::kApp) GTEST_SKIP() << "its children have an engine";
  join();
  const pid_t child = ::fork();
  if (child == 0) {
    const bool refused = !left_.sockets->is_alive() && !left_.sockets->open(SocketType::kStream) &&
                         send(near_, "x").error() == Failure::kForked;
    ::_exit(refused ? 0 : 1);
  }
  int status = 1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  ASSERT_TRUE(send(near_, "parent"));
  ASSERT_TRUE(until([&] { return receive(far_) == "parent"; }));
}

// The connection lives until the last of both has let go of it.
TEST_P(SocketsTest, AForkedChildOfAFrontEndsSharesItsParentsSockets) {
  if (GetParam() != Placement::kFrontEnd) GTEST_SKIP() << "its children have no engine";
  join();
  left_.sockets->before_fork();
  const pid_t child = ::fork();
  if (child == 0) {
    bool good = left_.sockets->after_fork_in_child();
    good &= send(near_, "child").has_value();
    Socket* own = open(left_);
    good &= own->bind({.address = kAny, .port = 90}, Sharing::kNone).has_value();
    near_->close(false);
    ::_exit(good ? 0 : 1);
  }
  left_.sockets->after_fork_in_parent();
  int status = 1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  ASSERT_TRUE(until([&] { return receive(far_) == "child"; }));
  ASSERT_TRUE(send(near_, "parent"));
  ASSERT_TRUE(until([&] { return receive(far_) == "parent"; }));
  // What the child had alone is closed with it.
  Socket* own = open(left_);
  EXPECT_TRUE(
      until([&] { return own->bind({.address = kAny, .port = 90}, Sharing::kNone).has_value(); }));
}

TEST_P(SocketsTest, ATokenStandsForASocket) {
  join();
  auto token = near_->token();
  if (GetParam() == Placement::kApp) {
    EXPECT_EQ(token.error(), Failure::kNotSupported);
    return;
  }
  ASSERT_TRUE(token.has_value());
  near_->close(false);
  const auto adopted = left_.sockets->adopt(token->get());
  ASSERT_TRUE(adopted.has_value());
  token->reset();
  EXPECT_EQ(adopted->type, SocketType::kStream);
  EXPECT_EQ(adopted->socket->local(), far_->remote());
  ASSERT_TRUE(send(adopted->socket, "adopted"));
  ASSERT_TRUE(until([&] { return receive(far_) == "adopted"; }));
  adopted->socket->close(false);
  EXPECT_TRUE(until([&] { return far_->readiness(POLLRDHUP) != 0; }));
  EXPECT_FALSE(left_.sockets->adopt(STDIN_FILENO).has_value());
}

TEST_P(SocketsTest, AFrontEndThatGoesIsToldToAll) {
  if (GetParam() != Placement::kFrontEnd) GTEST_SKIP() << "the engine goes with the program";
  join();
  auto waiter = left_.sockets->take_waiter();
  near_->watch(**waiter, 3);
  (*waiter)->arm();
  left_.front_end.reset();
  pollfd bell{.fd = (*waiter)->doorbell(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&bell, 1, 10'000), 1);
  EXPECT_NE(near_->readiness(0) & POLLHUP, 0U);
  const iovec nothing{};
  EXPECT_EQ(send(near_, "x").error(), Failure::kReset);
  EXPECT_FALSE(near_->receive({&nothing, 0}, false).has_value());
  EXPECT_EQ(left_.sockets->open(SocketType::kStream).error(), Failure::kReset);
  far_->close(true);
  right_.front_end.reset();
  left_.sockets->give_waiter(std::move(*waiter));
}

// Both sides sleep before each message: on the wire where they may, on their doorbells otherwise.
void play(client::Sockets& sockets, Socket& socket, int rounds, bool begins, bool drives) {
  auto waiter = sockets.take_waiter();
  ASSERT_TRUE(waiter.has_value());
  socket.watch(**waiter, 0);
  char byte = 'x';
  const iovec part{.iov_base = &byte, .iov_len = 1};
  for (int i = 0; i < rounds; ++i) {
    if (begins || i > 0) {
      ASSERT_TRUE(socket.send({&part, 1}, std::nullopt));
    }
    client::Outcome<client::Received> got;
    while (!(got = socket.receive({&part, 1}, false))) {
      ASSERT_EQ(got.error(), Failure::kWouldBlock);
      (*waiter)->arm();
      const client::Sockets::Sleep sleep = sockets.begin_sleep(drives);
      if (!(*waiter)->has_hints()) {
        pollfd fds[2] = {{.fd = (*waiter)->doorbell(), .events = POLLIN, .revents = 0},
                         {.fd = sleep.descriptor, .events = POLLIN, .revents = 0}};
        // Far longer than a lost wake-up would go unnoticed.
        const timespec patience{.tv_sec = 10, .tv_nsec = 0};
        ASSERT_GT(::ppoll(fds, 2, &patience, nullptr), 0) << "round " << i;
        std::uint64_t rings = 0;
        if (fds[0].revents != 0) {
          ASSERT_GT(::read((*waiter)->doorbell(), &rings, sizeof(rings)), 0);
        }
      }
      (*waiter)->disarm();
      (*waiter)->take_hints([](unsigned /*hint*/) {});
      sockets.end_sleep(sleep);
    }
  }
  if (!begins) {
    EXPECT_TRUE(socket.send({&part, 1}, std::nullopt));
  }
  socket.unwatch(**waiter, 0);
  sockets.give_waiter(std::move(*waiter));
}

TEST_P(SocketsTest, SleepersWakeEachOtherOverTheWireAndByDoorbell) {
  join();
  for (const auto& [near_drives, far_drives] :
       {std::pair(true, true), std::pair(false, false), std::pair(true, false)}) {
    std::thread far([&, drives = far_drives] { play(*right_.sockets, *far_, 300, false, drives); });
    play(*left_.sockets, *near_, 300, true, near_drives);
    far.join();
  }
}

// Another thread of the program calls all the time: it takes the wire from the sleeper, and tells
// it.
TEST_P(SocketsTest, ASleeperOnTheWireIsToldByThoseWhoCall) {
  join();
  std::atomic<bool> stop{false};
  std::thread caller([&] {
    while (!stop) {
      left_.sockets->poll();
      std::this_thread::yield();
    }
  });
  std::thread far([&] { play(*right_.sockets, *far_, 300, false, true); });
  play(*left_.sockets, *near_, 300, true, true);
  far.join();
  stop = true;
  caller.join();
}

TEST_P(SocketsTest, OptionsSetAfterListenAreForWhoIsAcceptedLater) {
  join();
  EXPECT_EQ(far_->info().congestion, client::Congestion::kCubic);
  listener_->set_options({.congestion = client::Congestion::kBbr});
  Socket* later = open(left_);
  EXPECT_EQ(later->connect(Endpoint{kRight, 80}).error(), Failure::kInProgress);
  ASSERT_TRUE(until([&] { return listener_->readiness(POLLIN) == POLLIN; }));
  const auto accepted = listener_->accept();
  ASSERT_TRUE(accepted.has_value());
  EXPECT_EQ((*accepted)->info().congestion, client::Congestion::kBbr);
  EXPECT_GT((*accepted)->info().pacing_rate, 0U);
  EXPECT_EQ(far_->info().congestion, client::Congestion::kCubic);
}

TEST_P(SocketsTest, FinishSendsWhatWasWritten) {
  join();
  ASSERT_TRUE(send(near_, "last words"));
  std::thread peer([&] {
    EXPECT_TRUE(until([&] { return far_->readiness(POLLRDHUP) != 0; }));
    EXPECT_EQ(receive(far_), "last words");
  });
  left_.sockets->finish(std::chrono::seconds(5));
  // A front end closes what its program leaves open when that has gone.
  if (GetParam() == Placement::kFrontEnd) near_->close(false);
  peer.join();
}

INSTANTIATE_TEST_SUITE_P(Placements, SocketsTest,
                         ::testing::Values(Placement::kApp, Placement::kFrontEnd),
                         [](const auto& each) {
                           return each.param == Placement::kApp ? "app" : "frontend";
                         });

}  // namespace
}  // namespace tideline::engine
