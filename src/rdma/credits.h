// SPDX-License-Identifier: Apache-2.0
// End-to-end credits: a responder says in each acknowledgement for how many more messages it has
// receive requests, in five bits; a requester sends no more than that. IBA 9.7.7.2. Values.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "wire/roce.h"

namespace tideline::rdma {

// By code; code 31 says nothing.
inline constexpr std::array<std::uint32_t, 31> kCredits{
    0,   1,   2,   3,   4,    6,    8,    12,   16,   24,   32,   48,    64,    96,    128,  192,
    256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 24576, 32768};

// The syndrome of an ACK with at most that many credits.
constexpr std::uint8_t syndrome_of_credits(std::uint32_t count) {
  const auto beyond = std::ranges::upper_bound(kCredits, count);
  const auto code = static_cast<std::uint8_t>(beyond - kCredits.begin() - 1);
  return wire::AethSyndrome::kAck | code;
}
static_assert(syndrome_of_credits(0) == 0);
static_assert(syndrome_of_credits(5) == 4);
static_assert(syndrome_of_credits(UINT32_MAX) == 30);

}  // namespace tideline::rdma
