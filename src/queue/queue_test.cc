// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/epoll.h>

#include <memory>
#include <thread>
#include <vector>

#include "queue/channel.h"
#include "queue/doorbell.h"
#include "queue/hint_board.h"
#include "queue/socket_page.h"

namespace tideline::queue {
namespace {

std::vector<unsigned> taken(HintBoard& board) {
  std::vector<unsigned> hints;
  board.take([&](unsigned hint) { hints.push_back(hint); });
  return hints;
}

TEST(HintBoard, HintsComeOnceEachInOrderAndWrapAround) {
  const auto board = std::make_unique<HintBoard>();
  EXPECT_FALSE(board->has_hints());
  for (const unsigned hint : {4095U, 0U, 64U, 0U, HintBoard::kHints + 63}) board->hint(hint);
  EXPECT_TRUE(board->has_hints());
  EXPECT_EQ(taken(*board), (std::vector<unsigned>{0, 63, 64, 4095}));
  EXPECT_FALSE(board->has_hints());
  EXPECT_TRUE(taken(*board).empty());
}

TEST(HintBoard, NoHintIsLostBetweenThreads) {
  constexpr unsigned kRounds = 20'000;
  const auto board = std::make_unique<HintBoard>();
  std::vector<std::atomic<unsigned>> state(HintBoard::kHints);
  std::thread notifier([&] {
    for (unsigned i = 0; i < kRounds; ++i) {
      const unsigned number = i * 61 % HintBoard::kHints;
      state[number].fetch_add(1, std::memory_order_release);
      board->hint(number);
    }
  });
  unsigned seen = 0;
  while (seen < kRounds) {
    board->take([&](unsigned hint) { seen += state[hint].exchange(0); });
    std::this_thread::yield();
  }
  notifier.join();
  EXPECT_EQ(seen, kRounds);
}

TEST(Doorbell, EachRingIsAnEdgeAndAFullBellDoesNotBlock) {
  auto bell = Doorbell::create();
  ASSERT_TRUE(bell.has_value());
  const UniqueFd set(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{.events = EPOLLIN | EPOLLET, .data = {}};
  ASSERT_EQ(::epoll_ctl(set.get(), EPOLL_CTL_ADD, bell->sleeper.get(), &event), 0);
  EXPECT_EQ(::epoll_wait(set.get(), &event, 1, 0), 0);
  for (unsigned i = 0; i < Doorbell::kMostUnread; ++i) {
    Doorbell::ring(bell->ringer.get());
    EXPECT_EQ(::epoll_wait(set.get(), &event, 1, 0), 1);
    EXPECT_EQ(::epoll_wait(set.get(), &event, 1, 0), 0);
  }
  for (int i = 0; i < 100'000; ++i) Doorbell::ring(bell->ringer.get());
  Doorbell::drain(bell->sleeper.get());
  pollfd entry{.fd = bell->sleeper.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&entry, 1, 0), 0);
  Doorbell::ring(bell->ringer.get());
  EXPECT_EQ(::poll(&entry, 1, 0), 1);
}

TEST(WatcherSlot, KeepsItsParts) {
  const std::uint64_t slot = WatcherSlot::make(65535, 127, 4095);
  EXPECT_NE(slot, 0U);
  EXPECT_EQ(WatcherSlot::channel(slot), 65535);
  EXPECT_EQ(WatcherSlot::waiter(slot), 127);
  EXPECT_EQ(WatcherSlot::hint(slot), 4095U);
  EXPECT_NE(WatcherSlot::make(0, 0, 0), 0U);
}

}  // namespace
}  // namespace tideline::queue
