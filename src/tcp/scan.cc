// SPDX-License-Identifier: Apache-2.0
// Reads an acknowledgment: what it takes off the scoreboard, and what it marks there.
#include <algorithm>

#include "tcp/bbr.h"
#include "tcp/recovery.h"

namespace tideline::tcp {
namespace {

// Ranges of one connection: a peer's SACK blocks cut them as it likes (CVE-2019-11477).
constexpr std::uint32_t kMaxRanges = 4096;

// The part of `range` before `end` has arrived, and this is the first that we hear of it.
void delivered(Tcb& tcb, const Range& range, Seq end, AckSummary& summary) {
  summary.delivered += end - range.begin;
  summary.segments += segments_of(end - range.begin, range.segment);
  if (tcb.bbr != nullptr) tcb.bbr->rate.update_rate_sample(range, end, summary.now);
  if (!range.ever_retransmitted && end < tcb.rack_fack) {
    summary.reordered = std::max(summary.reordered, tcb.rack_fack - range.begin);
  }
  if (range.ever_retransmitted) {
    summary.retransmitted = true;
    summary.resent_at = std::max(summary.resent_at, range.sent);
  } else {
    if (end <= tcb.high_seq) summary.original = true;
    const Duration rtt = std::max(summary.now - range.sent, Duration(1));
    if (summary.first_rtt == Duration{}) summary.first_rtt = rtt;
    summary.rtt = rtt;
  }
  rack_delivered(tcb, range, end, summary.now);
}

void take_acknowledged(Core& core, Tcb& tcb, Seq ack, AckSummary& summary) {
  Scoreboard& board = tcb.scoreboard;
  while (!board.empty() && board.first()->begin < ack) {
    const Range& first = *board.first();
    if (!first.sacked) delivered(tcb, first, min(first.end, ack), summary);
    board.acknowledge_first(core.ranges, ack);
  }
}

// The end of the segment of `range` in which `at` lies, or `at` if one begins there.
Seq segment_edge(const Range& range, Seq at, bool upwards) {
  const std::uint32_t into = (at - range.begin) % range.segment;
  if (into == 0) return at;
  return upwards ? min(range.end, at + (range.segment - into)) : at - into;
}

// Marks [begin, end), which the peer says it has. Segments of which it has a part only are not
// there: whoever cuts them, cuts our list into pieces.
void take_block(Core& core, Tcb& tcb, Seq begin, Seq end, AckSummary& summary) {
  Scoreboard& board = tcb.scoreboard;
  for (Range* range = board.first(); range != nullptr && range->begin < end; range = range->next) {
    if (range->end <= begin || range->sacked) continue;
    if (range->begin < begin) {
      begin = segment_edge(*range, begin, true);
      if (begin >= range->end) continue;
      if (board.count() >= kMaxRanges || !board.split(core.ranges, *range, begin)) {
        core.counters.count(Discard::kRangesFull);
        return;
      }
      continue;  // with what was cut off
    }
    if (range->end > end) {
      end = segment_edge(*range, end, false);
      if (end <= range->begin) return;
      if (board.count() >= kMaxRanges || !board.split(core.ranges, *range, end)) {
        core.counters.count(Discard::kRangesFull);
        return;
      }
    }
    delivered(tcb, *range, range->end, summary);
    summary.sacked += range->size();
    board.mark_sacked(*range);
    range = &board.merge_sacked(core.ranges, *range);
  }
}

// RFC 2883 §4: the first block tells of a duplicate if it was acknowledged, or lies in the second.
bool is_dsack(const wire::TcpOptions& options, Seq ack) {
  if (options.sack_count == 0) return false;
  const Seq begin(options.sack[0].left);
  const Seq end(options.sack[0].right);
  if (begin < ack) return true;
  return options.sack_count > 1 && begin >= Seq(options.sack[1].left) &&
         end <= Seq(options.sack[1].right);
}

void take_dsack(Tcb& tcb, const wire::SackBlock& block, AckSummary& summary) {
  const Seq begin(block.left);
  const Seq end(block.right);
  // What was never sent, or long ago, was not sent twice by us.
  if (end > tcb.snd_nxt || tcb.snd_una - begin > tcb.max_snd_wnd) return;
  summary.dsack = true;
  summary.dsack_bytes = end - begin;
  incidents_of(tcb).duplicates += segments_of(end - begin, tcb.mss);
  rack_see_dsack(tcb);
}

void take_sack(Core& core, Tcb& tcb, const Segment& segment, AckSummary& summary) {
  const wire::TcpOptions& options = segment.options;
  const bool dsack = is_dsack(options, segment.ack);
  if (dsack) take_dsack(tcb, options.sack[0], summary);
  for (std::uint8_t i = dsack ? 1 : 0; i < options.sack_count; ++i) {
    const Seq begin(options.sack[i].left);
    const Seq end(options.sack[i].right);
    // RFC 2018 §3, RFC 6675 §3: within what is outstanding.
    if (begin < tcb.snd_una || end > tcb.snd_nxt || begin >= end) continue;
    take_block(core, tcb, begin, end, summary);
  }
}

// RFC 7323 §4.1, of what was sent again. An echo from before the last time tells nothing: it may be
// a late answer, or one to the last time, where the answer before was lost (§5.3: the peer keeps
// the time of what advanced its window). After a time-out that would be as long as the time-out.
Duration rtt_by_timestamp(const Tcb& tcb, const Segment& segment, const AckSummary& summary) {
  const auto& timestamps = segment.options.timestamps;
  if (!tcb.timestamps_on || !timestamps || timestamps->echo == 0) return {};
  const std::uint32_t sent = timestamp(tcb, summary.resent_at);
  if (static_cast<std::int32_t>(timestamps->echo - sent) < 0) return {};
  const std::uint32_t age = timestamp(tcb, summary.now) - timestamps->echo;
  constexpr std::uint32_t kMost = 600'000;
  return age < kMost ? std::chrono::milliseconds(std::max(age, 1U)) : Duration{};
}

}  // namespace

AckSummary scan_acknowledgment(Core& core, Tcb& tcb, const Segment& segment, Instant now) {
  AckSummary summary{.now = now, .flight_before = tcb.in_flight()};
  const bool advances = segment.ack > tcb.snd_una;
  if (advances) {
    take_acknowledged(core, tcb, segment.ack, summary);
    summary.acked = segment.ack - tcb.snd_una;
    const std::uint64_t offset = tcb.una_offset + summary.acked;
    tcb.una_offset = std::min(offset, tcb.write_end);  // a FIN is no byte
    tcb.snd_una = segment.ack;
    if (summary.retransmitted) summary.stamp_rtt = rtt_by_timestamp(tcb, segment, summary);
  }
  if (tcb.sack_on && segment.options.sack_count > 0) take_sack(core, tcb, segment, summary);
  tcb.delivered += summary.segments;
  if (summary.reordered > 0) {
    ++incidents_of(tcb).reorderings;
    const std::uint32_t late = (summary.reordered + tcb.mss - 1) / tcb.mss;
    tcb.reordering = std::max(tcb.reordering, std::min(late, core.config.max_reordering));
  }
  return summary;
}

void measure_rtt(const Config& config, Tcb& tcb, Duration sample) {
  if (tcb.srtt == Duration{}) {
    tcb.srtt = sample;
    tcb.rttvar = sample / 2;
  } else {
    const Duration error = tcb.srtt > sample ? tcb.srtt - sample : sample - tcb.srtt;
    tcb.rttvar += (error - tcb.rttvar) / 4;
    tcb.srtt += (sample - tcb.srtt) / 8;
  }
  // The minimum stands in for the variance, as in Linux: many delay acknowledgments for long.
  tcb.rto = std::min(tcb.srtt + std::max(config.min_rto, 4 * tcb.rttvar), config.max_rto);
  // RFC 6298 §5: a doubled time-out is kept until there is a sample, for what was sent again may
  // have been acknowledged as it was sent first (Karn's algorithm).
  tcb.backoff = 0;
}

Duration backed_off(const Core& core, const Tcb& tcb) {
  const unsigned shift = std::min<unsigned>(tcb.backoff, 16);
  return std::min(tcb.rto * (std::int64_t{1} << shift), core.config.max_rto);
}

}  // namespace tideline::tcp
