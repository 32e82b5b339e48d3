// SPDX-License-Identifier: Apache-2.0
// What the transport counts, on the device as a whole: every dropped packet has a reason. Thread:
// the engine's lock.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "packet/pass_counter.h"
#include "wire/drop_reason.h"

namespace tideline::rdma {

// In the order of the names in counters.cc.
enum class Counter : std::uint8_t {
  // Packets and payload, both ways; a frame of several PSNs counts each.
  kRxPackets,
  kTxPackets,
  kRxBytes,
  kTxBytes,
  // Dropped before any queue pair saw them.
  kDropIcrc,
  kDropPkey,
  kDropQpUnknown,
  kDropQpState,  // the queue pair takes no packets in its state
  kDropQpType,   // opcode of another transport service
  kDropAddress,  // not from the queue pair's peer
  kDropQkey,     // UD
  kDropGso,      // a frame of several packets with another MTU than the queue pair
  // Responder.
  kRxSequenceError,  // request ahead of the expected PSN; NAK sent
  kDropAhead,        // the same, after the NAK
  kRxDuplicate,      // request that was executed before
  kDropDuplicate,    // and of which nothing is kept to answer it
  kDropMessage,      // UC and UD: message without its begin, end, or a receive request; too long
  kNakSequence,
  kNakInvalid,
  kNakAccess,
  kNakOperation,
  kNakRnr,
  // Requester.
  kDropAckStale,  // response to nothing outstanding: a duplicate, or PSN never sent
  kDropResponse,  // response that does not fit its request
  kDropSyndrome,  // reserved AETH syndrome
  kRetransmits,   // packets sent again
  kDirectWrites,  // requests that went by the direct path, and their payload
  kDirectReads,
  kDirectBytes,
  kTimeouts,
  kRxNakSequence,
  kRxRnr,
  kRetryExceeded,
  kRnrRetryExceeded,
  // Congestion: annex A17.9.3.
  kRxEcn,  // packets marked CE
  kRxCnp,
  kDropCnp,  // CNP for a queue pair that does not exist
  // Resources.
  kPoolExhausted,  // a packet had to wait for buffers
  kDropLoopback,   // to ourselves, and too many under way
  kDropSend,       // refused by IP: no route, no neighbour
  kCqOverrun,
};
inline constexpr std::size_t kCounterCount = static_cast<std::size_t>(Counter::kCqOverrun) + 1;

// "rx_sequence_error".
std::string_view name_of(Counter counter);

class Counters {
 public:
  void add(Counter counter, std::uint64_t count = 1) {
    values_[static_cast<std::size_t>(counter)] += count;
  }
  std::uint64_t of(Counter counter) const { return values_[static_cast<std::size_t>(counter)]; }

  // Packets whose own bytes are wrong: see wire::DropReason.
  void drop(wire::DropReason reason) { ++malformed_[static_cast<std::size_t>(reason)]; }
  std::uint64_t of(wire::DropReason reason) const {
    return malformed_[static_cast<std::size_t>(reason)];
  }

  packet::PassCounter passes;  // copies between program memory and packets, and ICRCs

 private:
  std::array<std::uint64_t, kCounterCount> values_{};
  std::array<std::uint64_t, wire::kDropReasonCount> malformed_{};
};

}  // namespace tideline::rdma
