// SPDX-License-Identifier: Apache-2.0
// Completion and asynchronous events. An object that goes waits until the program has acknowledged
// the events that it was given, and takes those along that it was not. Thread: any.
#pragma once

#include "shim/verbs/objects.h"

namespace tideline::shim::verbs {

void forget_events(Cq& cq);
void forget_events(Srq& srq);
void forget_events(Qp& qp);

}  // namespace tideline::shim::verbs
