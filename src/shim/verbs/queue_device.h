// SPDX-License-Identifier: Apache-2.0
// The engine of a program whose placement is `frontend`: engine.h over a channel to the daemon
// (docs/queue-pair.md, "Verbs"). Control verbs are calls; what is posted and completed lies in
// rings that the program and the engine share, and costs no call.
//
// A front end that has gone: what was posted completes as flushed, events end with a fatal one of
// the device, calls fail with EIO. In a forked child of the program the device is gone.
//
// Thread: any.
#pragma once

#include <string>

#include "base/error.h"
#include "shim/verbs/engine.h"

namespace tideline::shim::verbs {

// To the front end that listens at `path`. Never freed: the program may use it until it ends.
Result<Engine*> attach_to_front_end(const std::string& path, const std::string& program);

}  // namespace tideline::shim::verbs
