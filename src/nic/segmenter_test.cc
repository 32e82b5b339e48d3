// SPDX-License-Identifier: Apache-2.0
// Segmentation against an oracle that builds every segment from nothing: TCP and UDP, both IP
// versions, with tags, options and extension headers, over ports that can much and little.
#include "nic/segmenter.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "nic/function.h"
#include "nic/test_frames.h"
#include "packet/copy.h"
#include "port/memory.h"
#include "wire/tcp.h"

namespace tideline::nic {
namespace {

using packet::Burst;
using packet::Gso;
using packet::PacketPtr;
using packet::Pool;
using port::Capabilities;
using testing::ByteVector;
using testing::GsoFrame;

constexpr Instant kSentAt{std::chrono::hours(1)};

ByteVector contents(const packet::Packet& frame) {
  packet::PassCounter passes;
  ByteVector bytes(frame.size());
  packet::copy_out(frame, 0, bytes, passes);
  return bytes;
}

class Segmentation : public ::testing::Test {
 protected:
  void wire_up(const Capabilities& capabilities, std::size_t segments = 1024,
               std::size_t loans = 512, std::size_t mtu = 1500) {
    function.reset();
    near.reset();
    far.reset();
    auto made = Pool::create({.segments = segments, .loans = loans, .huge_pages = false});
    ASSERT_TRUE(made.has_value());
    pool = std::move(*made);
    auto ends = port::MemoryPort::create_pair({.mtu = mtu, .capabilities = capabilities});
    ASSERT_TRUE(ends.has_value());
    near = std::move(ends->left);
    far = std::move(ends->right);
    function = std::make_unique<Function>(*near, 0, *pool, near->info().mac);
  }

  // The frame in random pieces, its headers in one or several.
  PacketPtr packet_of(const GsoFrame& frame) {
    const ByteVector bytes = frame.whole();
    packet::PassCounter passes;
    PacketPtr packet = pool->get();
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t part = std::min<std::size_t>(bytes.size() - at, 1 + rng.below(2500));
      packet->append(packet::copy_of(std::span(bytes).subspan(at, part), *pool, passes));
      at += part;
    }
    packet->meta().offload = frame.offload();
    return packet;
  }

  void transmit(const GsoFrame& frame) {
    PacketPtr packet = packet_of(frame);
    ASSERT_NE(packet, nullptr);
    function->transmit(std::move(packet), kSentAt);
    function->flush(kSentAt);
  }

  // What the wire sees: checksums that were left to the port are filled in.
  std::vector<ByteVector> sent() {
    std::vector<ByteVector> frames;
    for (Burst burst; far->rx_burst(0, burst, kSentAt) > 0; burst.clear()) {
      for (const PacketPtr& frame : burst) {
        frames.push_back(contents(*frame));
        const auto& offload = frame->meta().offload;
        EXPECT_EQ(offload.gso, Gso::kNone);
        if (offload.checksum == packet::Checksum::kNeeded) {
          testing::fill_checksum(frames.back(), offload);
        }
      }
    }
    return frames;
  }

  const FunctionStats& stats() const { return function->stats(); }

