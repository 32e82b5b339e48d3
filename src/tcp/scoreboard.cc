// SPDX-License-Identifier: Apache-2.0
#include "tcp/scoreboard.h"

namespace tideline::tcp {

bool Scoreboard::append(RangeSlab& slab, Seq begin, Seq end, std::uint32_t segment, Instant now) {
  Range* range = slab.take();
  if (range == nullptr) return false;
  range->begin = begin;
  range->end = end;
  range->segment = static_cast<std::uint16_t>(segment);
  range->sent = now;
  range->prev = tail_;
  (tail_ == nullptr ? head_ : tail_->next) = range;
  tail_ = range;
  ++count_;
  link_latest(*range);
  return true;
}

bool Scoreboard::split(RangeSlab& slab, Range& range, Seq at) {
  Range* second = slab.take();
  if (second == nullptr) return false;
  ++count_;
  *second = range;
  second->begin = at;
  range.end = at;
  second->prev = &range;
  (range.next == nullptr ? tail_ : range.next->prev) = second;
  range.next = second;
  if (range.by_time) {
    second->earlier = &range;
    (range.later == nullptr ? latest_ : range.later->earlier) = second;
    range.later = second;
  }
  return true;
}

void Scoreboard::acknowledge_first(RangeSlab& slab, Seq una) {
  Range& range = *head_;
  const std::uint32_t acked = min(una, range.end) - range.begin;
  if (range.sacked) sacked_ -= acked;
  if (range.lost) lost_ -= acked;
  if (range.retransmitted) retransmitted_ -= acked;
  range.begin += acked;
  if (range.begin != range.end) return;
  unlink_by_time(range);
  unlink(range);
  slab.give(&range);
}

void Scoreboard::mark_sacked(Range& range) {
  if (range.lost) lost_ -= range.size();
  if (range.retransmitted) retransmitted_ -= range.size();
  range.lost = range.retransmitted = false;
  range.sacked = true;
  sacked_ += range.size();
  unlink_by_time(range);
}

void Scoreboard::mark_lost(Range& range) {
  if (!range.lost) lost_ += range.size();
  if (range.retransmitted) retransmitted_ -= range.size();
  range.lost = true;
  range.retransmitted = false;
  unlink_by_time(range);
}

void Scoreboard::mark_retransmitted(Range& range, std::uint32_t segment, Instant now) {
  if (!range.retransmitted) retransmitted_ += range.size();
  range.retransmitted = range.ever_retransmitted = true;
  range.segment = static_cast<std::uint16_t>(segment);
  range.sent = now;
  unlink_by_time(range);
  link_latest(range);
}

void Scoreboard::forget_sacked() {
  for (Range* range = head_; range != nullptr; range = range->next) {
    if (!range->sacked) continue;
    range->sacked = false;
    sacked_ -= range->size();
    link_latest(*range);
  }
}

void Scoreboard::unmark_lost() {
  for (Range* range = head_; range != nullptr; range = range->next) {
    if (!range->lost) continue;
    range->lost = false;
    lost_ -= range->size();
    if (!range->by_time) link_latest(*range);
  }
}

Range& Scoreboard::merge_sacked(RangeSlab& slab, Range& range) {
  Range* merged = &range;
  if (Range* before = range.prev; before != nullptr && before->sacked) {
    before->end = range.end;
    unlink(range);
    slab.give(&range);
    merged = before;
  }
  if (Range* after = merged->next; after != nullptr && after->sacked) {
    merged->end = after->end;
    unlink(*after);
    slab.give(after);
  }
  return *merged;
}

void Scoreboard::clear(RangeSlab& slab) {
  while (head_ != nullptr) {
    Range* range = head_;
    head_ = range->next;
    slab.give(range);
  }
  *this = {};
}

void Scoreboard::unlink(Range& range) {
  --count_;
  (range.prev == nullptr ? head_ : range.prev->next) = range.next;
  (range.next == nullptr ? tail_ : range.next->prev) = range.prev;
}

void Scoreboard::link_latest(Range& range) {
  range.by_time = true;
  range.earlier = latest_;
  range.later = nullptr;
  (latest_ == nullptr ? earliest_ : latest_->later) = &range;
  latest_ = &range;
}

void Scoreboard::unlink_by_time(Range& range) {
  if (!range.by_time) return;
  (range.earlier == nullptr ? earliest_ : range.earlier->later) = range.later;
  (range.later == nullptr ? latest_ : range.later->earlier) = range.earlier;
  range.earlier = range.later = nullptr;
  range.by_time = false;
}

}  // namespace tideline::tcp
