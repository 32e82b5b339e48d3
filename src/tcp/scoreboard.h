// SPDX-License-Identifier: Apache-2.0
// What is in flight: one range per frame sent, cut where the peer's acknowledgments cut, merged
// again where everything has arrived. Ranges stand in two orders: by sequence number, and those
// that may still be found lost by the time of their last transmission (RFC 8985 §6.2).
//
//   snd_una                                                              snd_nxt
//     |   lost   | lost, sent again |  sacked  | in flight | in flight |
//                  `-------------------- by time --'-----------'
//
// Thread: the worker's.
#pragma once

#include <cstdint>

#include "base/time.h"
#include "tcp/seq.h"
#include "tcp/slab.h"

namespace tideline::tcp {

// What delivery_rate.h keeps of a range: how the connection was when it was sent last.
struct SendState {
  std::uint64_t delivered = 0;
  std::uint64_t lost = 0;
  Instant delivered_time{};
  Instant first_send_time{};
  std::uint32_t tx_in_flight = 0;
  bool is_app_limited = false;
};

// [begin, end) in sequence numbers. Of what came out of order too (reassembly.h).
struct Range {
  Seq begin;
  Seq end;
  Range* next = nullptr;
  Range* prev = nullptr;
  Range* later = nullptr;
  Range* earlier = nullptr;
  Instant sent{};  // last
  bool sacked = false;
  bool lost = false;
  bool retransmitted = false;  // and not found lost since
  bool ever_retransmitted = false;
  bool by_time = false;
  std::uint16_t segment = 0;  // payload of each segment but the last, when sent last
  SendState at_sending;

  std::uint32_t size() const { return end - begin; }
};

using RangeSlab = Slab<Range>;

class Scoreboard {
 public:
  Range* first() const { return head_; }
  Range* last() const { return tail_; }
  Range* earliest() const { return earliest_; }
  bool empty() const { return head_ == nullptr; }

  std::uint32_t count() const { return count_; }
  // Bytes.
  std::uint32_t sacked() const { return sacked_; }
  std::uint32_t lost() const { return lost_; }  // sent again or not
  std::uint32_t retransmitted() const { return retransmitted_; }
  // What the network holds of `outstanding` bytes: RFC 6675 §4, pipe.
  std::uint32_t in_flight(std::uint32_t outstanding) const {
    return outstanding - sacked_ - lost_ + retransmitted_;
  }

  // New data, sent now. False if the slab is exhausted.
  bool append(RangeSlab& slab, Seq begin, Seq end, std::uint32_t segment, Instant now);
  // Cuts `range` in two at `at`, within it. False if the slab is exhausted.
  bool split(RangeSlab& slab, Range& range, Seq at);
  // Drops the range, or its part, that is before `una`. It is the first.
  void acknowledge_first(RangeSlab& slab, Seq una);
  void mark_sacked(Range& range);
  void mark_lost(Range& range);
  void mark_retransmitted(Range& range, std::uint32_t segment, Instant now);
  // The peer has dropped what it had acknowledged selectively (RFC 2018 §8), or never had it.
  void forget_sacked();
  void unmark_lost();
  // Joins `range`, sacked, with sacked neighbours; returns the one that remains.
  Range& merge_sacked(RangeSlab& slab, Range& range);
  void clear(RangeSlab& slab);

 private:
  void unlink(Range& range);
  void link_latest(Range& range);
  void unlink_by_time(Range& range);

  Range* head_ = nullptr;
  Range* tail_ = nullptr;
  Range* earliest_ = nullptr;
  Range* latest_ = nullptr;
  std::uint32_t count_ = 0;
  std::uint32_t sacked_ = 0;
  std::uint32_t lost_ = 0;
  std::uint32_t retransmitted_ = 0;
};

}  // namespace tideline::tcp
