// SPDX-License-Identifier: Apache-2.0
// Who sends and receives in bench_xdp: our port, or DPDK's testpmd on its af_xdp driver. Each is a
// child process on one core.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "common/process.h"

namespace bench::xdp {

// The whole frame, as testpmd counts it.
inline constexpr std::size_t kFrame = 1400;
// How many seconds frames are counted, after the sender has got going.
inline constexpr double kCounted = 2;

enum class Kind { kTideline, kDpdk };

bool has_dpdk();

// Sends as fast as it can until it is ended.
Child send_on(Kind kind, const std::string& interface, int core);

class Receiver {
 public:
  virtual ~Receiver() = default;
  // Returns when it is ready to receive.
  virtual void wait_until_ready() = 0;
  // Frames per second, counted over kCounted seconds of a sender that runs already.
  virtual double rate() = 0;
};

std::unique_ptr<Receiver> receive_on(Kind kind, const std::string& interface, int core);

}  // namespace bench::xdp
