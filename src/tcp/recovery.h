// SPDX-License-Identifier: Apache-2.0
// What acknowledgments tell of the segments in flight, what is found lost, and what follows:
// RFC 8985 (RACK-TLP), RFC 6937 (PRR), RFC 6582 (NewReno, without SACK), RFC 5682 (F-RTO),
// RFC 3522 and 3708 (undo). Internal to the room. Thread: the worker's.
#pragma once

#include "tcp/core.h"
#include "tcp/segment.h"

namespace tideline::tcp {

// What one acknowledgment has brought.
struct AckSummary {
  Instant now{};
  std::uint32_t acked = 0;   // bytes that snd_una has advanced
  std::uint32_t sacked = 0;  // bytes newly known to have arrived beyond
  std::uint32_t delivered = 0;
  std::uint32_t segments = 0;  // of those delivered
  std::uint32_t flight_before = 0;
  Duration rtt{};              // of the latest segment that was sent once; 0: none
  Duration first_rtt{};        // of the earliest
  Duration stamp_rtt{};        // by timestamp
  bool duplicate = false;      // without SACK: RFC 5681 §2
  bool original = false;       // something arrived that was never sent again
  bool retransmitted = false;  // something was acknowledged that was
  Instant resent_at{};         // the latest of that, for the last time
  bool dsack = false;
  bool newly_lost = false;
  std::uint32_t dsack_bytes = 0;
  std::uint32_t reordered = 0;  // bytes by which something came late that was sent once
};

// rack.cc
void rack_delivered(Tcb& tcb, const Range& range, Seq end, Instant now);
// Marks what must be lost by now. Returns how long until the next may be; 0: none.
Duration rack_detect_losses(Core& core, Tcb& tcb, Instant now);
void rack_reordering_timeout(Core& core, Tcb& tcb, Instant now);
void rack_see_dsack(Tcb& tcb);
// A segment was sent so long ago that its acknowledgment should have come.
bool rack_is_overdue(const Tcb& tcb, const Range& range, Instant now);

// scan.cc: brings the scoreboard up to date.
AckSummary scan_acknowledgment(Core& core, Tcb& tcb, const Segment& segment, Instant now);

// recovery.cc: moves between the recovery states, and the congestion window.
void react(Core& core, Tcb& tcb, const Segment& segment, AckSummary& summary);
void enter_recovery(Core& core, Tcb& tcb, std::uint32_t flight, Instant now);
// What was lost to congestion, as far as anybody can tell.
void mark_lost(Tcb& tcb, Range& range, Instant now);
void on_retransmit_timeout(Core& core, Tcb& tcb, Instant now);
// A smaller path MTU: what is in flight has been lost, but not to congestion (RFC 1191 §6.4).
void resend_everything(Core& core, Tcb& tcb);
// Congestion without a loss to repair: the peer saw CE (RFC 3168 §6.1.2), or a probe repaired it.
enum class Signal : std::uint8_t { kMark, kRepairedLoss };
void see_congestion(Tcb& tcb, Signal signal, Instant now);

// RFC 4821 §7.6.2: what a probe lost is sent again, and nothing else follows from it.
bool has_lost_to_congestion(Tcb& tcb);
// RFC 6298 §2.
void measure_rtt(const Config& config, Tcb& tcb, Duration sample);
// RFC 6298 §5.5: the time-out, doubled as often as it has expired.
Duration backed_off(const Core& core, const Tcb& tcb);

}  // namespace tideline::tcp
