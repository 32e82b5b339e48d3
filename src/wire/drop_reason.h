// SPDX-License-Identifier: Apache-2.0
// Why a frame was dropped: one reason per distinct cause, each with the name of its counter. Every
// drop on the data path carries one. Thread: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string_view>

namespace tideline::wire {

// In the order of kDropReasons in drop_reason.cc, which explains each in a few words.
enum class DropReason : std::uint8_t {
  kEthernetShort,
  kEthernetEmpty,
  kEthernetLengthField,
  kVlanTruncated,
  kVlanTooDeep,
  kVlanNotConfigured,
  kHeadersScattered,

  kArpShort,
  kArpHardwareType,
  kArpHardwareLength,
  kArpProtocolType,
  kArpProtocolLength,
  kArpOperation,
  kArpSenderMulticast,

  kIpv4Short,
  kIpv4Version,
  kIpv4HeaderLength,
  kIpv4HeaderBeyondPacket,
  kIpv4LengthBelowHeader,
  kIpv4LengthBeyondFrame,
  kIpv4Checksum,
  kIpv4SourceUnspecified,
  kIpv4SourceMulticast,
  kIpv4SourceBroadcast,
  kIpv4SourceReserved,
  kIpv4SourceLoopback,
  kIpv4DestinationLoopback,
  kIpv4OptionLength,
  kIpv4OptionBeyondHeader,
  kIpv4OptionPointer,
  kIpv4SourceRoute,
  kIpv4FragmentEmpty,
  kIpv4FragmentUnaligned,
  kIpv4FragmentBeyondMaximum,

  kIpv6Short,
  kIpv6Version,
  kIpv6LengthBeyondFrame,
  kIpv6Jumbogram,
  kIpv6SourceMulticast,
  kIpv6SourceLoopback,
  kIpv6DestinationLoopback,
  kIpv6DestinationScope,
  kIpv6ExtensionTruncated,
  kIpv6ExtensionTooMany,
  kIpv6HopByHopMisplaced,
  kIpv6RoutingType0,
  kIpv6RoutingNotOurs,
  kIpv6OptionBeyondHeader,
  kIpv6OptionLength,
  kIpv6OptionUnknown,
  kIpv6OptionUnknownReport,
  kIpv6OptionUnknownReportUnicast,
  kIpv6FragmentEmpty,
  kIpv6FragmentUnaligned,
  kIpv6FragmentBeyondMaximum,
  kIpv6FragmentNested,
  kIpv6FirstFragmentIncomplete,

  kIcmpShort,
  kIcmpChecksum,
  kIcmpType,
  kIcmpSourceQuench,
  kIcmpRedirectCode,
  kIcmpTimestamp,
  kIcmpAddressMask,
  kIcmpMtu,
  kIcmpQuoteShort,
  kIcmpQuoteHeader,
  kIcmpQuoteFragment,

  kIcmpv6Short,
  kIcmpv6Checksum,
  kIcmpv6Type,
  kIcmpv6Mtu,
  kIcmpv6QuoteShort,
  kIcmpv6QuoteHeader,
  kIcmpv6QuoteFragment,

  kNdpHopLimit,
  kNdpCode,
  kNdpShort,
  kNdpOptionLengthZero,
  kNdpOptionBeyondMessage,
  kNdpOptionSize,
  kNdpTargetMulticast,
  kNdpSourceNotLinkLocal,
  kNdpProbeDestination,
  kNdpLinkAddressFromUnspecified,
  kNdpSolicitedMulticast,
  kNdpRedirectTarget,
  kNdpRedirectDestination,

  kIgmpShort,
  kIgmpChecksum,
  kIgmpType,
  kIgmpGroup,
  kIgmpSources,
  kMldShort,
  kMldGroup,
  kMldSources,

  kUdpShort,
  kUdpLengthBelowHeader,
  kUdpLengthBeyondPacket,
  kUdpDestinationPortZero,
  kUdpChecksum,
  kUdpChecksumMissing,

  kTcpShort,
  kTcpDataOffsetBelowHeader,
  kTcpDataOffsetBeyondSegment,
  kTcpChecksum,
  kTcpOptionLength,
  kTcpAuthentication,

  kRoceShort,
  kRoceVersion,
  kRoceOpcode,
  kRoceNextHeader,
};

inline constexpr std::size_t kDropReasonCount =
    static_cast<std::size_t>(DropReason::kRoceNextHeader) + 1;

// The name of the reason's counter: "ipv4_checksum".
std::string_view name_of(DropReason reason);
// What was wrong, in a few words: "IPv4 header checksum is wrong".
std::string_view explain(DropReason reason);

template <typename T>
using Parsed = std::expected<T, DropReason>;

inline std::unexpected<DropReason> drop(DropReason reason) { return std::unexpected(reason); }

}  // namespace tideline::wire
