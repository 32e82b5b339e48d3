// SPDX-License-Identifier: Apache-2.0
// Replay in virtual time: every frame of the file at its time, or all at once; what is sent is in
// the other file, complete.
#include "port/pcap_port.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "port/port_test_util.h"

namespace tideline::port::testing {
namespace {

constexpr const char* kCapture = TIDELINE_TEST_DATA "/rxe-20.pcap";

std::vector<std::vector<std::byte>> frames_of(const std::string& path) {
  auto reader = PcapReader::open(path);
  EXPECT_TRUE(reader.has_value()) << reader.error().message();
  std::vector<std::vector<std::byte>> frames;
  for (;;) {
    const auto next = reader->next();
    EXPECT_TRUE(next.has_value());
    const auto frame = next.value_or(std::nullopt);
    if (!frame) return frames;
    frames.emplace_back(frame->bytes.begin(), frame->bytes.end());
  }
}

class PcapPortTest : public ::testing::Test {
 protected:
  void open(const std::string& text) {
    const auto spec = PcapSpec::parse(text);
    ASSERT_TRUE(spec.has_value()) << spec.error().message();
    auto opened = PcapPort::open(*spec, pool.get(), {.epoch = std::chrono::hours(1)});
    ASSERT_TRUE(opened.has_value()) << opened.error().message();
    port = std::move(*opened);
  }
  void TearDown() override { std::filesystem::remove(out); }

  std::string out = ::testing::TempDir() + "tideline-replay-" + std::to_string(::getpid());
  std::unique_ptr<Pool> pool = make_pool(256);
  std::unique_ptr<PcapPort> port;
  Instant now{std::chrono::hours(7)};
};

TEST_F(PcapPortTest, ReplaysEachFrameAtItsTime) {
  ASSERT_NO_FATAL_FAILURE(open(kCapture));
  const auto expected = frames_of(kCapture);
  const Instant begin = now;
  std::vector<std::vector<std::byte>> frames;
  Burst burst;
  while (frames.size() < expected.size()) {
    port->rx_burst(0, burst, now);
    for (const PacketPtr& frame : burst) frames.push_back(bytes_of(*frame));
    burst.clear();
    const Instant due = port->next_deadline(0);
    if (due == kNever) break;
    ASSERT_GT(due, now);
    EXPECT_EQ(port->rx_burst(0, burst, due - Duration(1)), 0U) << "too early";
    now = due;
  }
  EXPECT_EQ(frames, expected);
  EXPECT_EQ(port->next_deadline(0), kNever);
  auto reader = PcapReader::open(kCapture);
  Duration first{-1};
  Duration last{};
  for (auto next = reader->next(); next.has_value() && next->has_value(); next = reader->next()) {
    last = next->value_or(PcapFrame{}).time;
    if (first < Duration::zero()) first = last;
  }
  EXPECT_EQ(now - begin, last - first);
}

TEST_F(PcapPortTest, ReplaysAsFastAsFramesAreTaken) {
  ASSERT_NO_FATAL_FAILURE(open(std::string(kCapture) + ",fast"));
  Burst burst;
  EXPECT_EQ(port->rx_burst(0, burst, now), 20U);
  EXPECT_EQ(port->rx_burst(0, burst, now), 0U);
  EXPECT_EQ(port->stats(0).rx_frames, 20U);
  burst.clear();
}

TEST_F(PcapPortTest, WritesWhatIsSentWithItsChecksum) {
  ASSERT_NO_FATAL_FAILURE(open(std::string(kCapture) + "," + out));
  Burst burst;
  burst.push(make_frame(*pool, 300, 1));
  burst[0]->meta().offload = {
      .checksum = packet::Checksum::kNeeded, .checksum_start = 34, .checksum_offset = 16};
  burst.push(make_frame(*pool, 5000, 2));
  EXPECT_EQ(port->tx_burst(0, burst, now), 1U);
  EXPECT_EQ(port->stats(0).dropped(Drop::kTxLong), 1U);
  ASSERT_TRUE(port->output()->flush().has_value());
  const auto frames = frames_of(out);
  ASSERT_EQ(frames.size(), 1U);
  auto expected = frame_bytes(300, 1);
  EXPECT_NE(frames[0], expected);
  std::copy_n(frames[0].begin() + 50, 2, expected.begin() + 50);
  EXPECT_EQ(frames[0], expected);
}

TEST_F(PcapPortTest, EndsWhereAFileIsDamagedAndCountsAnEmptyPool) {
  std::filesystem::copy_file(kCapture, out, std::filesystem::copy_options::overwrite_existing);
  std::filesystem::resize_file(out, std::filesystem::file_size(out) - 1);
  ASSERT_NO_FATAL_FAILURE(open(out + ",fast"));
  std::vector<PacketPtr> hoard;
  while (pool->in_use() < 256) hoard.push_back(pool->get());
  Burst burst;
  EXPECT_EQ(port->rx_burst(0, burst, now), 0U);
  EXPECT_EQ(port->stats(0).dropped(Drop::kRxPool), 19U);
  EXPECT_EQ(port->stats(0).dropped(Drop::kRxTruncated), 1U);
}

TEST(PcapSpec, IsReadOrRefused) {
  const auto spec = PcapSpec::parse("a,b,fast");
  ASSERT_TRUE(spec.has_value());
  EXPECT_EQ(spec->in, "a");
  EXPECT_EQ(spec->out, "b");
  EXPECT_TRUE(spec->fast);
  for (const char* text : {"", ",", "a,", "a,b,c", ",fast"}) {
    EXPECT_FALSE(PcapSpec::parse(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace tideline::port::testing
