// SPDX-License-Identifier: Apache-2.0
#include "compare/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "base/clock.h"

namespace tideline::app::compare {

Progress::Progress(std::size_t steps)
    : steps_(steps), terminal_(::isatty(STDERR_FILENO) != 0), begin_(monotonic_now()) {}

Progress::~Progress() {
  if (terminal_) fmt::print(stderr, "\r\033[K");
}

void Progress::step(const std::string& what) {
  if (!terminal_) {
    fmt::print(stderr, "[{}/{}] {}\n", done_ + 1, steps_, what);
    ++done_;
    return;
  }
  constexpr std::size_t kWidth = 24;
  const std::size_t full = std::min(kWidth, kWidth * done_ / std::max<std::size_t>(steps_, 1));
  std::string left;
  if (done_ > 0) {
    const auto gone = std::chrono::duration<double>(monotonic_now() - begin_).count();
    const double rest = gone / static_cast<double>(done_) * static_cast<double>(steps_ - done_);
    left = fmt::format(", {:.0f} s left", rest);
  }
  fmt::print(stderr, "\r\033[K[{}{}] {}/{} {}{}", std::string(full, '='),
             std::string(kWidth - full, ' '), done_ + 1, steps_, what, left);
  std::fflush(stderr);
  done_ = std::min(done_ + 1, steps_);
}

}  // namespace tideline::app::compare
