// SPDX-License-Identifier: Apache-2.0
// Capture files: what was written is read again, files of other programs are read, damaged ones are
// refused; and a capture at a port shows what the wire sees.
#include <gtest/gtest.h>
#include <unistd.h>

#include <bit>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "base/random.h"
#include "port/capture.h"
#include "port/memory.h"
#include "port/pcap_file.h"
#include "port/port_test_util.h"
#include "wire/checksum.h"

namespace tideline::port {
namespace {

using Bytes = std::vector<std::byte>;

class TemporaryFile {
 public:
  TemporaryFile() {
    const int fd = ::mkstemp(path_.data());
    EXPECT_GE(fd, 0);
    ::close(fd);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_ = (std::filesystem::temp_directory_path() / "tideline-pcap-XXXXXX").string();
};

struct Frame {
  Duration time;
  Bytes bytes;
};

std::vector<Frame> read_all(const std::string& path) {
  auto reader = PcapReader::open(path);
  EXPECT_TRUE(reader.has_value()) << reader.error().message();
  std::vector<Frame> frames;
  for (;;) {
    const auto next = reader->next();
    EXPECT_TRUE(next.has_value()) << next.error().message();
    const auto frame = next.value_or(std::nullopt);
    if (!frame) return frames;
    frames.push_back(
        {.time = frame->time, .bytes = Bytes(frame->bytes.begin(), frame->bytes.end())});
  }
}

TEST(Pcap, WhatIsWrittenIsRead) {
  const TemporaryFile file;
  Rng rng(1);
  std::vector<Frame> written;
  {
    const Duration epoch = std::chrono::hours(24 * 365 * 50);
    auto writer = PcapWriter::create(file.path(), epoch);
    ASSERT_TRUE(writer.has_value());
    for (std::uint32_t i = 0; i < 200; ++i) {
      const Instant at{Duration(static_cast<std::int64_t>(rng.below(10'000'000'000)))};
      written.push_back({.time = at.time_since_epoch() + epoch,
                         .bytes = testing::frame_bytes(60 + rng.below(65'000), i)});
      (*writer)->write(at, written.back().bytes);
    }
    EXPECT_TRUE((*writer)->flush().has_value());
  }
  const auto read = read_all(file.path());
  ASSERT_EQ(read.size(), written.size());
  for (std::size_t i = 0; i < read.size(); ++i) {
    EXPECT_EQ(read[i].time, written[i].time);
    EXPECT_EQ(read[i].bytes, written[i].bytes);
  }
}

TEST(Pcap, AFullDiskIsReported) {
  auto writer = PcapWriter::create("/dev/full", {});
  ASSERT_TRUE(writer.has_value());
  const Bytes frame(10'000);
  for (int i = 0; i < 10; ++i) (*writer)->write(Instant{}, frame);
  EXPECT_FALSE((*writer)->flush().has_value());
  EXPECT_FALSE(PcapWriter::create("/nonexistent/file", {}).has_value());
}

// RoCEv2 frames between two Linux soft-RoCE devices, written by another program in microseconds.
TEST(Pcap, ReadsFilesOfOtherPrograms) {
  const auto frames = read_all(TIDELINE_TEST_DATA "/rxe-20.pcap");
  ASSERT_EQ(frames.size(), 20U);
  for (const Frame& frame : frames) EXPECT_GE(frame.bytes.size(), kMinFrame);
  EXPECT_TRUE(std::ranges::is_sorted(frames, {}, &Frame::time));
  // The same frames with their fields in the other byte order.
  std::ifstream in(TIDELINE_TEST_DATA "/rxe-20.pcap", std::ios::binary);
  std::string image((std::istreambuf_iterator<char>(in)), {});
  const auto swap32 = [&image](std::size_t at) {
    std::swap(image[at], image[at + 3]);
    std::swap(image[at + 1], image[at + 2]);
  };
  swap32(0);
  swap32(16);
  swap32(20);
  for (std::size_t at = 24, i = 0; at < image.size(); ++i) {
    for (std::size_t field = 0; field < 16; field += 4) swap32(at + field);
    at += 16 + frames[i].bytes.size();
  }
  const TemporaryFile swapped;
  std::ofstream(swapped.path(), std::ios::binary) << image;
  const auto again = read_all(swapped.path());
  ASSERT_EQ(again.size(), frames.size());
  for (std::size_t i = 0; i < frames.size(); ++i) {
    EXPECT_EQ(again[i].bytes, frames[i].bytes);
    EXPECT_EQ(again[i].time, frames[i].time);
  }
}

// The same frames as pcapng.
TEST(Pcap, ReadsPcapngOfOtherPrograms) {
  const auto frames = read_all(TIDELINE_TEST_DATA "/rxe-head.pcap");
  ASSERT_EQ(frames.size(), 400U);
  const auto first = read_all(TIDELINE_TEST_DATA "/rxe-20.pcap");
  for (std::size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(frames[i].bytes, first[i].bytes);
    EXPECT_EQ(frames[i].time, first[i].time);
  }
}

// A pcapng file in either byte order.
class PcapngImage {
 public:
  explicit PcapngImage(bool swapped) : swapped_(swapped) {}

  // 16-bit words lie in `body` in file order already; these append.
  template <typename T>
  PcapngImage& put(T value) {
    if (swapped_) value = std::byteswap(value);
    body_.append(reinterpret_cast<const char*>(&value), sizeof(value));
    return *this;
  }
  PcapngImage& text(std::string_view bytes) {
    body_.append(bytes);
    return *this;
  }
  // Ends a block.
  PcapngImage& block(std::uint32_t type) {
    body_.resize((body_.size() + 3) / 4 * 4);
    const std::string body = std::exchange(body_, {});
    const auto size = static_cast<std::uint32_t>(body.size() + 12);
    put(type).put(size).text(body).put(size);
    image += std::exchange(body_, {});
    return *this;
  }
  PcapngImage& section() {
    return put(0x1a2b3c4dU)
        .put(std::uint16_t{1})
        .put(std::uint16_t{0})
        .put(~0ULL)
        .block(0x0a0d0d0a);
  }
  // With a clock, and seconds to add to it.
  PcapngImage& interface(std::uint8_t resolution, std::uint64_t offset, std::uint16_t link = 1) {
    put(link).put(std::uint16_t{0}).put(0U);
    put(std::uint16_t{9}).put(std::uint16_t{1}).text({reinterpret_cast<char*>(&resolution), 1});
    body_.resize((body_.size() + 3) / 4 * 4);
    put(std::uint16_t{14}).put(std::uint16_t{8}).put(offset);
    return put(0U).block(1);
  }
  PcapngImage& frame(std::uint32_t on, std::uint64_t ticks, std::string_view bytes) {
    const auto size = static_cast<std::uint32_t>(bytes.size());
    put(on).put(static_cast<std::uint32_t>(ticks >> 32)).put(static_cast<std::uint32_t>(ticks));
    return put(size).put(size).text(bytes).block(6);
  }

  std::string image;

 private:
  bool swapped_;
  std::string body_;
};

TEST(Pcap, ReadsPcapngOfEveryClockAndByteOrder) {
  const TemporaryFile file;
  for (const bool swapped : {false, true}) {
    PcapngImage made(swapped);
    made.section().interface(6, 0).interface(9, 100).interface(0x80 | 20, 0).interface(12, 0);
    made.frame(0, 5'000'007, "microseconds").frame(1, 7, "nanoseconds, 100 s later");
    made.text("a block of another kind").block(0x0bad);
    made.frame(2, 3 << 19, "1.5 s in 2^-20").frame(3, 2'000'000'000'000, "picoseconds");
    made.put(6U).text("simple").block(3);
    made.section().interface(0, 0).frame(0, 9, "another section, seconds");
    std::ofstream(file.path(), std::ios::binary | std::ios::trunc) << made.image;
    const auto frames = read_all(file.path());
    ASSERT_EQ(frames.size(), 6U);
    const std::vector<std::int64_t> times{
        5'000'007'000, 100'000'000'007, 1'500'000'000, 2'000'000'000, 0, 9'000'000'000};
    for (std::size_t i = 0; i < times.size(); ++i) EXPECT_EQ(frames[i].time.count(), times[i]) << i;
    EXPECT_EQ(frames[4].bytes.size(), 6U);
  }
}

TEST(Pcap, RefusesPcapngThatMakesNoSense) {
  const TemporaryFile file;
  const auto refused = [&file](const PcapngImage& made) {
    std::ofstream(file.path(), std::ios::binary | std::ios::trunc) << made.image;
    auto reader = PcapReader::open(file.path());
    if (!reader) return true;
    for (;;) {
      const auto next = reader->next();
      if (!next) return true;
      if (!*next) return false;
    }
  };
  const auto begun = [] { return PcapngImage(false).section(); };
  EXPECT_FALSE(refused(begun().interface(6, 0).frame(0, 0, "good")));
  EXPECT_TRUE(refused(begun().interface(6, 0, 105))) << "no Ethernet";
  EXPECT_TRUE(refused(begun().interface(20, 0))) << "a clock finer than 64 bits";
  EXPECT_TRUE(refused(begun().interface(0x80 | 64, 0)));
  EXPECT_TRUE(refused(begun().interface(0, 0).frame(0, ~0ULL, "at the end of time")));
  EXPECT_TRUE(refused(begun().interface(0, ~0ULL >> 1).frame(0, 0, "offset")));
  EXPECT_TRUE(refused(begun().interface(6, ~0ULL).frame(0, 0, "before 1970")));
  EXPECT_TRUE(refused(begun().interface(6, 0).frame(1, 0, "of no interface")));
  EXPECT_TRUE(refused(begun().put(5U).text("12345").block(3))) << "of no interface";
  EXPECT_TRUE(refused(begun().interface(6, 0).put(9U).text("1234").block(3))) << "too long";
  EXPECT_TRUE(refused(begun().interface(6, 0).section().frame(0, 0, "of the section before")));
}

TEST(Pcap, WritesNoMoreThanTold) {
  const TemporaryFile file;
  auto writer = PcapWriter::create(file.path(), {}, 3);
  ASSERT_TRUE(writer.has_value());
  for (std::uint32_t i = 0; i < 5; ++i) (*writer)->write(Instant{}, testing::frame_bytes(60, i));
  EXPECT_EQ((*writer)->frames(), 3U);
  ASSERT_TRUE((*writer)->flush().has_value());
  EXPECT_EQ(read_all(file.path()).size(), 3U);
}

// Every prefix of a file, and many files with a byte changed: an error or frames, never a crash.
class DamagedPcap : public ::testing::TestWithParam<const char*> {};

TEST_P(DamagedPcap, IsSurvived) {
  std::ifstream in(std::string(TIDELINE_TEST_DATA) + GetParam(), std::ios::binary);
  std::string image((std::istreambuf_iterator<char>(in)), {});
  image.resize(700);
  int refused = 0;
  const auto read = [&](const std::string& damaged) {
    std::string bytes = damaged + '\0';  // an empty one cannot be opened
    auto reader =
        PcapReader::read(UniqueFile(::fmemopen(bytes.data(), bytes.size(), "rb")), "damaged");
    if (!reader) {
      ++refused;
      return;
    }
    for (;;) {
      const auto next = reader->next();
      if (!next) ++refused;
      if (!next || !*next) return;
      ASSERT_LE((*next)->bytes.size(), (*next)->wire_size);
    }
  };
  for (std::size_t size = 0; size < image.size(); ++size) read(image.substr(0, size));
  EXPECT_GT(refused, 600);
  refused = 0;
  Rng rng(3);
  for (int i = 0; i < 500; ++i) {
    std::string damaged = image;
    damaged[rng.below(damaged.size())] = static_cast<char>(rng());
    read(damaged);
  }
  EXPECT_GT(refused, 0);
}

INSTANTIATE_TEST_SUITE_P(Formats, DamagedPcap, ::testing::Values("/rxe-20.pcap", "/rxe-head.pcap"));

struct CapturedPair {
  CapturedPair(const std::string& path, SegmentFunction segment) {
    auto pair = MemoryPort::create_pair({});
    writer = std::move(*PcapWriter::create(path, {}));
    far = std::move(pair->right);
    near = std::make_unique<CapturePort>(std::move(pair->left), writer, segment);
  }
  std::unique_ptr<Pool> pool = testing::make_pool();
  std::shared_ptr<PcapWriter> writer;
  std::unique_ptr<Port> far;
  std::unique_ptr<CapturePort> near;
};

TEST(Capture, WritesWhatIsSentAndReceivedWithTheChecksumFilled) {
  const TemporaryFile file;
  CapturedPair ports(file.path(), nullptr);
  constexpr std::uint16_t kStart = 34;
  PacketPtr left_to_offload = testing::make_frame(*ports.pool, 300, 1);
  const Bytes original = testing::bytes_of(*left_to_offload);
  left_to_offload->meta().offload = {
      .checksum = packet::Checksum::kNeeded, .checksum_start = kStart, .checksum_offset = 6};
  Burst burst;
  burst.push(std::move(left_to_offload));
  EXPECT_EQ(ports.near->tx_burst(0, burst, Instant{Duration(7)}), 1U);
  burst.push(testing::make_frame(*ports.pool, 100, 2));
  ports.far->tx_burst(0, burst, Instant{});
  EXPECT_EQ(ports.near->rx_burst(0, burst, Instant{Duration(9)}), 1U);
  burst.clear();
  ASSERT_EQ(ports.far->rx_burst(0, burst, Instant{}), 1U);
  EXPECT_EQ(testing::bytes_of(*burst[0]), original) << "the frame itself is not touched";
  ASSERT_TRUE(ports.writer->flush().has_value());

  const auto frames = read_all(file.path());
  ASSERT_EQ(frames.size(), 2U);
  EXPECT_EQ(frames[0].time, Duration(7));
  EXPECT_EQ(frames[1].time, Duration(9));
  EXPECT_EQ(frames[1].bytes, testing::frame_bytes(100, 2));
  // The field held a partial sum; with it in place the sum was inverted once.
  Bytes expected = original;
  const std::uint16_t checksum = wire::checksum(std::span(original).subspan(kStart));
  expected[kStart + 6] = static_cast<std::byte>(checksum >> 8);
  expected[kStart + 7] = static_cast<std::byte>(checksum);
  EXPECT_EQ(frames[0].bytes, expected);
  EXPECT_EQ(ports.near->stats(0).passes.bytes(packet::Pass::kCopy), 134U);
  EXPECT_EQ(ports.near->stats(0).passes.bytes(packet::Pass::kCopyChecksum), 266U);
}

TEST(Capture, LeavesSegmentationToWhoCanDoIt) {
  const TemporaryFile file;
  CapturedPair ports(file.path(), [](std::span<std::byte> frame, const packet::Offload& offload,
                                     Instant at, PcapWriter& out, packet::PassCounter&) {
    for (std::size_t at_byte = 0; at_byte < frame.size(); at_byte += offload.gso_size) {
      const std::size_t rest = frame.size() - at_byte;
      out.write(at, frame.subspan(at_byte, std::min<std::size_t>(rest, offload.gso_size)));
    }
  });
  Burst burst;
  burst.push(testing::make_frame(*ports.pool, 5000, 1));
  burst[0]->meta().offload = {.checksum = packet::Checksum::kNeeded,
                              .gso = packet::Gso::kTcpV4,
                              .checksum_start = 34,
                              .checksum_offset = 16,
                              .gso_size = 1000,
                              .header_length = 54};
  EXPECT_EQ(ports.near->tx_burst(0, burst, Instant{}), 1U);
  ASSERT_TRUE(ports.writer->flush().has_value());
  EXPECT_EQ(read_all(file.path()).size(), 5U);
}

}  // namespace
}  // namespace tideline::port
