// SPDX-License-Identifier: Apache-2.0
// Packetization layer path MTU discovery: RFC 4821, with the words of RFC 8899 where they are
// clearer. What a path carries is found with data, and without ICMP: now and then a segment is
// longer than the others, and what becomes of it tells.
//
//        full stop, or from the beginning (Config::mtu_probing)
//   OFF ----------------------------------> SEARCHING ---- nothing is left between ----> COMPLETE
//        full stop: to BASE, half, ... ----->  ^  ^                                        |
//                                              |  `----------- ten minutes later ----------|
//                                              `------------------ full stop --------------'
//
// A probe carries new data, so its loss costs a retransmission and nothing else: alone, it is no
// sign of congestion. Sizes are those of IP packets. Internal to the room. Thread: the worker's.
#pragma once

#include <cstdint>

#include "tcp/core.h"

namespace tideline::tcp {

// --- All but the first two do nothing to a connection that does not search.

// A connection begins, its MTU and its peer's MSS are known: §7.2.
void begin_mtu_search(Core& core, Tcb& tcb, Instant now);
// The retransmission timer has expired once more: §7.7.
void see_full_stop(Core& core, Tcb& tcb, Instant now);
void forget_mtu_search(Core& core, Tcb& tcb);

// The largest packet to send: that which a path of `tcb.path_mtu` is known to carry. What ICMP has
// said bounds the search (§7.6.2).
std::uint16_t effective_mtu(Tcb& tcb);
// What a segment has beside its payload: headers, and the options that all have.
std::uint32_t packet_overhead(const Tcb& tcb);

struct DueProbe {
  std::uint32_t payload = 0;  // 0: none is due
  bool has_room = false;      // else acknowledgments will make it, and nothing goes until then
};
// Whether the next segment, with bytes of `unsent`, which are of one record, should be a probe:
// §7.3, §7.4.
DueProbe due_mtu_probe(Core& core, Tcb& tcb, std::uint64_t unsent, Instant now);
// It was sent: §7.5.
void mtu_probe_sent(Core& core, Tcb& tcb, Seq begin, Seq end);

// The scoreboard is up to date: has it arrived, or been lost (§7.6)?
void judge_mtu_probe(Core& core, Tcb& tcb, Instant now);
// Bytes of a probe that was lost, which are not to be taken for congestion: they have yet to be
// sent again.
std::uint32_t probe_bytes_to_repair(Tcb& tcb);
// The retransmission timer has expired before anything was known of it: §7.6.3.
void mtu_probe_timed_out(Core& core, Tcb& tcb, Instant now);
// Its bytes are sent again for another reason: nothing follows from what becomes of them.
void cancel_mtu_probe(Tcb& tcb);
// A router has said that it is too long: then it needs no wait to be repaired.
void drop_refused_mtu_probe(Core& core, Tcb& tcb, Instant now);
// Whether `range` is the probe.
bool is_mtu_probe(const Tcb& tcb, const Range& range);

}  // namespace tideline::tcp
