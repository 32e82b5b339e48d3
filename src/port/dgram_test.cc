// SPDX-License-Identifier: Apache-2.0
// What is particular to datagram wires: peers that come, go and come again, and paths.
#include "port/dgram.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "port/port_test_util.h"

namespace tideline::port {
namespace {

class Dgram : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(::mkdtemp(directory_.data()), nullptr); }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string path(const char* name) const { return directory_ + "/" + name; }
  bool send(Port& port, std::uint32_t sequence) {
    Burst burst;
    burst.push(testing::make_frame(*pool_, 100, sequence));
    return port.tx_burst(0, burst, Instant{}) == 1;
  }

  std::string directory_ = std::filesystem::temp_directory_path() / "tideline-dgram-XXXXXX";
  std::unique_ptr<Pool> pool_ = testing::make_pool(256);
};

TEST_F(Dgram, ThePeerMayComeGoAndComeAgain) {
  auto near = DgramPort::open(path("a"), path("b"), pool_.get());
  ASSERT_TRUE(near.has_value());
  EXPECT_FALSE(send(**near, 1));
  EXPECT_EQ((*near)->stats(0).dropped(Drop::kTxNoPeer), 1U);
  for (std::uint32_t round = 0; round < 2; ++round) {
    auto far = DgramPort::open(path("b"), path("a"), pool_.get());
    ASSERT_TRUE(far.has_value());
    EXPECT_TRUE(send(**near, round));
    const auto received = testing::receive_frames(**far, 1);
    ASSERT_EQ(received.size(), 1U);
    EXPECT_EQ(received[0], testing::frame_bytes(100, round));
    far->reset();
    EXPECT_FALSE(send(**near, round));
  }
  EXPECT_FALSE(std::filesystem::exists(path("b"))) << "a port removes its path";
}

TEST_F(Dgram, TakesOverAPathThatADeadProgramLeft) {
  {
    const UniqueFd dead(::socket(AF_UNIX, SOCK_DGRAM, 0));
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    path("a").copy(address.sun_path, sizeof(address.sun_path) - 1);
    ASSERT_EQ(::bind(dead.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  ASSERT_TRUE(std::filesystem::exists(path("a")));
  auto first = DgramPort::open(path("a"), path("b"), pool_.get());
  ASSERT_TRUE(first.has_value()) << first.error().message();
  EXPECT_FALSE(DgramPort::open(path("a"), path("b"), pool_.get()).has_value())
      << "but not that of a live one";
}

TEST_F(Dgram, DoesNotRemoveWhatIsNoSocket) {
  std::ofstream(path("a")) << "precious";
  EXPECT_FALSE(DgramPort::open(path("a"), path("b"), pool_.get()).has_value());
  EXPECT_EQ(std::filesystem::file_size(path("a")), 8U);
}

TEST_F(Dgram, RefusesPathsThatAreTooLong) {
  const auto port = DgramPort::open(std::string(200, 'x'), path("b"), pool_.get());
  ASSERT_FALSE(port.has_value());
  EXPECT_EQ(port.error().kind, ErrorKind::kUsage);
}

TEST_F(Dgram, DropsWhatIsNoFrame) {
  auto near = DgramPort::open(path("a"), path("b"), pool_.get());
  auto far = DgramPort::open(path("b"), path("a"), pool_.get(), {.mtu = 9000});
  ASSERT_TRUE(near.has_value());
  ASSERT_TRUE(far.has_value());
  Burst burst;
  burst.push(packet::PacketPtr(pool_->get()));
  burst[0]->append(1700);
  EXPECT_EQ((*far)->tx_burst(0, burst, Instant{}), 1U);
  EXPECT_EQ((*near)->rx_burst(0, burst, Instant{}), 0U);
  EXPECT_EQ((*near)->stats(0).dropped(Drop::kRxTruncated), 1U);
}

}  // namespace
}  // namespace tideline::port
