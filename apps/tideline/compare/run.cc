// SPDX-License-Identifier: Apache-2.0
#include "compare/run.h"

#include <algorithm>

namespace tideline::app::compare {

Usage& Usage::operator+=(const Usage& other) {
  user_s += other.user_s;
  system_s += other.system_s;
  wake_ups += other.wake_ups;
  return *this;
}

Usage Usage::operator-(const Usage& other) const {
  // The kernel's split of user and system time is an estimate, which may go back a little.
  return {.user_s = std::max(user_s - other.user_s, 0.0),
          .system_s = std::max(system_s - other.system_s, 0.0),
          .wake_ups = std::max(wake_ups - other.wake_ups, 0.0)};
}

double Run::value(Figure figure) const {
  switch (figure) {
    case Figure::kBytesPerSecond:
      return reading.bytes_per_s;
    case Figure::kRequestsPerSecond:
      return reading.requests_per_s;
    case Figure::kMedianLatency:
      return quantile(reading.quantiles, 0.5).value_or(0);
  }
  return 0;
}

}  // namespace tideline::app::compare
