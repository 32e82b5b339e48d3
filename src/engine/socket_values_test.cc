// SPDX-License-Identifier: Apache-2.0
#include "engine/socket_values.h"

#include <gtest/gtest.h>

#include <set>

namespace tideline::engine {
namespace {

// RFC 6056 §3.2.
TEST(SocketValues, FreePortsAreSoughtFromARandomOneOn) {
  std::set<std::uint16_t> found;
  for (int i = 0; i < 200; ++i) found.insert(find_free_port([](std::uint16_t) { return true; }));
  EXPECT_GT(found.size(), 150U);
  EXPECT_GE(*found.begin(), kFirstFreePort);
  EXPECT_LE(*found.rbegin(), kLastFreePort);
}

TEST(SocketValues, EachPortIsTriedOnceWhereNoneIsFree) {
  std::set<std::uint16_t> tried;
  const std::uint16_t port = find_free_port([&](std::uint16_t each) {
    EXPECT_TRUE(tried.insert(each).second) << each << " again";
    return false;
  });
  EXPECT_EQ(port, 0);
  EXPECT_EQ(tried.size(), kLastFreePort - kFirstFreePort + 1U);
}

}  // namespace
}  // namespace tideline::engine
