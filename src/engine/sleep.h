// SPDX-License-Identifier: Apache-2.0
// How a loop of this room blocks. Thread: the loop's.
#pragma once

#include <initializer_list>

#include "base/time.h"

namespace tideline::engine {

// Until one of the descriptors (at most three; -1: none) is readable or `deadline` has come; wakes
// up early at times. Returns which of them are readable: the first is bit 0.
unsigned sleep_until(std::initializer_list<int> descriptors, Instant deadline);

}  // namespace tideline::engine
