// SPDX-License-Identifier: Apache-2.0
// What a sink knows of one run of one sender: which numbers have come, which are missing, and how
// evenly they came. One thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/time.h"
#include "udp_blast/message.h"

namespace tideline::app::blast {

class Flow {
 public:
  // A number that lies further back than this behind the highest is counted as `unsorted`.
  static constexpr std::uint64_t kWindow = 1U << 20;

  Flow() : seen_(kWindow / 64) {}

  // A datagram has come whose number is `sequence`.
  void numbered(std::uint64_t sequence, std::size_t bytes, Instant sent_at, Instant now) {
    if (sent_at != last_sent_) note_gap(sent_at, now);
    last_ = now;
    if (sequence == next_) [[likely]] {
      ++next_;
      accept(sequence, bytes);
      return;
    }
    out_of_order(sequence, bytes);
  }
  // One without a number.
  void unnumbered(std::size_t bytes, Instant now) {
    if (datagrams_ == 0) first_ = now;
    last_ = now;
    ++datagrams_;
    bytes_ += bytes;
  }

  std::uint64_t datagrams() const { return datagrams_; }
  std::uint64_t bytes() const { return bytes_; }
  Instant last() const { return last_; }
  // As if `sent` had been sent so far; the sink's own effort is left zero.
  Report report(std::uint64_t sent) const;
  // The same for a sender of which it is not known.
  Report report() const { return report(std::max(next_, datagrams_)); }

 private:
  void accept(std::uint64_t sequence, std::size_t bytes) {
    seen_[sequence % kWindow / 64] |= bit(sequence);
    ++datagrams_;
    bytes_ += bytes;
  }
  static std::uint64_t bit(std::uint64_t sequence) { return std::uint64_t{1} << (sequence % 64); }
  void note_gap(Instant sent_at, Instant now);
  void out_of_order(std::uint64_t sequence, std::size_t bytes);

  // A bit for each of the last kWindow numbers below next_. Those at and above next_ are stale.
  std::vector<std::uint64_t> seen_;
  std::uint64_t next_ = 0;  // one above the highest that has come
  std::uint64_t datagrams_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t reordered_ = 0;
  std::uint64_t duplicates_ = 0;
  std::uint64_t unsorted_ = 0;
  Instant first_{};
  Instant last_{};
  Instant last_sent_ = kNever;
  Instant last_came_{};
  std::int64_t jitter_ = 0;  // in sixteenths of a nanosecond
};

}  // namespace tideline::app::blast
