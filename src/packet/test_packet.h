// SPDX-License-Identifier: Apache-2.0
// For tests: a pool, and what a packet holds.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "packet/copy.h"
#include "packet/packet.h"
#include "packet/pool.h"

namespace tideline::packet {

using Bytes = std::vector<std::byte>;

inline std::unique_ptr<Pool> make_pool(std::size_t segments, std::size_t loans = 0) {
  auto pool = Pool::create({.segments = segments, .loans = loans});
  EXPECT_TRUE(pool.has_value()) << pool.error().message();
  return std::move(*pool);
}

inline Bytes contents(const Packet& packet) {
  PassCounter passes;
  Bytes bytes(packet.size());
  copy_out(packet, 0, bytes, passes);
  return bytes;
}

}  // namespace tideline::packet
