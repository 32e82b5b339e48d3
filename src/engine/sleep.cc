// SPDX-License-Identifier: Apache-2.0
#include "engine/sleep.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>

#include "base/check.h"
#include "base/clock.h"

namespace tideline::engine {
namespace {

// Without any deadline, a loop sleeps this long at a time.
constexpr Duration kLongestSleep = std::chrono::seconds(10);

timespec to_timespec(Duration duration) {
  constexpr std::int64_t kNanoseconds = 1'000'000'000;
  const std::int64_t count = std::max<std::int64_t>(duration.count(), 0);
  return {.tv_sec = count / kNanoseconds, .tv_nsec = count % kNanoseconds};
}

}  // namespace

unsigned sleep_until(std::initializer_list<int> descriptors, Instant deadline) {
  std::array<pollfd, 3> fds{};
  CHECK(descriptors.size() <= fds.size());
  std::ranges::transform(descriptors, fds.begin(),
                         [](int fd) { return pollfd{.fd = fd, .events = POLLIN}; });
  const Instant now = monotonic_now();
  const timespec timeout = to_timespec(std::min(deadline, now + kLongestSleep) - now);
  unsigned readable = 0;
  if (::ppoll(fds.data(), descriptors.size(), &timeout, nullptr) > 0) {
    for (std::size_t i = 0; i < descriptors.size(); ++i) {
      if ((fds[i].revents & POLLIN) != 0) readable |= 1U << i;
    }
  }
  return readable;
}

}  // namespace tideline::engine
