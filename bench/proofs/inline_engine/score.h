// SPDX-License-Identifier: Apache-2.0
// What a program under test reports, in a file that it and the proof map.
#pragma once

#include <atomic>
#include <cstdint>

namespace proofs::inline_engine {

struct Score {
  std::atomic<std::uint32_t> finished;
  std::atomic<std::uint32_t> good;
};

}  // namespace proofs::inline_engine
