// SPDX-License-Identifier: Apache-2.0
// A bell across a trust boundary: a byte into a socketpair. Unlike a write to an eventfd, nothing
// that the sleeper does can make the ringer wait.
//
// In an epoll set: edge-triggered, for every byte is an edge of its own, read or not. What is never
// read is drained now and then, for a full socket takes no more.
#pragma once

#include "base/error.h"
#include "base/fd.h"

namespace tideline::queue {

struct Doorbell {
  // Blocks, so that a thread that reads it is restarted after signals as POSIX has it.
  UniqueFd sleeper;
  UniqueFd ringer;

  static Result<Doorbell> create();
  // Never waits. Rings of one sleep may count as one.
  static void ring(int ringer);
  // Takes the rings that have come so far.
  static void drain(int sleeper);
  // Rings that may stand unread.
  static constexpr unsigned kMostUnread = 64;
};

}  // namespace tideline::queue
