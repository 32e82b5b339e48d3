// SPDX-License-Identifier: Apache-2.0
// The bounded table against a model: a vector of keys in the order of their use.
#include "ip/lru_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "base/random.h"

namespace tideline::ip {
namespace {

using wire::Ipv4Address;

TEST(LruMap, BehavesLikeItsModel) {
  constexpr std::size_t kCapacity = 13;
  Rng rng(42);
  LruMap<Ipv4Address, std::uint32_t> map(kCapacity, HashKey::random(rng));
  std::vector<std::uint32_t> model;  // least recently used first
  for (int step = 0; step < 20000; ++step) {
    const auto number = static_cast<std::uint32_t>(rng.below(32));
    const Ipv4Address key(number);
    const auto known = std::ranges::find(model, number);
    switch (rng.below(3)) {
      case 0:
        if (known != model.end()) break;
        if (map.full()) {
          ASSERT_EQ(map.oldest()->value(), model.front());
          map.erase(Ipv4Address(*map.oldest()));
          model.erase(model.begin());
        }
        map.insert(key) = number;
        model.push_back(number);
        break;
      case 1:
        ASSERT_EQ(map.touch(key) != nullptr, known != model.end());
        if (known != model.end()) std::rotate(known, known + 1, model.end());
        break;
      default:
        map.erase(key);
        if (known != model.end()) model.erase(known);
        break;
    }
    ASSERT_EQ(map.size(), model.size());
    for (const std::uint32_t each : model) ASSERT_EQ(*map.find(Ipv4Address(each)), each);
    std::vector<std::uint32_t> order;
    map.find_oldest_if([&](const Ipv4Address& each, std::uint32_t) {
      order.push_back(each.value());
      return false;
    });
    ASSERT_EQ(order, model);
  }
}

TEST(LruMap, ErasingReleasesTheValue) {
  LruMap<Ipv4Address, std::shared_ptr<int>> map(2, HashKey{});
  auto value = std::make_shared<int>(1);
  map.insert(Ipv4Address(1)) = value;
  EXPECT_EQ(value.use_count(), 2);
  map.erase(Ipv4Address(1));
  EXPECT_EQ(value.use_count(), 1);
}

TEST(LruMap, EntriesMayBeErasedAndInsertedWhileVisited) {
  LruMap<Ipv4Address, int> map(8, HashKey{.low = 7});
  for (std::uint32_t i = 0; i < 8; ++i) map.insert(Ipv4Address(i)) = 1;
  int visited = 0;
  map.for_each([&](const Ipv4Address& key, int&) {
    ++visited;
    map.erase(Ipv4Address(key));
  });
  EXPECT_EQ(visited, 8);
  EXPECT_EQ(map.size(), 0U);
}

}  // namespace
}  // namespace tideline::ip
