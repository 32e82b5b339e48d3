// SPDX-License-Identifier: Apache-2.0
// Joins BBR to a connection: which algorithm it has, and what BBR is told of it. BBR's state, six
// times what the other algorithms need, lies beside the TCB, where only connections that chose it
// have it. Internal to the room. Thread: the worker's.
#pragma once

#include "tcp/bbr.h"
#include "tcp/recovery.h"

namespace tideline::tcp {

// As the options say: when the connection begins, and when its owner thinks better of it.
void choose_congestion_control(Core& core, Tcb& tcb, Instant now);
void release_congestion_control(Core& core, Tcb& tcb);
// Stands in for BBR where an algorithm by losses would decide: nothing follows.
const CongestionControl& model_based();

// All but these do nothing unless the connection has BBR.
inline bool has_bbr(const Tcb& tcb) { return tcb.bbr != nullptr; }
BbrConnection bbr_connection(Tcb& tcb, Instant now);

void bbr_established(Tcb& tcb, Instant now);
// Before an acknowledgment is read, and before new data is looked for.
void bbr_before_ack(Tcb& tcb);
void bbr_check_application_limited(Tcb& tcb);
void bbr_acked(Tcb& tcb, const AckSummary& summary);
void bbr_before_sending(Tcb& tcb, Instant now);
void bbr_sent(Tcb& tcb, Range& range);

}  // namespace tideline::tcp
