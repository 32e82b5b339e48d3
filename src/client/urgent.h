// SPDX-License-Identifier: Apache-2.0
// Urgent data as sockets have had it ever since, RFC 6093 §4: of what the peer calls urgent the
// last byte is taken out of the stream, unless SO_OOBINLINE, and reading stops before it. For both
// placements, over the marks of a FIFO. Thread: the reader's, unless a function says otherwise.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ring/byte_fifo.h"

namespace tideline::client {

class Urgent {
 public:
  // `readable` bytes are there, from `at` on: looked for before, for bytes come behind their marks.
  Urgent(const ring::FifoIndices& indices, std::uint64_t at, std::size_t readable, bool in_line)
      : indices_(indices),
        at_(at),
        readable_(readable),
        in_line_(in_line),
        mark_(indices.mark.load(std::memory_order_acquire)) {
    if (mark_ == ring::FifoIndices::kNoMark) return;
    const std::uint64_t before = indices.mark_before.load(std::memory_order_relaxed);
    while (!in_line && skipped_ < readable && (at + skipped_ == mark_ || at + skipped_ == before)) {
      ++skipped_;
    }
  }

  // Urgent bytes that a reader steps over.
  std::size_t skipped() const { return skipped_; }
  // What one call of receive() may take behind these.
  std::size_t readable() const {
    const std::uint64_t begin = at_ + skipped_;
    const std::size_t rest = readable_ - skipped_;
    const bool stops = mark_ > begin && mark_ - begin < rest;
    return stops ? static_cast<std::size_t>(mark_ - begin) : rest;
  }
  // What FIONREAD tells.
  std::size_t told() const {
    if (in_line_) return readable_;
    return is_at_mark() ? 0 : readable();
  }
  // There is one that was not yet passed.
  bool is_marked() const { return mark_ != ring::FifoIndices::kNoMark && mark_ >= at_; }
  bool is_at_mark() const { return mark_ == at_; }
  bool was_read() const { return indices_.mark_read.load(std::memory_order_relaxed) == mark_; }
  bool has_come() const { return is_marked() && mark_ - at_ < readable_; }
  // POLLPRI.
  bool is_news() const { return has_come() && !was_read(); }
  // Whether receive_urgent() is of use at all.
  bool is_apart() const { return is_marked() && !in_line_ && !was_read(); }
  std::uint64_t offset() const { return mark_; }

 private:
  const ring::FifoIndices& indices_;
  std::uint64_t at_;
  std::size_t readable_;
  bool in_line_;
  std::uint64_t mark_;
  std::size_t skipped_ = 0;
};

}  // namespace tideline::client
