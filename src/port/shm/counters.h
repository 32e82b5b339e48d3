// SPDX-License-Identifier: Apache-2.0
// What a member has done, and why it dropped what it dropped. One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace tideline::port::shm {

enum class Event : std::uint8_t {
  kSent,
  kReceived,
  kDropRingFull,      // sent: the destination does not keep up, or is stopped
  kDropNoBlock,       // sent: the destination holds its share of the arena
  kDropNoPeer,        // sent: nobody owns the destination's slot, or it refuses
  kDropTooLong,       // sent: longer than kMaxFrame
  kDropBadReference,  // received: offset or length outside of the sender's arena
  kRefusedIndex,      // a destination's index named frames that were never sent
  kRefusedHello,      // a sender's handshake was malformed, false or unsealed
  kRefusedWelcome,    // a destination's answer was
  kHandshakeTimeout,  // connected and said nothing
  kLinkUp,            // a sender was mapped
  kLinkDown,          // a sender or a destination ended; its memory is released
};
inline constexpr std::size_t kEvents = 13;
inline constexpr std::array<const char*, kEvents> kEventNames = {
    "sent",          "received",        "drop_ring_full",     "drop_no_block",
    "drop_no_peer",  "drop_too_long",   "drop_bad_reference", "refused_index",
    "refused_hello", "refused_welcome", "handshake_timeout",  "link_up",
    "link_down",
};

class Counters {
 public:
  void count(Event event) { ++values_[static_cast<std::size_t>(event)]; }
  std::uint64_t operator[](Event event) const { return values_[static_cast<std::size_t>(event)]; }

 private:
  std::array<std::uint64_t, kEvents> values_{};
};

}  // namespace tideline::port::shm
