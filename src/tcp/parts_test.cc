// SPDX-License-Identifier: Apache-2.0
// The data structures of the room, each against a naive model.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

#include "base/random.h"
#include "tcp/byte_fifo.h"
#include "tcp/congestion.h"
#include "tcp/reassembly.h"
#include "tcp/scoreboard.h"
#include "tcp/tcb.h"
#include "tcp/timer_wheel.h"

namespace tideline::tcp {
namespace {

struct Node : TimerNode {
  std::size_t number = 0;
};

TEST(TimerWheel, FiresAllInTimeAndNoneEarly) {
  constexpr Duration kTick{1 << 16};
  Rng rng(4);
  TimerWheel wheel;
  std::vector<Node> nodes(500);
  std::map<std::size_t, Instant> due;
  Instant now{std::chrono::hours(5)};
  wheel.run(now, [](TimerNode&) { FAIL(); });
  for (std::size_t i = 0; i < nodes.size(); ++i) nodes[i].number = i;
  for (int step = 0; step < 20'000; ++step) {
    const std::size_t i = rng.below(nodes.size());
    switch (rng.below(4)) {
      case 0:
        wheel.cancel(nodes[i]);
        due.erase(i);
        break;
      case 1:
      case 2: {
        // From microseconds to weeks.
        const Instant when = now + Duration(1LL << rng.below(50));
        wheel.schedule(nodes[i], when);
        due[i] = when;
        break;
      }
      default: {
        now += Duration(1LL << rng.below(40));
        wheel.run(now, [&](TimerNode& node) {
          const auto found = due.find(static_cast<Node&>(node).number);
          ASSERT_NE(found, due.end()) << "fired without being scheduled";
          EXPECT_LE(found->second, now) << "early";
          due.erase(found);
        });
        for (const auto& [number, when] : due) EXPECT_GT(when + 2 * kTick, now) << "late";
      }
    }
    Instant first = kNever;
    for (const auto& [number, when] : due) first = std::min(first, when);
    if (due.empty()) {
      EXPECT_EQ(wheel.next_deadline(), kNever);
    } else {
      EXPECT_LE(wheel.next_deadline(), std::max(first, now) + 2 * kTick);
    }
  }
}

// Against a set of the numbers themselves.
TEST(Reassembly, IsASetOfNumbers) {
  Rng rng(8);
  RangeSlab slab(1024);
  for (int round = 0; round < 200; ++round) {
    Reassembly reassembly;
    std::set<std::uint32_t> model;
    Seq nxt(0xfffffff0);  // wraps
    const Seq origin = nxt;
    for (int step = 0; step < 60; ++step) {
      const Seq begin = nxt + static_cast<std::uint32_t>(1 + rng.below(60));
      const Seq end = begin + static_cast<std::uint32_t>(1 + rng.below(20));
      bool known = false;
      for (Seq seq = begin; seq != end; seq += 1) known |= model.contains(seq - origin);
      wire::SackBlock duplicate;
      ASSERT_TRUE(reassembly.add(slab, 1000, begin, end, duplicate));
      EXPECT_EQ(duplicate.left != duplicate.right, known);
      for (Seq seq = Seq(duplicate.left); seq != Seq(duplicate.right); seq += 1) {
        EXPECT_TRUE(model.contains(seq - origin));
      }
      for (Seq seq = begin; seq != end; seq += 1) model.insert(seq - origin);
      std::array<wire::SackBlock, wire::kMaxSackBlocks> blocks;
      const std::uint8_t count = reassembly.blocks(blocks, 0, 4);
      ASSERT_GE(count, 1);
      EXPECT_LE(Seq(blocks[0].left), begin);
      EXPECT_GE(Seq(blocks[0].right), end);
      for (std::uint8_t i = 0; i < count; ++i) {
        for (Seq seq(blocks[i].left); seq != Seq(blocks[i].right); seq += 1) {
          EXPECT_TRUE(model.contains(seq - origin));
        }
        EXPECT_FALSE(model.contains(Seq(blocks[i].right) - origin)) << "not the whole range";
      }
      if (rng.below(4) == 0) {
        nxt = reassembly.advance(slab, nxt + static_cast<std::uint32_t>(rng.below(10)));
        EXPECT_FALSE(model.contains(nxt - origin));
        std::erase_if(model, [&](std::uint32_t at) { return origin + at < nxt; });
        EXPECT_EQ(reassembly.empty(), model.empty());
      }
    }
    reassembly.clear(slab);
    EXPECT_EQ(slab.size(), 0U);
  }
}

// NOLINTNEXTLINE(readability-function-cognitive-complexity): a model's steps, one after another
TEST(Scoreboard, CountsWhatItsRangesSay) {
  Rng rng(3);
  RangeSlab slab(4096);
  for (int round = 0; round < 100; ++round) {
    Scoreboard board;
    Instant now{};
    Seq una(0xffffff00);
    Seq nxt = una;
    for (int step = 0; step < 200; ++step) {
      now += Duration(1);
      std::vector<Range*> ranges;
      for (Range* range = board.first(); range != nullptr; range = range->next) {
        ranges.push_back(range);
      }
      Range* any = ranges.empty() ? nullptr : ranges[rng.below(ranges.size())];
      switch (rng.below(6)) {
        case 0:
        case 1: {
          const Seq end = nxt + static_cast<std::uint32_t>(1 + rng.below(100));
          ASSERT_TRUE(board.append(slab, nxt, end, 1000, now));
          nxt = end;
          break;
        }
        case 2:
          if (any != nullptr && any->size() > 1) {
            ASSERT_TRUE(board.split(
                slab, *any,
                any->begin + 1 + static_cast<std::uint32_t>(rng.below(any->size() - 1))));
          }
          break;
        case 3:
          if (any != nullptr && !any->sacked) {
            board.mark_sacked(*any);
            board.merge_sacked(slab, *any);
          }
          break;
        case 4:
          if (any != nullptr && !any->sacked) {
            board.mark_lost(*any);
            if (rng.below(2) == 0) board.mark_retransmitted(*any, 1000, now);
          }
          break;
        default:
          una += static_cast<std::uint32_t>(rng.below(nxt - una + 1));
          while (!board.empty() && board.first()->begin < una) board.acknowledge_first(slab, una);
      }
      std::uint32_t sacked = 0;
      std::uint32_t lost = 0;
      std::uint32_t again = 0;
      std::uint32_t count = 0;
      Seq at = una;
      for (Range* range = board.first(); range != nullptr; range = range->next) {
        ASSERT_EQ(range->begin, at) << "ranges do not join";
        at = range->end;
        sacked += range->sacked ? range->size() : 0;
        lost += range->lost ? range->size() : 0;
        again += range->retransmitted ? range->size() : 0;
        ++count;
        ASSERT_EQ(range->by_time, !range->sacked && (!range->lost || range->retransmitted));
      }
      ASSERT_EQ(at, nxt);
      ASSERT_EQ(board.sacked(), sacked);
      ASSERT_EQ(board.lost(), lost);
      ASSERT_EQ(board.retransmitted(), again);
      ASSERT_EQ(board.count(), count);
      Instant before{};
      for (Range* range = board.earliest(); range != nullptr; range = range->later) {
        ASSERT_GE(range->sent, before);
        before = range->sent;
      }
    }
    board.clear(slab);
    EXPECT_EQ(slab.size(), 0U);
  }
}

TEST(ByteFifo, CarriesBytesAroundItsEnd) {
  std::array<std::byte, 64> memory{};
  FifoIndices indices;
  ByteFifo fifo(memory, indices);
  Rng rng(2);
  std::uint8_t next_in = 0;
  std::uint8_t next_out = 0;
  for (int step = 0; step < 5000; ++step) {
    std::array<std::byte, 40> bytes{};
    const std::size_t wanted = rng.below(bytes.size());
    for (std::size_t i = 0; i < wanted; ++i) bytes[i] = static_cast<std::byte>(next_in + i);
    const std::size_t room = fifo.writable();
    const std::size_t put = fifo.write(std::span(bytes).first(wanted));
    ASSERT_EQ(put, std::min(wanted, room));
    next_in = static_cast<std::uint8_t>(next_in + put);
    const std::size_t got = fifo.read(std::span(bytes).first(rng.below(bytes.size())));
    for (std::size_t i = 0; i < got; ++i) ASSERT_EQ(bytes[i], static_cast<std::byte>(next_out++));
  }
}

TEST(ByteFifo, ImpossibleIndicesStayWithinItsMemory) {
  std::array<std::byte, 64> memory{};
  FifoIndices indices;
  ByteFifo fifo(memory, indices);
  indices.written = 1'000'000;
  EXPECT_EQ(fifo.readable(), 64U);
  indices.written = 0;
  indices.consumed = 77;
  EXPECT_LE(fifo.writable(), 64U);
}

// RFC 9438 §4.2: after a reduction at time 0, the window passes w_max when K is over.
TEST(Cubic, ReachesItsPlateauAfterK) {
  constexpr std::uint32_t kMss = 1000;
  const CongestionControl& cubic = congestion_control(CongestionAlgorithm::kCubic);
  CongestionState state;
  cubic.start(state);
  state.cwnd = 100 * kMss;
  state.ssthresh = cubic.reduce(state, 100 * kMss, kMss);
  EXPECT_EQ(state.ssthresh, 70 * kMss);
  state.cwnd = state.ssthresh;
  // K = cbrt(100 * 0.3 / 0.4) = 4.2 s; a round trip of 100 ms.
  Instant now{};
  const auto round = [&] {
    for (std::uint32_t left = state.cwnd / kMss; left > 0; --left) {
      cubic.acked(state, {.now = now,
                          .acked = kMss,
                          .mss = kMss,
                          .rtt = std::chrono::milliseconds(100),
                          .srtt = std::chrono::milliseconds(100),
                          .min_rtt = std::chrono::milliseconds(100)});
    }
    now += std::chrono::milliseconds(100);
  };
  while (now < Instant(std::chrono::milliseconds(4200))) round();
  EXPECT_NEAR(static_cast<double>(state.cwnd) / kMss, 100, 2);
  const std::uint32_t plateau = state.cwnd;
  while (now < Instant(std::chrono::milliseconds(8400))) round();
  EXPECT_NEAR(static_cast<double>(state.cwnd - plateau) / kMss, 30, 5)
      << "convex as it was concave";
}

// A connection in congestion avoidance, in rounds of 100 ms.
struct CubicFlow {
  static constexpr std::uint32_t kMss = 1000;
  static constexpr Duration kRound = std::chrono::milliseconds(100);

