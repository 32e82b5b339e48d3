// SPDX-License-Identifier: Apache-2.0
// The impaired link in virtual time: its notation, and its statistics over many frames. Bounds are
// five standard deviations, so that a right implementation fails once in a million seeds; the seed
// is fixed.
#include "port/impairment.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "port/memory.h"
#include "port/port_test_util.h"

namespace tideline::port {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

TEST(ImpairmentSpec, ReadsTheNotation) {
  const auto spec = ImpairmentSpec::parse(
      "loss=1%,delay=25ms,jitter=2ms,reorder=0.5%,late=5%,lateness=10ms,dup=0.1%,corrupt=0.01%,"
      "rate=1Gbit,queue=50ms,police=100Mbit,burst=64kB,mtu=1400");
  ASSERT_TRUE(spec.has_value()) << spec.error().message();
  EXPECT_DOUBLE_EQ(spec->loss, 0.01);
  EXPECT_DOUBLE_EQ(spec->reorder, 0.005);
  EXPECT_DOUBLE_EQ(spec->dup, 0.001);
  EXPECT_DOUBLE_EQ(spec->corrupt, 0.0001);
  EXPECT_EQ(spec->delay, milliseconds(25));
  EXPECT_EQ(spec->jitter, milliseconds(2));
  EXPECT_EQ(spec->rate_bits, 1'000'000'000U);
  EXPECT_DOUBLE_EQ(spec->late, 0.05);
  EXPECT_EQ(spec->lateness, milliseconds(10));
  EXPECT_EQ(spec->queue, milliseconds(50));
  EXPECT_EQ(spec->police_bits, 100'000'000U);
  EXPECT_EQ(spec->burst_bytes, 64'000U);
  EXPECT_EQ(spec->mtu, 1400U);
  EXPECT_EQ(ImpairmentSpec::parse("").value(), ImpairmentSpec());
  EXPECT_EQ(ImpairmentSpec::parse("delay=1.5us").value().delay, nanoseconds(1500));
  EXPECT_EQ(ImpairmentSpec::parse("rate=64kbit").value().rate_bits, 64'000U);
}

TEST(ImpairmentSpec, RefusesWhatItCannotRead) {
  for (const char* text : {"loss",
                           "loss=",
                           "loss=1",
                           "loss=-1%",
                           "loss=101%",
                           "loss=nan%",
                           "delay=25",
                           "delay=25m",
                           "delay=1e9s",
                           "rate=0bit",
                           "rate=1GB",
                           "speed=1Gbit",
                           ",",
                           "loss=1%,,dup=1%",
                           "jitter=1ms",
                           "delay=1ms,jitter=2ms",
                           "reorder=1%",
                           "delay=99999999h",
                           "loss=1%%",
                           "late=1%",
                           "lateness=1ms",
                           "late=1%,lateness=0ms",
                           "queue=1ms",
                           "police=1Mbit",
                           "burst=1kB",
                           "police=1Mbit,burst=1kbit",
                           "police=0bit,burst=1kB",
                           "police=1Mbit,burst=2e9B",
                           "mtu=67",
                           "mtu=65536",
                           "mtu=1400B",
                           "mtu="}) {
    const auto spec = ImpairmentSpec::parse(text);
    EXPECT_FALSE(spec.has_value()) << text;
    if (!spec) {
      EXPECT_EQ(spec.error().kind, ErrorKind::kUsage);
    }
  }
}

constexpr std::uint64_t kSeed = 42;

struct Arrival {
  std::uint32_t sequence;
  Instant at;
  bool intact;
};

// Sends `count` frames of `size` bytes, one every `gap`, and advances time in steps of 1 us.
class Link {
 public:
  explicit Link(std::string_view spec, std::size_t max_held = ImpairedPort::kDefaultHeld) {
    auto pair = MemoryPort::create_pair({.capacity = 4096});
    EXPECT_TRUE(pair.has_value());
    far_ = std::move(pair->right);
    auto parsed = ImpairmentSpec::parse(spec);
    EXPECT_TRUE(parsed.has_value());
    near_ = std::make_unique<ImpairedPort>(std::move(pair->left), *parsed, kSeed,
                                           QueuePools{pool_.get()}, max_held);
  }

  std::vector<Arrival> run(std::uint32_t count, std::size_t size, Duration gap) {
    std::vector<Arrival> arrivals;
    Instant now{};
    Instant next_send = now;
    std::uint32_t sent = 0;
    Burst burst;
    while (sent < count || near_->next_deadline(0) != kNever) {
      if (sent < count && now >= next_send) {
        burst.push(testing::make_frame(*pool_, size, sent++));
        near_->tx_burst(0, burst, now);
        next_send += gap;
      } else {
        near_->rx_burst(0, burst, now);
      }
      while (far_->rx_burst(0, burst, now) > 0) {
        for (const PacketPtr& frame : burst) {
          const auto bytes = testing::bytes_of(*frame);
          const std::uint32_t sequence = testing::sequence_of(bytes);
          arrivals.push_back({.sequence = sequence,
                              .at = now,
                              .intact = bytes == testing::frame_bytes(size, sequence)});
        }
        burst.clear();
      }
      const Instant next =
          sent < count ? std::min(next_send, near_->next_deadline(0)) : near_->next_deadline(0);
      if (next != kNever) now = std::max(now, next);
    }
    return arrivals;
  }

  QueueStats stats() { return near_->stats(0); }
  const Capabilities& capabilities() const { return near_->capabilities(); }
  Pool& pool() { return *pool_; }
  Port& near() { return *near_; }

 private:
  std::unique_ptr<Pool> pool_ = testing::make_pool(16'384);
  std::unique_ptr<Port> near_;
  std::unique_ptr<Port> far_;
};

void expect_rate(double observed, double probability, double trials) {
  const double deviation = std::sqrt(probability * (1 - probability) * trials);
  EXPECT_NEAR(observed, probability * trials, 5 * deviation);
}

TEST(Impairment, WithoutASpecNothingChanges) {
  Link link("");
  const auto arrivals = link.run(1000, 100, microseconds(1));
  ASSERT_EQ(arrivals.size(), 1000U);
  for (std::uint32_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(arrivals[i].sequence, i);
    EXPECT_TRUE(arrivals[i].intact);
    EXPECT_EQ(arrivals[i].at, Instant(microseconds(i)));
  }
  EXPECT_EQ(link.stats().dropped(), 0U);
}

// An MTU is of packets: without the header of a frame.
TEST(Impairment, SwallowsWhatIsTooLong) {
  Link link("mtu=1400");
  EXPECT_EQ(link.run(10, 1414, microseconds(1)).size(), 10U);
  EXPECT_EQ(link.stats().dropped(), 0U);
  EXPECT_EQ(link.run(10, 1415, microseconds(1)).size(), 0U);
  EXPECT_EQ(link.stats().dropped(Drop::kImpairMtu), 10U);
}

TEST(Impairment, LosesTheShareAskedForAndCountsIt) {
  Link link("loss=2%");
  constexpr std::uint32_t kFrames = 50'000;
  const auto arrivals = link.run(kFrames, 100, microseconds(1));
  expect_rate(static_cast<double>(kFrames - arrivals.size()), 0.02, kFrames);
  EXPECT_EQ(link.stats().dropped(Drop::kImpairLoss), kFrames - arrivals.size());
  EXPECT_EQ(link.stats().tx_frames, arrivals.size());
}

TEST(Impairment, DelaysWithJitterInOrder) {
  Link link("delay=10ms,jitter=2ms");
  constexpr std::uint32_t kFrames = 2'000;
  const auto arrivals = link.run(kFrames, 100, milliseconds(5));
  ASSERT_EQ(arrivals.size(), kFrames);
  double sum = 0;
  Duration least = milliseconds(99);
  Duration most{};
  for (std::uint32_t i = 0; i < kFrames; ++i) {
    EXPECT_EQ(arrivals[i].sequence, i);
    const Duration delay = arrivals[i].at - Instant(i * milliseconds(5));
    sum += static_cast<double>(delay.count());
    least = std::min(least, delay);
    most = std::max(most, delay);
  }
  EXPECT_GE(least, milliseconds(8));
  EXPECT_LE(most, milliseconds(12));
  EXPECT_LT(least, milliseconds(9));
  EXPECT_GT(most, milliseconds(11));
  // Uniform over 4 ms: the deviation of the mean is 4 ms / sqrt(12 n).
  EXPECT_NEAR(sum / kFrames, 10e6, 5 * 4e6 / std::sqrt(12.0 * kFrames));
}

TEST(Impairment, ReorderedFramesOvertakeThoseThatWait) {
  Link link("delay=1ms,reorder=5%");
  constexpr std::uint32_t kFrames = 20'000;
  const auto arrivals = link.run(kFrames, 100, microseconds(10));
  ASSERT_EQ(arrivals.size(), kFrames);
  std::uint32_t early = 0;
  for (const Arrival& arrival : arrivals) {
    const Duration delay = arrival.at - Instant(arrival.sequence * microseconds(10));
    if (delay < milliseconds(1)) {
      EXPECT_EQ(delay, Duration::zero());
      ++early;
    }
  }
  expect_rate(early, 0.05, kFrames);
  EXPECT_FALSE(std::ranges::is_sorted(arrivals, {}, &Arrival::sequence));
}

TEST(Impairment, LateFramesAreOvertaken) {
  Link link("delay=1ms,late=5%,lateness=2ms");
  constexpr std::uint32_t kFrames = 20'000;
  const auto arrivals = link.run(kFrames, 100, microseconds(10));
  ASSERT_EQ(arrivals.size(), kFrames);
  std::uint32_t late = 0;
  double sum = 0;
  for (const Arrival& arrival : arrivals) {
    const Duration delay = arrival.at - Instant(arrival.sequence * microseconds(10));
    EXPECT_LE(delay, milliseconds(3));
    EXPECT_GE(delay, milliseconds(1));
    if (delay == milliseconds(1)) continue;
    ++late;
    sum += static_cast<double>((delay - milliseconds(1)).count());
  }
  expect_rate(late, 0.05, kFrames);
  EXPECT_NEAR(sum / late, 1e6, 5 * 2e6 / std::sqrt(12.0 * late));
  // The others stay in their order.
  std::uint32_t last = 0;
  for (const Arrival& arrival : arrivals) {
    if (arrival.at - Instant(arrival.sequence * microseconds(10)) != milliseconds(1)) continue;
    EXPECT_GE(arrival.sequence, last);
    last = arrival.sequence;
  }
}

TEST(Impairment, DuplicatesAreCopies) {
  Link link("dup=3%");
  constexpr std::uint32_t kFrames = 20'000;
  const auto arrivals = link.run(kFrames, 300, microseconds(1));
  std::set<std::uint32_t> distinct;
  for (const Arrival& arrival : arrivals) {
    EXPECT_TRUE(arrival.intact);
    distinct.insert(arrival.sequence);
  }
  EXPECT_EQ(distinct.size(), kFrames);
  expect_rate(static_cast<double>(arrivals.size() - kFrames), 0.03, kFrames);
  EXPECT_EQ(link.stats().passes.bytes(packet::Pass::kCopy), 300 * (arrivals.size() - kFrames));
}

TEST(Impairment, CorruptsOneBit) {
  Link link("corrupt=4%");
  EXPECT_FALSE(link.capabilities().tx_checksum) << "a checksum made later would hide it";
  EXPECT_FALSE(link.capabilities().scatter_gather);
  constexpr std::uint32_t kFrames = 20'000;
  const auto arrivals = link.run(kFrames, 200, microseconds(1));
  ASSERT_EQ(arrivals.size(), kFrames);
  // A flip in the sequence number changes what is expected of the frame, so both count.
  const auto spoiled = std::ranges::count_if(arrivals, [](const Arrival& a) { return !a.intact; });
  expect_rate(static_cast<double>(spoiled), 0.04, kFrames);
}

TEST(Impairment, SendsAtTheRateAskedFor) {
  // 1250 bytes at 100 Mb/s take 100 us; twice as many are offered, and the link holds 64.
  Link link("rate=100Mbit", 64);
  constexpr std::uint32_t kFrames = 2'000;
  const auto arrivals = link.run(kFrames, 1250, microseconds(50));
  for (std::size_t i = 1; i < arrivals.size(); ++i) {
    EXPECT_EQ(arrivals[i].at - arrivals[i - 1].at, microseconds(100));
  }
  EXPECT_EQ(arrivals.size() + link.stats().dropped(Drop::kImpairFull), kFrames);
  EXPECT_NEAR(static_cast<double>(arrivals.size()), kFrames / 2.0 + 64, 2);
}

TEST(Impairment, TheQueueIsAsLongAsAskedFor) {
  // Twice as much as the link takes, 100 us each: what would wait for more than 1 ms is dropped.
  Link link("rate=100Mbit,queue=1ms");
  constexpr std::uint32_t kFrames = 2'000;
  const auto arrivals = link.run(kFrames, 1250, microseconds(50));
  EXPECT_EQ(arrivals.size() + link.stats().dropped(Drop::kImpairFull), kFrames);
  EXPECT_NEAR(static_cast<double>(arrivals.size()), kFrames / 2.0 + 10, 2);
  Duration most{};
  for (const Arrival& arrival : arrivals) {
    most = std::max(most, arrival.at - Instant(arrival.sequence * microseconds(50)));
  }
  EXPECT_EQ(most, milliseconds(1) + microseconds(100)) << "the longest wait, and the frame itself";
}

TEST(Impairment, PolicesWithoutDelay) {
  // 1250 bytes at 100 Mb/s take 100 us. A burst of ten, and then every other frame of two.
  Link link("police=100Mbit,burst=12500B");
  constexpr std::uint32_t kFrames = 2'000;
  const auto arrivals = link.run(kFrames, 1250, microseconds(50));
  EXPECT_EQ(arrivals.size() + link.stats().dropped(Drop::kImpairPolice), kFrames);
  EXPECT_NEAR(static_cast<double>(arrivals.size()), kFrames / 2.0 + 9, 1);
  for (const Arrival& arrival : arrivals) {
    EXPECT_EQ(arrival.at, Instant(arrival.sequence * microseconds(50)));
  }
}

TEST(Impairment, WhatConformsPassesThePolicer) {
  Link link("police=100Mbit,burst=1250B");
  EXPECT_EQ(link.run(1'000, 1250, microseconds(100)).size(), 1'000U);
  EXPECT_EQ(link.stats().dropped(), 0U);
  EXPECT_EQ(Link("police=100Mbit,burst=1249B").run(10, 1250, milliseconds(100)).size(), 0U)
      << "a frame that is larger than the burst";
}

TEST(Impairment, TheSameSeedFaresTheSame) {
  constexpr std::string_view kSpec =
      "loss=5%,delay=1ms,jitter=300us,reorder=5%,late=5%,lateness=2ms,dup=5%,corrupt=5%,rate=1Gbit,"
      "queue=2ms,police=700Mbit,burst=20kB";
  Link first(kSpec);
  Link second(kSpec);
  const auto a = first.run(3'000, 500, microseconds(5));
  const auto b = second.run(3'000, 500, microseconds(5));
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].sequence, b[i].sequence);
    EXPECT_EQ(a[i].at, b[i].at);
    EXPECT_EQ(a[i].intact, b[i].intact);
  }
}

TEST(Impairment, HidesSegmentationOffloads) {
  Link link("loss=1%");
  EXPECT_TRUE(link.capabilities().tx_checksum);
  EXPECT_TRUE(link.capabilities().scatter_gather);
  EXPECT_FALSE(link.capabilities().tso4);
  EXPECT_FALSE(link.capabilities().uso);
}

TEST(Impairment, BorrowedMemoryIsCorruptedInACopy) {
  // Without corruption the port would take chains; the loan must stay as it is, and come back.
  Link link("corrupt=100%");
  std::vector<std::byte> memory = testing::frame_bytes(500, 1);
  const std::vector<std::byte> before = memory;
  int released = 0;
  Burst burst;
  burst.push(link.pool().lend(
      {.memory = memory,
       .release = [](void* context, std::span<const std::byte>) { ++*static_cast<int*>(context); },
       .context = &released}));
  EXPECT_EQ(link.near().tx_burst(0, burst, Instant{}), 1U);
  EXPECT_EQ(memory, before);
  EXPECT_EQ(released, 1);
}

}  // namespace
}  // namespace tideline::port
