// SPDX-License-Identifier: Apache-2.0
// RACK: a segment is lost if one that was sent later has arrived, and it has not within the time
// that reordering may take. RFC 8985 §6.
#include <algorithm>

#include "tcp/mtu_probe.h"
#include "tcp/recovery.h"

namespace tideline::tcp {
namespace {

constexpr std::uint8_t kPersist = 16;

// §6.2: RACK_sent_after.
bool sent_after(Instant sent_a, Seq end_a, Instant sent_b, Seq end_b) {
  return sent_a > sent_b || (sent_a == sent_b && end_a > end_b);
}

// §6.2, step 4: RACK_update_reo_wnd.
Duration reordering_window(const Tcb& tcb) {
  if (!tcb.reordering_seen) {
    if (tcb.recovery >= RecoveryState::kRecovery) return {};
    const std::uint32_t threshold = tcb.core->config.reordering;
    if (tcb.scoreboard.sacked() >= threshold * tcb.mss) return {};
  }
  if (tcb.min_rtt == Duration::max()) return {};
  return std::min(tcb.min_rtt / 4 * tcb.reo_wnd_mult, tcb.srtt);
}

}  // namespace

// §6.2, steps 2 and 3; `end` is that of the part which has arrived.
void rack_delivered(Tcb& tcb, const Range& range, Seq end, Instant now) {
  if (end > tcb.rack_fack) {
    tcb.rack_fack = end;
  } else if (end < tcb.rack_fack && !range.ever_retransmitted) {
    tcb.reordering_seen = true;
  }
  const Duration rtt = now - range.sent;
  // The acknowledgment may be of the original: it came sooner than a segment can.
  if (range.ever_retransmitted && tcb.min_rtt != Duration::max() && rtt < tcb.min_rtt) return;
  tcb.rack_rtt = rtt;
  if (!sent_after(range.sent, end, tcb.rack_sent, tcb.rack_end)) return;
  tcb.rack_sent = range.sent;
  tcb.rack_end = end;
}

// §6.2, step 5. The list is in the order of sending: it ends with the first that was sent later.
Duration rack_detect_losses(Core& /*core*/, Tcb& tcb, Instant now) {
  if (!tcb.sack_on || tcb.rack_sent == Instant{}) return {};
  const Duration window = reordering_window(tcb);
  for (Range* range = tcb.scoreboard.earliest(); range != nullptr;) {
    Range* later = range->later;
    if (!sent_after(tcb.rack_sent, tcb.rack_end, range->sent, range->end)) {
      if (range->sent > tcb.rack_sent) break;
      range = later;
      continue;
    }
    const Duration left = range->sent + tcb.rack_rtt + window - now;
    if (left > Duration{}) return left;
    mark_lost(tcb, *range, now);
    range = later;
  }
  return {};
}

bool rack_is_overdue(const Tcb& tcb, const Range& range, Instant now) {
  return range.sent + tcb.rack_rtt + reordering_window(tcb) <= now;
}

void rack_reordering_timeout(Core& core, Tcb& tcb, Instant now) {
  const std::uint32_t flight = tcb.in_flight();
  const Duration left = rack_detect_losses(core, tcb, now);
  judge_mtu_probe(core, tcb, now);
  if (tcb.recovery < RecoveryState::kRecovery && has_lost_to_congestion(tcb)) {
    enter_recovery(core, tcb, flight, now);
  }
  if (left > Duration{}) {
    tcb.retransmit_mode = RetransmitMode::kReorder;
    arm(core, tcb, Timer::kRetransmit, now + left);
  }
}

// §6.2, step 4: once per round trip.
void rack_see_dsack(Tcb& tcb) {
  if (tcb.snd_una < tcb.dsack_round) return;
  tcb.dsack_round = tcb.snd_nxt;
  if (tcb.reo_wnd_mult < UINT8_MAX) ++tcb.reo_wnd_mult;
  tcb.reo_wnd_persist = kPersist;
}

}  // namespace tideline::tcp
