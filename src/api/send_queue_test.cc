// SPDX-License-Identifier: Apache-2.0
// The send queue against a plain string: random writes, loans and releases, and every byte that TCP
// could ask for.
#include "api/send_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <vector>

#include "base/random.h"

namespace tideline::api {
namespace {

constexpr std::size_t kRing = 1024;

struct Model {
  std::vector<std::byte> memory = std::vector<std::byte>(kRing);
  std::deque<std::vector<std::byte>> lent;
  std::vector<std::byte> stream;
  SendQueue queue;
  Rng rng{7};

  Model() { queue.reset(memory); }

  std::vector<std::byte> bytes(std::size_t size) {
    std::vector<std::byte> made(size);
    for (std::byte& byte : made) byte = static_cast<std::byte>(rng());
    return made;
  }
  void write(std::size_t most) {
    const auto space = queue.space();
    const auto made = bytes(std::min(space.size(), most));
    std::ranges::copy(made, space.begin());
    queue.wrote(made.size());
    stream.insert(stream.end(), made.begin(), made.end());
  }
  bool lend(std::size_t size) {
    lent.push_back(bytes(size));
    if (!queue.lend(lent.back())) return false;
    stream.insert(stream.end(), lent.back().begin(), lent.back().end());
    return true;
  }
  void check(std::uint64_t offset) {
    while (offset < queue.end()) {
      const auto piece = queue.at(offset, 700);
      ASSERT_FALSE(piece.empty());
      ASSERT_TRUE(std::ranges::equal(
          piece, std::span(stream).subspan(static_cast<std::size_t>(offset), piece.size())))
          << offset;
      offset += piece.size();
    }
  }
};

TEST(SendQueue, GivesWhatWasWrittenAndLent) {
  Model model;
  for (int i = 0; i < 4000; ++i) {
    switch (model.rng.below(4)) {
      case 0:
        model.write(1 + static_cast<std::size_t>(model.rng.below(400)));
        break;
      case 1:
        if (model.queue.end() - model.queue.released() < 20'000) {
          model.lend(1 + static_cast<std::size_t>(model.rng.below(3000)));
        }
        break;
      case 2: {
        const std::uint64_t held = model.queue.end() - model.queue.released();
        model.queue.release(model.queue.released() + model.rng.below(held + 1));
        break;
      }
      default:
        model.check(model.queue.released());
    }
    if (HasFatalFailure()) return;
    ASSERT_EQ(model.queue.end(), model.stream.size());
    ASSERT_LE(model.queue.room(), kRing);
  }
  model.queue.release(model.queue.end());
  EXPECT_EQ(model.queue.room(), kRing);
  EXPECT_FALSE(model.queue.has_loans());
}

TEST(SendQueue, RefusesTooManyLoans) {
  Model model;
  ASSERT_TRUE(model.lend(kRing - 1));
  ASSERT_TRUE(model.lend(5000));
  EXPECT_FALSE(model.lend(1));
  model.queue.release(kRing - 1 + 4999);
  EXPECT_FALSE(model.lend(1));
  model.queue.release(kRing - 1 + 5000);
  for (std::size_t i = 0; i < SendQueue::kMostLoans; ++i) {
    model.write(1);
    ASSERT_TRUE(model.lend(2));
  }
  EXPECT_FALSE(model.lend(1));
  model.check(model.queue.released());
  model.queue.release(model.queue.released() + 3);
  EXPECT_TRUE(model.lend(1));
  model.check(model.queue.released());
}

TEST(SendQueue, ARingThatIsFullGetsRoomByRelease) {
  Model model;
  model.write(kRing);
  EXPECT_TRUE(model.queue.space().empty());
  model.queue.release(100);
  EXPECT_EQ(model.queue.room(), 100U);
  EXPECT_EQ(model.queue.space().size(), 100U);
}

}  // namespace
}  // namespace tideline::api
