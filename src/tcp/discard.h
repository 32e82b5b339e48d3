// SPDX-License-Identifier: Apache-2.0
// Why TCP dropped a segment, or a connection; and what else is counted. One counter each. What the
// header's own bytes decide is a wire::DropReason. Thread: the worker's that owns the host.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "wire/drop_reason.h"

namespace tideline::tcp {

// In the order of the names in discard.cc.
enum class Discard : std::uint8_t {
  kToGroup,     // to, or from, a broadcast or multicast address
  kPortClosed,  // answered with RST
  kPortZero,
  kOutOfWindow,      // unacceptable sequence number: answered with ACK
  kPaws,             // an old timestamp
  kNoAck,            // no ACK bit where one must be
  kAckUnacceptable,  // acknowledges what was not sent, or is very old
  kRstUnacceptable,
  kRstChallenged,
  kSynChallenged,
  kTimeWaitRst,
  kFlags,       // SYN with FIN or RST
  kAfterClose,  // data for a connection that its owner has closed: answered with RST
  kAcceptQueueFull,
  kAcceptDeferred,  // the acknowledgment that ends a handshake: data is waited for
  kCookieInvalid,
  kConnectionsFull,
  kRangesFull,
  kOutOfOrderFull,
  kBeyondWindow,  // bytes, trimmed off
  kNoMemory,      // for what came within the window
  kTimeWaitEvicted,
  kPoolExhausted,
  kNetworkRefused,  // IP did not take a segment
  kChallengeLimited,
  kPathErrorIgnored,
  // RFC 5925 §7.5.
  kAuthenticationMissing,
  kAuthenticationUnknownKey,
  kAuthenticationLength,
  kAuthenticationFailed,
  kAuthenticationUnexpected,  // where no key matches, and that is refused
  kAuthenticationPathError,   // of an authenticated connection: §7.8
};
inline constexpr std::size_t kDiscardCount =
    static_cast<std::size_t>(Discard::kAuthenticationPathError) + 1;
// "port_closed".
std::string_view name_of(Discard reason);

struct Counters {
  std::array<std::uint64_t, wire::kDropReasonCount> malformed{};
  std::array<std::uint64_t, kDiscardCount> discarded{};
  std::uint64_t segments_in = 0;
  std::uint64_t segments_out = 0;
  std::uint64_t retransmissions = 0;
  std::uint64_t resets_out = 0;
  std::uint64_t cookies_out = 0;
  std::uint64_t cookies_in = 0;
  std::uint64_t timeouts = 0;
  std::uint64_t probes = 0;  // tail loss probes
  std::uint64_t mtu_probes = 0;
  std::uint64_t mtu_probes_lost = 0;
  std::uint64_t black_holes = 0;  // of long packets, as it seemed
  std::uint64_t fast_recoveries = 0;
  std::uint64_t undone = 0;  // recoveries that were none
  std::uint64_t established = 0;
  std::uint64_t bypassed = 0;  // bytes, between two connections of this host

  void count(wire::DropReason reason) { ++malformed[static_cast<std::size_t>(reason)]; }
  void count(Discard reason) { ++discarded[static_cast<std::size_t>(reason)]; }
  std::uint64_t of(wire::DropReason reason) const {
    return malformed[static_cast<std::size_t>(reason)];
  }
  std::uint64_t of(Discard reason) const { return discarded[static_cast<std::size_t>(reason)]; }
};

}  // namespace tideline::tcp
