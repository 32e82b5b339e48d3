// SPDX-License-Identifier: Apache-2.0
// The members whose peace the torture must not disturb: two processes that exchange frames whose
// every byte they check, answer requests of whoever joins, and try to send to every other slot all
// the time. The board is shared memory in which they tell the supervisor how they fare.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>

#include "common/resources.h"
#include "proofs/segment/segment.h"

namespace proofs::segment {

// Slots: the bystanders, the member that is tormented, and one more for when a hostile member has
// taken that slot.
inline constexpr unsigned kBystanders = 2;
inline constexpr unsigned kTortureSlots = 4;
// The tormented run on the first core, the bystanders on the second, if there are two.
inline constexpr int kTortureCore = 0;
inline constexpr int kBystanderCore = 1;

struct BystanderState {
  std::atomic<bool> ready;
  std::atomic<std::uint64_t> received;  // frames of the other bystander, all right
  std::atomic<std::uint64_t> wrong;     // lost, repeated or damaged
  std::atomic<std::uint64_t> longest_silence_ns;
  std::atomic<std::uint64_t> dropped_references;
  std::atomic<std::uint64_t> refused_indices;
  // The supervisor raises `asked`; the bystander writes `resources`, then `answered`.
  std::atomic<std::uint32_t> asked;
  std::atomic<std::uint32_t> answered;
  bench::Resources resources;
};

struct Board {
  std::atomic<bool> stop;
  std::array<BystanderState, kBystanders> bystanders;
  // Of the tormented: it has joined in this slot and got answers from both bystanders.
  std::atomic<std::uint32_t> exchanged;
};

MemberConfig torture_config(const std::string& meeting_point);

// The body of bystander `self` (its slot). Returns the exit status.
int run_bystander(const MemberConfig& config, unsigned self, Board& board);

// Sends a request to each bystander and waits for the answers. False if one does not come in time.
bool exchange_with_bystanders(Member& member);
// Sends one frame of a kind that nobody answers.
void send_chatter(Member& member, unsigned destination, std::uint64_t number);

void pin_if_possible(int core);

}  // namespace proofs::segment
