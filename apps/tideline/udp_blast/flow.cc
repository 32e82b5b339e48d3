// SPDX-License-Identifier: Apache-2.0
#include "udp_blast/flow.h"

#include <cstdlib>

namespace tideline::app::blast {

// RFC 3550 §6.4.1. Datagrams that were stamped together left and came together: they count once.
void Flow::note_gap(Instant sent_at, Instant now) {
  if (last_sent_ == kNever) {
    first_ = now;
  } else {
    const std::int64_t difference = ((now - last_came_) - (sent_at - last_sent_)).count();
    jitter_ += std::abs(difference) - (jitter_ + 8) / 16;
  }
  last_sent_ = sent_at;
  last_came_ = now;
}

void Flow::out_of_order(std::uint64_t sequence, std::size_t bytes) {
  if (sequence > next_) {
    const std::uint64_t missing = std::min(sequence - next_, kWindow);
    for (std::uint64_t i = sequence - missing; i < sequence; ++i) {
      seen_[i % kWindow / 64] &= ~bit(i);
    }
    next_ = sequence + 1;
    accept(sequence, bytes);
    return;
  }
  if (next_ - sequence > kWindow) {
    ++unsorted_;
    return;
  }
  if ((seen_[sequence % kWindow / 64] & bit(sequence)) != 0) {
    ++duplicates_;
    return;
  }
  ++reordered_;
  accept(sequence, bytes);
}

Report Flow::report(std::uint64_t sent) const {
  return {.datagrams = datagrams_,
          .bytes = bytes_,
          .lost = sent - std::min(sent, datagrams_),
          .reordered = reordered_,
          .duplicates = duplicates_,
          .unsorted = unsorted_,
          .elapsed_ns = static_cast<std::uint64_t>((last_ - first_).count()),
          .jitter_ns = static_cast<std::uint64_t>(jitter_ / 16)};
}

}  // namespace tideline::app::blast
