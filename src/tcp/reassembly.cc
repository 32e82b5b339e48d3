// SPDX-License-Identifier: Apache-2.0
#include "tcp/reassembly.h"

#include <algorithm>

namespace tideline::tcp {

bool Reassembly::add(RangeSlab& slab, std::uint32_t most, Seq begin, Seq end,
                     wire::SackBlock& duplicate) {
  // The last range that begins at or before us; most segments belong at the end.
  Range* before = tail_;
  while (before != nullptr && begin < before->begin) before = before->prev;
  const auto note = [&](Seq left, Seq right) {
    if (duplicate.left == duplicate.right) duplicate = {left.value(), right.value()};
  };
  if (before != nullptr && begin < before->end) note(begin, min(end, before->end));
  Range* grown = nullptr;
  if (before != nullptr && begin <= before->end) {
    grown = before;
    grown->end = max(grown->end, end);
  } else {
    if (count_ >= most) return false;
    grown = slab.take();
    if (grown == nullptr) return false;
    ++count_;
    grown->begin = begin;
    grown->end = end;
    grown->prev = before;
    grown->next = before == nullptr ? head_ : before->next;
    (grown->next == nullptr ? tail_ : grown->next->prev) = grown;
    (before == nullptr ? head_ : before->next) = grown;
  }
  while (grown->next != nullptr && grown->next->begin <= grown->end) {
    Range& next = *grown->next;
    if (next.begin < end) note(max(next.begin, begin), min(next.end, end));
    grown->end = max(grown->end, next.end);
    unlink(slab, next);
  }
  remember(begin);
  return true;
}

Seq Reassembly::advance(RangeSlab& slab, Seq nxt) {
  while (head_ != nullptr && head_->begin <= nxt) {
    nxt = max(nxt, head_->end);
    unlink(slab, *head_);
  }
  if (head_ == nullptr) recent_count_ = 0;
  return nxt;
}

std::uint8_t Reassembly::blocks(std::array<wire::SackBlock, wire::kMaxSackBlocks>& out,
                                std::size_t first, std::size_t most) const {
  std::size_t count = first;
  const auto add = [&](const Range* range) {
    if (range == nullptr || count >= most) return;
    const wire::SackBlock block{range->begin.value(), range->end.value()};
    if (std::find(out.begin() + first, out.begin() + count, block) != out.begin() + count) return;
    out[count++] = block;
  };
  for (std::uint8_t i = 0; i < recent_count_; ++i) add(find(recent_[i]));
  for (const Range* range = head_; range != nullptr && count < most; range = range->next) {
    add(range);
  }
  return static_cast<std::uint8_t>(count);
}

void Reassembly::clear(RangeSlab& slab) {
  while (head_ != nullptr) unlink(slab, *head_);
  recent_count_ = 0;
}

// A segment in the same range takes its predecessor's place, so that ranges differ.
void Reassembly::remember(Seq begin) {
  const Range* range = find(begin);
  std::array<Seq, kRecent> kept{begin};
  std::uint8_t count = 1;
  for (std::uint8_t i = 0; i < recent_count_ && count < kRecent; ++i) {
    if (find(recent_[i]) != range) kept[count++] = recent_[i];
  }
  recent_ = kept;
  recent_count_ = count;
}

const Range* Reassembly::find(Seq seq) const {
  for (const Range* range = head_; range != nullptr; range = range->next) {
    if (range->begin <= seq && seq < range->end) return range;
  }
  return nullptr;
}

void Reassembly::unlink(RangeSlab& slab, Range& range) {
  (range.prev == nullptr ? head_ : range.prev->next) = range.next;
  (range.next == nullptr ? tail_ : range.next->prev) = range.prev;
  --count_;
  slab.give(&range);
}

}  // namespace tideline::tcp
