// SPDX-License-Identifier: Apache-2.0
// Why this room dropped a packet, where not the packet's own bytes decide (wire::DropReason) but
// the host's state: its addresses, neighbours, fragments and ports. One counter each. Thread: the
// worker's that owns the host.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <string_view>

#include "wire/drop_reason.h"

namespace tideline::ip {

// In the order of kDiscards in discard.cc, which explains each in a few words.
enum class Discard : std::uint8_t {
  kPoolExhausted,
  kEtherType,
  kVlanOther,

  kNeighbourQueueFull,
  kNeighbourTableFull,
  kNeighbourEvicted,
  kNeighbourUnresolved,
  kArpUnsolicited,
  kArpSenderNotCacheable,
  kArpSenderOffLink,
  kArpNotForUs,
  kAddressConflict,
  kNdpUnsolicited,
  kNdpClaimIgnored,
  kNdpNotForUs,
  kNdpSourceOffLink,
  kNdpDuplicateProbe,
  kNdpRouterMessage,
  kNdpRedirect,
  kNdpFragmented,
  kNdpTooManyRouters,
  kNdpTooManyPrefixes,
  kGroupMessageFromAfar,

  kLinkMulticast,
  kSourceIsOurs,
  kSourceBroadcast,
  kSourceUnspecified,
  kNotOurs,
  kProtocolUnknown,

  kDestinationNever,
  kNoRoute,
  kNoSource,
  kSourceNotOurs,
  kTooBig,
  kLoopbackFull,

  kFragmentDuplicate,
  kFragmentOverlap,
  kFragmentTotalDiffers,
  kFragmentTooMany,
  kFragmentPoisoned,
  kReassemblyEvicted,
  kReassemblyTimeout,
  kReassemblyTooLarge,

  kIcmpEchoToGroup,
  kIcmpEchoUnknown,
  kIcmpRateLimited,
  kIcmpQuoteNotOurs,
  kIcmpQuoteUnknown,
  kPmtuImplausible,
  kIcmpRedirect,

  kUdpPortClosed,
  kUdpPortZero,
  kUdpSocketFull,
  kUdpNotFromPeer,
  kReportsFull,
};

inline constexpr std::size_t kDiscardCount = static_cast<std::size_t>(Discard::kReportsFull) + 1;

// The name of the reason's counter: "neighbour_unresolved".
std::string_view name_of(Discard reason);
// What happened, in a few words.
std::string_view explain(Discard reason);

// Whether a packet was accepted for sending; if not, it is gone and counted.
using Sent = std::expected<void, Discard>;

// The counters of one host.
class DropCounters {
 public:
  void count(wire::DropReason reason) { ++malformed_[static_cast<std::size_t>(reason)]; }
  void count(Discard reason) { ++discarded_[static_cast<std::size_t>(reason)]; }
  // Counts, for `return refuse(...)` in functions that send.
  std::unexpected<Discard> refuse(Discard reason) {
    count(reason);
    return std::unexpected(reason);
  }

  std::uint64_t of(wire::DropReason reason) const {
    return malformed_[static_cast<std::size_t>(reason)];
  }
  std::uint64_t of(Discard reason) const { return discarded_[static_cast<std::size_t>(reason)]; }

 private:
  std::array<std::uint64_t, wire::kDropReasonCount> malformed_{};
  std::array<std::uint64_t, kDiscardCount> discarded_{};
};

}  // namespace tideline::ip
