// SPDX-License-Identifier: Apache-2.0
// What a connection has received beyond a hole: ranges only, for the bytes lie in the receive
// buffer already. Bounded, whatever a peer sends (CVE-2018-5390). Thread: the worker's.
#pragma once

#include <array>
#include <cstdint>

#include "tcp/scoreboard.h"
#include "wire/tcp_options.h"

namespace tideline::tcp {

class Reassembly {
 public:
  bool empty() const { return head_ == nullptr; }
  std::uint32_t count() const { return count_; }

  // [begin, end) lies beyond rcv_nxt, and has been put into the buffer. False if there is no room
  // to remember it, so that it must be sent again. `duplicate` becomes what was there already, if
  // anything (RFC 2883), the first such piece.
  bool add(RangeSlab& slab, std::uint32_t most, Seq begin, Seq end, wire::SackBlock& duplicate);
  // rcv_nxt has reached `nxt`: returns how far it goes on through what was beyond.
  Seq advance(RangeSlab& slab, Seq nxt);
  // The ranges, that with the latest segment first: RFC 2018 §4. Returns how many.
  std::uint8_t blocks(std::array<wire::SackBlock, wire::kMaxSackBlocks>& out, std::size_t first,
                      std::size_t most) const;
  void clear(RangeSlab& slab);

 private:
  static constexpr std::size_t kRecent = 3;

  void remember(Seq begin);
  const Range* find(Seq seq) const;
  void unlink(RangeSlab& slab, Range& range);

  Range* head_ = nullptr;
  Range* tail_ = nullptr;
  std::uint32_t count_ = 0;
  // Where the latest segments begin, latest first; their ranges are told again.
  std::array<Seq, kRecent> recent_{};
  std::uint8_t recent_count_ = 0;
};

}  // namespace tideline::tcp
