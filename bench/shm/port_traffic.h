// SPDX-License-Identifier: Apache-2.0
// Traffic between two shm ports in two processes, a core each, through the interface that the
// engine uses. Each function forks, pins and reaps its process; call from a program with one
// thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/time.h"
#include "common/latency.h"

namespace bench::shm {

// What becomes of a frame at the receiver.
enum class Receive : std::uint8_t {
  kDropped,         // it is looked at no further: the cost of the port alone
  kCopied,          // the port copies it into the pool, the receiver from there to its buffer
  kBorrowedCopied,  // the port lends it, the receiver copies it to its buffer
};

struct PortRate {
  double frames_per_second = 0;
  double gigabits_per_second = 0;
  double passes_per_byte = 0;  // of both ports and the receiver's copy
};

// Frames of `length`, a header written and the rest borrowed from a buffer as TCP borrows from its
// send FIFO; what the wire does not take is lost.
PortRate port_stream(std::size_t length, Receive receive, tideline::Duration duration);

LatencySamples port_round_trips(std::size_t length, std::uint64_t count,
                                tideline::Duration at_most);

}  // namespace bench::shm
