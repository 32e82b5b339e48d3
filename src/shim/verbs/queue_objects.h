// SPDX-License-Identifier: Apache-2.0
// The objects of queue_device.h. Thread: any; what engine.h says of each.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/error.h"
#include "shim/verbs/engine.h"

namespace tideline::shim::verbs {

class QueueEngine;

// `word` is for the engine to find in this process.
Result<std::unique_ptr<OpenDevice>> open_behind_queue_pair(QueueEngine& engine,
                                                           std::atomic<std::uint64_t>& word);

}  // namespace tideline::shim::verbs
