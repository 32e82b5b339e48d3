// SPDX-License-Identifier: Apache-2.0
// Alone in its file: a library that lives in a time of its own brings another.
#include <time.h>

#include "base/clock.h"

namespace tideline {

Instant monotonic_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return Instant(Duration(now.tv_sec * 1'000'000'000 + now.tv_nsec));
}

}  // namespace tideline
