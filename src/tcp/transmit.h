// SPDX-License-Identifier: Apache-2.0
// Makes segments and hands them to IP: headers in a buffer of their own, payload borrowed from the
// send buffer, segmentation and checksum left to whoever transmits. Internal to the room. Thread:
// the worker's.
#pragma once

#include <cstdint>

#include "tcp/core.h"
#include "tcp/segment.h"

namespace tideline::tcp {

// The largest window that a segment may tell now; moves rcv_adv.
std::uint16_t announce_window(Tcb& tcb);

// Payload bytes that each segment may carry beside the options that would be sent now.
std::uint32_t segment_payload(const Tcb& tcb);
// Payload bytes of the longest frame: segment_payload() times one or many.
std::uint32_t frame_payload(const Core& core, const Tcb& tcb);

// Sends [begin, end) of the sequence space, with the bytes that the send buffer has there, and
// everything that is to be acknowledged, in segments of `segment` bytes: segment_payload(), but of
// a probe of the path MTU. A FIN counts as the last number if `flags` has it. False, and counted,
// if memory lacks.
bool send_range(Core& core, Tcb& tcb, Seq begin, Seq end, std::uint32_t segment,
                std::uint16_t flags, Instant now);
// An ACK without data.
void send_ack(Core& core, Tcb& tcb, Instant now);
// An ACK that the peer must answer, for its number is old: keepalive, window probe.
void send_probe(Core& core, Tcb& tcb, Instant now);
// RFC 5961 §7: bounded per connection and in all.
void send_challenge(Core& core, Tcb& tcb, Instant now);
// Whether our SYN does: RFC 3168 §6.1.1.
bool asks_for_ecn(const Core& core, const Tcb& tcb);
// SYN, with ACK in SYN-RECEIVED.
void send_syn(Core& core, Tcb& tcb, Instant now);
// SYN with a cookie of fast open, and what has been written, as far as a segment takes it. How much
// that was.
std::uint32_t send_syn_with_data(Core& core, Tcb& tcb, const wire::FastOpenCookie& cookie,
                                 Instant now);
// RST to the peer of a connection.
void send_reset(Core& core, Tcb& tcb, Instant now);
// RST in answer to a segment that belongs nowhere: RFC 9293 §3.10.7.1.
void answer_with_reset(Core& core, const Segment& segment, Instant now);
// Of the IP header.
struct IpMarks {
  std::uint8_t traffic_class = 0;
  std::uint8_t hop_limit = 64;
};

// A header without a connection.
void send_header(Core& core, const Tuple& tuple, wire::Tcp header, Instant now,
                 const IpMarks& marks = {});

// Gives back to the owner what was acknowledged and is borrowed no more.
void release_acknowledged(Core& core, Tcb& tcb);

}  // namespace tideline::tcp
