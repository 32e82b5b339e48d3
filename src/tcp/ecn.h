// SPDX-License-Identifier: Apache-2.0
// ECN: what is agreed, told and heard. That of RFC 3168 says once in a round trip that something
// was marked. Accurate ECN (RFC 9768) counts: each end tells with every segment how many packets
// came marked, modulo 8, in three flags (ACE), and the bytes in an option of pure acknowledgments.
// A connection that has agreed to it has an AccurateEcn. Internal to the room. Thread: the
// worker's.
//
//   flags       AE CWR ECE            of a SYN-ACK, and of the first ACK, the field that the
//   SYN         1  1   1              segment which it answers had in its IP header:
//   SYN-ACK     as on the right       010 Not-ECT, 011 ECT(1), 100 ECT(0), 110 CE
//   others      ACE, from 5 on
#pragma once

#include <cstdint>

#include "tcp/core.h"
#include "tcp/segment.h"

namespace tideline::tcp {

// --- The handshake.

// The flags of a SYN, or of a SYN-ACK.
std::uint16_t ecn_flags_of_syn(const Core& core, const Tcb& tcb, bool answer);
// A SYN has come; a SYN-ACK has, as answer to ours.
void grant_ecn(Core& core, Tcb& tcb, const Segment& syn);
void take_granted_ecn(Core& core, Tcb& tcb, const Segment& syn_ack);
// The peer's SYN has come again.
void note_repeated_syn(Tcb& tcb, const Segment& syn);
void forget_accurate_ecn(Core& core, Tcb& tcb);

// --- All but these do nothing to a connection without it.

inline bool has_accurate_ecn(const Tcb& tcb) { return tcb.accurate_ecn != nullptr; }
// Whether new data may be marked, after either specification.
bool sends_ect(const Tcb& tcb);
// ACE, or ECE of RFC 3168.
std::uint16_t ecn_flags(const Tcb& tcb);
// The first acknowledgment: how the SYN-ACK came.
std::uint16_t ecn_flags_of_answer(const Tcb& tcb);
// A pure acknowledgment, or a SYN-ACK: adds the option if it has news, and there is room.
void add_ecn_option(const Tcb& tcb, bool syn_ack, wire::TcpOptions& options);
// A segment has left, with ACE and perhaps the option.
void note_ecn_told(Tcb& tcb, bool with_option);

// An acceptable segment has come.
void count_ecn(Tcb& tcb, const Segment& segment);
// What an acknowledgment tells: bytes that were marked, about. `delivered` are those that it is the
// first to tell of.
std::uint32_t read_ecn_feedback(Tcb& tcb, const Segment& segment, std::uint32_t delivered);

}  // namespace tideline::tcp
