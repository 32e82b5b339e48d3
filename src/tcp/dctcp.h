// SPDX-License-Identifier: Apache-2.0
// DCTCP: RFC 8257. The window shrinks by how much was marked, not because something was. Grows, and
// reacts to loss, as Reno does. For networks whose queues mark early, and whose hosts all use it:
// the receiver must echo each mark once (receiver.h). Thread: the worker's.
#pragma once

#include "tcp/congestion.h"

namespace tideline::tcp {

const CongestionControl& dctcp();

}  // namespace tideline::tcp
