// SPDX-License-Identifier: Apache-2.0
// TCP Fast Open, the listener's side: RFC 7413. A SYN with a cookie of ours brings data, and the
// connection goes to its owner before the peer has answered. Internal to the room. Thread: the
// worker's.
#pragma once

#include "tcp/core.h"
#include "tcp/segment.h"

namespace tideline::tcp {

// What a SYN asks for, and may have.
enum class FastOpen : std::uint8_t {
  kNone,
  kGiveCookie,  // it has none, or a wrong one: §4.1.2
  kAccept,
};
FastOpen judge_fast_open(const Core& core, const Listener& listener, const Segment& syn);

wire::FastOpenCookie fast_open_cookie(const Core& core, const Tuple& tuple);

// Of a connection in SYN-RECEIVED whose SYN-ACK has not left: hands it over, takes the SYN's data,
// answers. False: its owner does not want it now, and nothing was done.
bool open_fast(Core& core, Tcb& tcb, Listener& listener, Segment& syn, Instant now);

// The peer has answered.
void settle_fast_open(Core& core, Tcb& tcb, Instant now);
// The SYN-ACK goes again: the peer has asked, or not answered in time.
void repeat_fast_open(Core& core, Tcb& tcb, Instant now);

}  // namespace tideline::tcp
