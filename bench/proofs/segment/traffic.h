// SPDX-License-Identifier: Apache-2.0
// Traffic between two members in two processes, a core each: a stream one way, and ping-pong. Each
// function forks, pins and reaps its processes; call it from a program with one thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/time.h"
#include "common/latency.h"
#include "proofs/segment/segment.h"

namespace proofs::segment {

// How a sender comes by a frame.
enum class Production : std::uint8_t {
  kCopied,   // copied from a buffer of the program: two passes with the copy out
  kInPlace,  // written into the block by the program itself: one pass
  kHeader,   // only its first line is written, as a forwarder does: one pass
};

struct StreamRate {
  double frames_per_second = 0;
  double gigabits_per_second = 0;
  bool arena_is_huge = false;
};

// The rate at which the receiver has copied frames of `length` out, after a warm-up. `config` names
// everything but the meeting point.
StreamRate stream(MemberConfig config, std::size_t length, Production production,
                  tideline::Duration duration, CopyRoutine copy_out = copy_by_vectors);

// Round trips of a frame of `length`: `count` after a warm-up, unless time runs out.
bench::LatencySamples ping_pong(MemberConfig config, std::size_t length, std::uint64_t count,
                                tideline::Duration at_most);

}  // namespace proofs::segment
