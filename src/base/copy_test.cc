// SPDX-License-Identifier: Apache-2.0
#include "base/copy.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <vector>

namespace tideline {
namespace {

TEST(CopyByVectors, EverySizeFromAndToEveryAlignmentAndNotAByteMore) {
  std::vector<std::byte> from(400);
  for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<std::byte>(i * 37 + 1);
  for (std::size_t size = 0; size <= 300; ++size) {
    const std::size_t source = size % 17;
    const std::size_t target = size % 13;
    std::vector<std::byte> to(400, std::byte{0});
    copy_by_vectors(to.data() + target, from.data() + source, size);
    for (std::size_t i = 0; i < to.size(); ++i) {
      const bool inside = i >= target && i < target + size;
      ASSERT_EQ(to[i], inside ? from[source + i - target] : std::byte{0}) << size << " at " << i;
    }
  }
}

}  // namespace
}  // namespace tideline
