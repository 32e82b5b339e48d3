// SPDX-License-Identifier: Apache-2.0
#include "wire/arp.h"

#include "wire/ethernet.h"

namespace tideline::wire {
namespace {

constexpr std::uint16_t kHardwareEthernet = 1;

}  // namespace

Parsed<Arp> parse_arp(Bytes packet) {
  if (packet.size() < sizeof(ArpHeader)) return drop(DropReason::kArpShort);
  const auto& header = view_as<ArpHeader>(packet);
  if (header.hardware_type.value() != kHardwareEthernet) return drop(DropReason::kArpHardwareType);
  if (header.protocol_type.value() != kEtherTypeIpv4) return drop(DropReason::kArpProtocolType);
  if (header.hardware_length != sizeof(MacAddress)) return drop(DropReason::kArpHardwareLength);
  if (header.protocol_length != sizeof(Ipv4Address)) return drop(DropReason::kArpProtocolLength);
  const std::uint16_t operation = header.operation.value();
  if (operation != static_cast<std::uint16_t>(ArpOperation::kRequest) &&
      operation != static_cast<std::uint16_t>(ArpOperation::kReply)) {
    return drop(DropReason::kArpOperation);
  }
  if (header.sender_mac.is_multicast()) return drop(DropReason::kArpSenderMulticast);
  return Arp{.operation = static_cast<ArpOperation>(operation),
             .sender_mac = header.sender_mac,
             .sender_ip = header.sender_ip,
             .target_mac = header.target_mac,
             .target_ip = header.target_ip};
}

std::size_t emit(const Arp& arp, MutableBytes out) {
  view_as<ArpHeader>(out) = {.hardware_type = be16(kHardwareEthernet),
                             .protocol_type = be16(kEtherTypeIpv4),
                             .hardware_length = sizeof(MacAddress),
                             .protocol_length = sizeof(Ipv4Address),
                             .operation = be16(static_cast<std::uint16_t>(arp.operation)),
                             .sender_mac = arp.sender_mac,
                             .sender_ip = arp.sender_ip,
                             .target_mac = arp.target_mac,
                             .target_ip = arp.target_ip};
  return sizeof(ArpHeader);
}

}  // namespace tideline::wire
