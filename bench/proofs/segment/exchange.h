// SPDX-License-Identifier: Apache-2.0
// Frames of all kinds there and back between two members in two processes, every byte checked. It
// forks; call it from a program with one thread.
#pragma once

#include "proofs/segment/segment.h"

namespace proofs::segment {

struct Exchange {
  bool intact = false;  // every frame arrived as it was sent, in both directions, in time
  unsigned round_trips = 0;
  bool said_huge = false;    // what the member says of its arena
  bool mapped_huge = false;  // what the kernel says of the whole of it (/proc/self/smaps)
};

// `rounds` round trips of each length: 64 B (inline), 1400 B and 64 KiB (in blocks). `config` names
// everything but the meeting point.
Exchange exchange(MemberConfig config, unsigned rounds);

}  // namespace proofs::segment
