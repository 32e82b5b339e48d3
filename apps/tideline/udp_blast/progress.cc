// SPDX-License-Identifier: Apache-2.0
#include "udp_blast/progress.h"

#include <fmt/core.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>

namespace tideline::app::blast {

Progress::Progress()
    : terminal_(::isatty(STDERR_FILENO) != 0), due_(terminal_ ? Instant{} : kNever) {}

void Progress::show(std::uint64_t datagrams, std::uint64_t bytes, Instant now) {
  if (now < due_) return;
  due_ = now + std::chrono::seconds(1);
  if (last_ != Instant{} && bytes > bytes_) {
    const double seconds = std::chrono::duration<double>(now - last_).count();
    fmt::print(stderr, "\r{:.2f} Gb/s, {:.3f} M datagrams/s, {} datagrams\x1b[K",
               static_cast<double>(bytes - bytes_) * 8e-9 / seconds,
               static_cast<double>(datagrams - datagrams_) * 1e-6 / seconds, datagrams);
    shown_ = true;
  }
  last_ = now;
  datagrams_ = datagrams;
  bytes_ = bytes;
}

void Progress::clear() {
  if (shown_) fmt::print(stderr, "\r\x1b[K");
  shown_ = false;
}

}  // namespace tideline::app::blast
