// SPDX-License-Identifier: Apache-2.0
// The memory of one channel: a process on one side, an engine's worker on the other. Where what
// lies: docs/queue-pair.md, "The channel".
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/bits.h"
#include "queue/hint_board.h"
#include "queue/messages.h"
#include "queue/verbs.h"

namespace tideline::queue {

// Calls, one at a time: the program fills `request`, adds one to `asked` and hints kCallHint; the
// engine copies the request before it looks at it, fills `response` and adds one to `answered`. Who
// sleeps on `answered` (futex) says so in `sleeps` first.
struct CallSlot {
  alignas(kCacheLine) std::atomic<std::uint32_t> asked{0};
  alignas(kCacheLine) std::atomic<std::uint32_t> answered{0};
  std::atomic<std::uint32_t> sleeps{0};
  alignas(kCacheLine) Request request;
  alignas(kCacheLine) Response response;
  // Of Op::kVerbs.
  alignas(kCacheLine) VerbsRequest verbs_request;
  alignas(kCacheLine) VerbsResponse verbs_response;
  // Of Op::kChangeKeys; the engine blanks it.
  alignas(kCacheLine) KeyRecord key;
  // Of Op::kReadKey; the program blanks it.
  alignas(kCacheLine) KeyStateRecord key_state;
};

struct ChannelMemory {
  static constexpr std::size_t kWaiters = 128;
  // Handle 0 is none: its hint says that a call was made.
  static constexpr unsigned kCallHint = 0;

  HintBoard engine;  // sockets, by handle, that the engine is to look at
  CallSlot call;
  std::array<HintBoard, kWaiters> waiters;  // waiting contexts, that the program is to look at
};

// Which bit of the engine's board hints an object of verbs: from the end, where sockets are last.
constexpr unsigned verbs_hint(std::uint32_t handle) {
  return HintBoard::kHints - 1 - handle % (HintBoard::kHints - 1);
}

// Handles of a channel, and sockets of a family: 1 .. this - 1, each with its page.
inline constexpr std::uint32_t kMostSockets = 1 << 16;
inline constexpr std::size_t kPageSize = 512;
// The family's memory: the pages, then the FIFOs. It is sparse; who maps it does so in pieces.
inline constexpr std::size_t kFifosBegin = kMostSockets * kPageSize;
inline constexpr std::size_t kPiece = std::size_t{32} << 20;
static_assert(kFifosBegin % kPiece == 0);

}  // namespace tideline::queue