  Rng rng{11};
  std::unique_ptr<Pool> pool;
  std::unique_ptr<port::Port> near;
  std::unique_ptr<port::Port> far;
  std::unique_ptr<Function> function;
};

TEST_F(Segmentation, MakesTheSegmentsThatTheOracleMakes) {
  const Capabilities none{};
  const Capabilities checksum{.tx_checksum = true};
  const Capabilities gather{.tx_checksum = true, .scatter_gather = true};
  for (const Capabilities& capabilities : {none, checksum, gather}) {
    for (int round = 0; round < 150; ++round) {
      ASSERT_NO_FATAL_FAILURE(wire_up(capabilities));
      const GsoFrame frame = GsoFrame::random(rng);
      ASSERT_NO_FATAL_FAILURE(transmit(frame));
      const auto frames = sent();
      ASSERT_EQ(frames.size(), frame.count()) << frame;
      for (std::size_t i = 0; i < frames.size(); ++i) {
        ASSERT_EQ(frames[i], frame.segment(i)) << frame << ", segment " << i;
      }
      ASSERT_EQ(stats().tx_frames, frame.count());
      ASSERT_EQ(stats().tx_cut, 1U);
      // At most one traversal of the payload, and none if the port takes it as it lies.
      const auto once = [&](const Capabilities& with) {
        return capabilities == with ? frame.payload.size() : 0;
      };
      ASSERT_EQ(stats().passes.bytes(packet::Pass::kCopyChecksum), once(none));
      ASSERT_EQ(stats().passes.bytes(packet::Pass::kCopy), once(checksum));
      ASSERT_EQ(stats().passes.bytes(packet::Pass::kChecksum), 0U);
      ASSERT_EQ(pool->in_use(), 0U);
    }
  }
}

TEST_F(Segmentation, IsLeftToAPortThatCanDoIt) {
  wire_up({.tx_checksum = true, .scatter_gather = true, .tso6 = true});
  GsoFrame frame = GsoFrame::random(rng);
  frame.tcp = frame.ipv6 = true;
  transmit(frame);
  Burst burst;
  ASSERT_EQ(far->rx_burst(0, burst, kSentAt), 1U);
  EXPECT_EQ(burst[0]->meta().offload.gso, Gso::kTcpV6);
  EXPECT_EQ(contents(*burst[0]), frame.whole());
  EXPECT_EQ(stats().passes.total(), 0U);
  EXPECT_EQ(stats().tx_cut, 0U);
  burst.clear();
  frame.ipv6 = false;
  transmit(frame);
  EXPECT_EQ(sent().size(), frame.count()) << "and done for what it cannot";
}

TEST_F(Segmentation, CopiesWhenAllLoansAreOut) {
  wire_up({.tx_checksum = true, .scatter_gather = true}, 256, 20, 9000);
  GsoFrame frame = GsoFrame::random(rng);
  frame.payload.resize(60'000);
  frame.gso_size = 8000;
  for (int round = 0; round < 3; ++round) transmit(frame);  // the last without any loan
  const auto frames = sent();
  ASSERT_EQ(frames.size(), 3 * frame.count());
  for (std::size_t i = 0; i < frames.size(); ++i) {
    EXPECT_EQ(frames[i], frame.segment(i % frame.count()));
  }
  EXPECT_GT(stats().passes.bytes(packet::Pass::kCopy), 60'000U);
  EXPECT_LT(stats().passes.bytes(packet::Pass::kCopy), 180'000U);
}

TEST_F(Segmentation, CountsTheSegmentsThatAnExhaustedPoolCosts) {
  wire_up({}, 80, 0);
  GsoFrame frame = GsoFrame::random(rng);
  frame.payload.resize(40'000);
  frame.gso_size = 400;
  transmit(frame);
  const auto frames = sent();
  EXPECT_GT(frames.size(), 0U);
  EXPECT_GT(stats().dropped(Drop::kTxPool), 0U);
  EXPECT_EQ(frames.size() + stats().dropped(Drop::kTxPool), 100U);
  for (std::size_t i = 0; i < frames.size(); ++i) EXPECT_EQ(frames[i], frame.segment(i));
  EXPECT_EQ(pool->in_use(), 0U);
}

TEST_F(Segmentation, OfFramesThatContradictTheirMetadataIsRefused) {
  using Spoil = void (*)(packet::Offload&);
  const std::vector<Spoil> spoilers{
      [](packet::Offload& o) { o.gso_size = 0; },
      [](packet::Offload& o) { o.gso_size = 1600; },  // beyond the MTU
      [](packet::Offload& o) { o.gso = Gso::kTcpV6; },
      [](packet::Offload& o) { o.gso = Gso::kUdp; },
      [](packet::Offload& o) { o.gso = Gso::kRoce; },
      [](packet::Offload& o) { o.checksum = packet::Checksum::kInPacket; },
      [](packet::Offload& o) { ++o.checksum_start; },
      [](packet::Offload& o) { o.checksum_start = 65'000; },
      [](packet::Offload& o) { o.checksum_offset = 6; },
      [](packet::Offload& o) { o.header_length = 40; },
      [](packet::Offload& o) { o.header_length = 65'535; },
  };
  wire_up({.tx_checksum = true, .scatter_gather = true});
  GsoFrame frame;
  frame.payload.resize(5000);
  std::uint64_t refused = 0;
  const auto expect_refused = [&](PacketPtr packet) {
    function->transmit(std::move(packet), kSentAt);
    EXPECT_EQ(stats().dropped(Drop::kTxGso), ++refused);
  };
  for (const Spoil spoil : spoilers) {
    PacketPtr packet = packet_of(frame);
    spoil(packet->meta().offload);
    expect_refused(std::move(packet));
  }
  for (const std::uint16_t flag : {wire::kTcpSyn, wire::kTcpRst, wire::kTcpUrg}) {
    GsoFrame indivisible = frame;
    indivisible.flags |= flag;
    expect_refused(packet_of(indivisible));
  }
  // Bytes behind the last that IP counts; and a frame that ends too early.
  PacketPtr padded = packet_of(frame);
  padded->append(pool->get_chain(3));
  expect_refused(std::move(padded));
  PacketPtr cut_short = packet_of(frame);
  cut_short->truncate(cut_short->size() - 1);
  expect_refused(std::move(cut_short));
  GsoFrame empty = frame;
  empty.payload.clear();
  expect_refused(packet_of(empty));
  transmit(frame);
  EXPECT_EQ(sent().size(), frame.count());
  EXPECT_EQ(pool->in_use(), 0U);
}

TEST_F(Segmentation, OfACaptureWritesCompleteFrames) {
  const std::string path = ::testing::TempDir() + "segments-" + std::to_string(::getpid());
  std::vector<ByteVector> expected;
  packet::PassCounter passes;
  {
    auto writer = port::PcapWriter::create(path, {});
    ASSERT_TRUE(writer.has_value());
    for (int round = 0; round < 50; ++round) {
      const GsoFrame frame = GsoFrame::random(rng);
      ByteVector bytes = frame.whole();
      write_segments(bytes, frame.offload(), kSentAt, **writer, passes);
      for (std::size_t i = 0; i < frame.count(); ++i) expected.push_back(frame.segment(i));
    }
    ByteVector nonsense(100);
    write_segments(nonsense, {.gso = Gso::kUdp, .gso_size = 10}, kSentAt, **writer, passes);
    expected.push_back(nonsense);
    ASSERT_TRUE((*writer)->flush().has_value());
  }
  auto reader = port::PcapReader::open(path);
  ASSERT_TRUE(reader.has_value());
  for (const ByteVector& bytes : expected) {
    const auto next = reader->next();
    ASSERT_TRUE(next.has_value());
    const auto read = next->value_or(port::PcapFrame{}).bytes;
    ASSERT_EQ(ByteVector(read.begin(), read.end()), bytes);
  }
  EXPECT_FALSE(reader->next()->has_value());
  ::unlink(path.c_str());
}

}  // namespace
}  // namespace tideline::nic
