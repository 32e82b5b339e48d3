// SPDX-License-Identifier: Apache-2.0
// A socket in the memory that a program and its front end share: what holds of it, and the indices
// of its two byte FIFOs. docs/queue-pair.md, "The queue pair".
//
// Both sides may write all of it. The engine keeps its own index of each FIFO and everything else
// that it relies on in private memory; here it only tells.
//
// Thread: any, of any process of the family.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/bits.h"
#include "queue/fifo_places.h"
#include "queue/messages.h"
#include "ring/byte_fifo.h"

namespace tideline::queue {

// Bits of SocketPage::flags.
inline constexpr std::uint32_t kListening = 1;
inline constexpr std::uint32_t kConnecting = 2;
inline constexpr std::uint32_t kConnected = 4;  // stays when it has ended
inline constexpr std::uint32_t kPeerClosed = 8;
inline constexpr std::uint32_t kEnded = 16;
inline constexpr std::uint32_t kReceivingShut = 32;
inline constexpr std::uint32_t kSendingShut = 64;
inline constexpr std::uint32_t kReported = 128;  // kTakeReport has something

// Who is to be told: a waiting context of one channel, and what to tell it. 0: nobody.
//
//   63 .. 48  channel    47 .. 32  waiter    31  set    11 .. 0  hint
class WatcherSlot {
 public:
  static constexpr std::uint64_t make(std::uint16_t channel, std::uint16_t waiter, unsigned hint) {
    return std::uint64_t{channel} << 48 | std::uint64_t{waiter} << 32 | std::uint64_t{1} << 31 |
           (hint & 0xfff);
  }
  static constexpr std::uint16_t channel(std::uint64_t slot) {
    return static_cast<std::uint16_t>(slot >> 48);
  }
  static constexpr std::uint16_t waiter(std::uint64_t slot) {
    return static_cast<std::uint16_t>(slot >> 32);
  }
  static constexpr unsigned hint(std::uint64_t slot) { return static_cast<unsigned>(slot & 0xfff); }
};

inline constexpr std::uint32_t kEngineLock = UINT32_MAX;

struct SocketPage {
  static constexpr std::size_t kWatchers = 15;

  // The engine's. `local` and `remote` are written before the flags that announce them.
  alignas(kCacheLine) std::atomic<std::uint32_t> flags{0};
  std::atomic<std::uint32_t> error{0};    // client::Failure; who reports it takes it
  std::atomic<std::uint32_t> waiting{0};  // of a listener: connections for accept
  std::uint32_t type = 0;                 // client::SocketType
  EndpointRecord local{};
  EndpointRecord remote{};

  // The program's. A lock holds the channel's number + 1; the engine opens those of a dead channel,
  // and takes one itself (kEngineLock), if it is open, for as long as it moves an empty FIFO.
  std::atomic<std::uint32_t> sending{0};
  std::atomic<std::uint32_t> receiving{0};

  // The program writes `outgoing.written` and `incoming.consumed`, the engine the other two.
  ring::FifoIndices outgoing;
  ring::FifoIndices incoming;

  // The engine's. Of a stream there are none before kConnecting and kConnected.
  alignas(kCacheLine) FifoPlaces outgoing_places;
  FifoPlaces incoming_places;

  alignas(kCacheLine) std::array<std::atomic<std::uint64_t>, kWatchers> watchers{};
  // The program's: a look for room found too little, so the watchers are to be told of the next.
  std::atomic<std::uint32_t> wants_room{0};
  // The program's: of which incoming.consumed, modulo 2^32, the engine was told last.
  std::atomic<std::uint32_t> told{0};
};
static_assert(sizeof(SocketPage) == 512);

}  // namespace tideline::queue