  explicit CubicFlow(std::uint32_t window) {
    cubic.start(state);
    state.cwnd = window * kMss;
    reduce();
  }
  void reduce() { state.cwnd = state.ssthresh = cubic.reduce(state, state.cwnd, kMss); }
  double window() const { return static_cast<double>(state.cwnd) / kMss; }
  void round() {
    for (std::uint32_t left = state.cwnd / kMss; left > 0; --left) {
      cubic.acked(state, {.now = now,
                          .acked = kMss,
                          .mss = kMss,
                          .rtt = kRound,
                          .srtt = kRound,
                          .min_rtt = kRound});
    }
    now += kRound;
  }
  void run_for(Duration time) {
    for (const Instant end = now + time; now < end;) round();
  }

  const CongestionControl& cubic = congestion_control(CongestionAlgorithm::kCubic);
  CongestionState state;
  Instant now{};
};

// RFC 9438 §4.2: no more than half of the window in a round trip, wherever the curve is by then.
TEST(Cubic, TargetIsOneAndAHalfWindowsAtMost) {
  CubicFlow flow(100);
  flow.round();
  flow.now += std::chrono::minutes(1);
  const double before = flow.window();
  flow.round();
  EXPECT_NEAR(flow.window(), 1.5 * before, 1);
}

// §4.2: the time in which nothing was sent is not that of the curve.
TEST(Cubic, IdleTimeDoesNotCount) {
  CubicFlow flow(100);
  flow.run_for(std::chrono::milliseconds(2100));
  flow.now += std::chrono::minutes(1);
  flow.cubic.resume(flow.state, std::chrono::minutes(1));
  flow.run_for(std::chrono::milliseconds(2100));
  EXPECT_NEAR(flow.window(), 100, 2) << "at its plateau, as if there had been no pause";
}

// §4.7: who is reduced below its last plateau leaves room for others. Here the next one is at 85 %
// of 800, after cbrt((680 - 560) / 0.4) = 6.7 s.
TEST(Cubic, ConvergesFastBelowItsLastPlateau) {
  CubicFlow flow(1000);
  flow.state.cwnd = 800 * CubicFlow::kMss;
  flow.reduce();
  EXPECT_NEAR(flow.window(), 560, 0.1);
  flow.run_for(std::chrono::milliseconds(6700));
  EXPECT_NEAR(flow.window(), 680, 2);
}

TEST(Tcb, AnIdleConnectionIsSmall) { EXPECT_LE(sizeof(Tcb), 1024U); }

}  // namespace
}  // namespace tideline::tcp
