// SPDX-License-Identifier: Apache-2.0
#include "udp_blast/effort.h"

#include <ctime>

namespace tideline::app::blast {

std::uint64_t process_cpu_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.tv_nsec);
}

}  // namespace tideline::app::blast
