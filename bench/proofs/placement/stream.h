// SPDX-License-Identifier: Apache-2.0
// The measured pair: this process places, a forked target spins on its memory as ib_write_lat does,
// and answers each block by a plain store into shared memory. Window 1 gives round trips, a larger
// window throughput.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "base/guarded_copy.h"
#include "base/time.h"
#include "common/latency.h"
#include "proofs/placement/session.h"

namespace proofs::placement {

enum class Path : std::uint8_t {
  kRaw,                  // a bare copy into the shared mapping, unchecked: the limit
  kDirect,               // DirectPath, shared mapping
  kProcessVm,            // DirectPath, process_vm_writev
  kProcessVmOneElement,  // process_vm_writev without a last byte of its own, unchecked
  kFrames,               // FrameSender and helper
};

struct Stream {
  Path path = Path::kRaw;
  tideline::CopyResult (*raw_copy)(void*, const void*, std::size_t) noexcept = nullptr;  // of kRaw
  std::size_t size = 8;
  std::size_t window = 1;  // blocks of `size`, written in turn
  bool verify = false;     // the target compares every byte of each block once it saw the last
  std::optional<int> target_core;
  std::optional<int> initiator_core;
  HelperTuning helper;
  WaitMode wait = WaitMode::kSpin;  // of the initiator, for the answer
  std::uint64_t count = 1000;
  tideline::Duration limit = std::chrono::seconds(2);  // ends the run before `count`
};

struct StreamResult {
  bench::LatencySamples round_trips;  // with window 1: placement out, a plain store back
  std::uint64_t blocks = 0;
  double seconds = 0;
  std::uint64_t stale_blocks = 0;  // of `verify`: seen with its last byte, but not complete
  bool good = false;               // every block placed, and the target ended well

  double gbps(std::size_t size) const {
    return static_cast<double>(blocks * size) * 8 / seconds / 1e9;
  }
};

StreamResult run_stream(const Stream& stream);

}  // namespace proofs::placement
