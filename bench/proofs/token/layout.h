// SPDX-License-Identifier: Apache-2.0
// What the processes of this proof share: one page and two byte FIFOs per connection, and one board
// of doorbells per broker. The broker makes both as sealed memfds; the programs' shims map them
// read-write.
//
//   ConnectionPage   4 KiB: addresses, two Directions (side 0 to 1, side 1 to 0), two Endpoints
//   data             kFifoBytes of direction 0, then kFifoBytes of direction 1
//
// Indices run freely (64 bits, never wrapped) and are masked only at use, so that no value that a
// hostile process writes can lead outside the mapping.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/bits.h"

namespace proofs::token {

using tideline::kCacheLine;

inline constexpr std::size_t kFifoBytes = std::size_t{64} << 10;
inline constexpr std::uint32_t kMagic = 0x6e6b6f74;  // "tokn"

// An IPv4 end point; the address in network order as in sockaddr_in, the port in host order.
struct Address {
  std::uint32_t ip = 0;
  std::uint16_t port = 0;
  std::uint16_t unused = 0;
  friend bool operator==(const Address&, const Address&) = default;
};

// How a direction has ended, as its reader sees it once the FIFO is empty.
// NOLINTNEXTLINE(performance-enum-size): its place in the shared layout
enum class Ending : std::uint32_t { kOpen = 0, kFin = 1, kReset = 2 };

// One byte FIFO. The lock of an end serialises the threads and processes that use that end.
struct Direction {
  // The producer's line.
  alignas(kCacheLine) std::atomic<std::uint64_t> head;
  std::atomic<std::uint64_t> producer_lock;
  std::atomic<std::uint64_t> tail_seen;  // the producer's last look at `tail`, under its lock
  std::atomic<Ending> ending;
  std::atomic<std::uint32_t> reader_gone;  // the last descriptor of the reading side was closed

  // The consumer's line.
  alignas(kCacheLine) std::atomic<std::uint64_t> tail;
  std::atomic<std::uint64_t> consumer_lock;
  std::atomic<std::uint32_t> space_wanted;  // set by a producer that found too little room
};

// Who is to be told when this side becomes readable or writable: up to kSlots waiting contexts. A
// slot names a bell and a hint bit in it.
inline constexpr std::size_t kSlots = 14;
struct alignas(kCacheLine) Endpoint {
  std::atomic<std::uint32_t> used;         // bit i: slot i is taken
  std::atomic<std::uint32_t> nonblocking;  // O_NONBLOCK of the open file, shared by all duplicates
  std::array<std::atomic<std::uint32_t>, kSlots> slots;
};
static_assert(sizeof(Endpoint) == kCacheLine);

struct ConnectionPage {
  std::uint32_t magic;
  std::uint32_t unused;
  std::uint64_t id;
  std::array<Address, 2> address;      // of side 0 (which connected) and side 1 (which accepted)
  std::array<Direction, 2> direction;  // [i]: written by side i
  std::array<Endpoint, 2> endpoint;
};
static_assert(sizeof(ConnectionPage) <= tideline::kPageSize);
inline constexpr std::size_t kConnectionBytes = tideline::kPageSize + 2 * kFifoBytes;

// A waiting context: an epoll instance, or a thread in poll, select or a blocking call.
inline constexpr std::uint32_t kHintWords = 16;
inline constexpr std::uint32_t kHints = kHintWords * 64;
struct Bell {
  alignas(kCacheLine) std::atomic<std::uint32_t> generation;  // 0: free
  std::atomic<std::uint32_t> armed;                           // need_wakeup
  alignas(kCacheLine) std::array<std::atomic<std::uint64_t>, kHintWords> hints;
};

inline constexpr std::uint32_t kMaxBells = 1024;
inline constexpr std::uint32_t kMaxProcesses = 1024;
struct Board {
  std::uint32_t magic;
  // The incarnation of the process in each slot, 0 if none: tells whether a lock's owner lives.
  alignas(kCacheLine) std::array<std::atomic<std::uint64_t>, kMaxProcesses> alive;
  std::array<Bell, kMaxBells> bells;
};
inline constexpr std::size_t kBoardBytes = tideline::align_up(sizeof(Board), tideline::kPageSize);

}  // namespace proofs::token
