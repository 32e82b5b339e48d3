// SPDX-License-Identifier: Apache-2.0
// What one would write in an afternoon, to be beaten: a queue under a mutex in shared memory for a
// stream, a pair of Unix sockets for ping-pong. Each forks, pins and reaps its process; call from a
// program with one thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/time.h"
#include "common/latency.h"

namespace bench::shm {

// Frames of `length` per second, copied in under the lock and out under the lock.
double locked_queue_rate(std::size_t length, tideline::Duration duration);

// Round trips of a frame of `length` over AF_UNIX datagrams, both sides polling.
LatencySamples socketpair_round_trips(std::size_t length, std::uint64_t count,
                                      tideline::Duration at_most);

}  // namespace bench::shm
