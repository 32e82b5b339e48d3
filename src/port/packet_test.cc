// SPDX-License-Identifier: Apache-2.0
// What only AF_PACKET rings have, beside the conformance suite.
#include "port/packet.h"

#include <gtest/gtest.h>

#include "port/port_test_util.h"
#include "port/test_namespace.h"

namespace tideline::port::testing {
namespace {

TEST(PacketPort, CountsFramesThatTheKernelRefuses) {
  const Status made = make_veth("tl-near", "tl-far", 1500);
  if (!made && made.error().kind == ErrorKind::kEnvironment) {
    GTEST_SKIP() << made.error().message();
  }
  ASSERT_TRUE(made.has_value()) << made.error().message();
  const std::shared_ptr<void> remove(nullptr, [](void*) { remove_veth("tl-near"); });
  const auto pool = make_pool(256);
  auto port = PacketPort::open("tl-near", {pool.get()}, {.rx_blocks = 1, .tx_blocks = 1});
  ASSERT_TRUE(port.has_value()) << port.error().message();
  // TCP whose checksum field lies where UDP has it: only the kernel looks so closely.
  const packet::Offload nonsense{.checksum = packet::Checksum::kNeeded,
                                 .gso = packet::Gso::kTcpV4,
                                 .checksum_start = 34,
                                 .checksum_offset = 6,
                                 .gso_size = 500,
                                 .header_length = 54};
  Burst burst;
  for (const std::size_t size : {100U, 1400U, 1400U, 200U, 1400U}) {
    burst.push(make_frame(*pool, size, 1));
    if (size == 1400) burst[burst.size() - 1]->meta().offload = nonsense;
  }
  EXPECT_EQ((*port)->tx_burst(0, burst, {}), 5U);
  EXPECT_EQ((*port)->stats(0).dropped(Drop::kTxRefused), 3U);
  burst.push(make_frame(*pool, 300, 1));
  EXPECT_EQ((*port)->tx_burst(0, burst, {}), 1U);
  EXPECT_EQ((*port)->stats(0).dropped(Drop::kTxRefused), 3U);
}

}  // namespace
}  // namespace tideline::port::testing
