// SPDX-License-Identifier: Apache-2.0
// TCP's network as a host's IP layer provides it. Thread: the worker's.
#pragma once

#include "ip/stack.h"
#include "tcp/config.h"

namespace tideline::tcp {

class IpNetwork final : public Network {
 public:
  // The stack outlives it. Frames of many segments are made where what lies below takes them.
  IpNetwork(ip::Stack& stack, bool gso4, bool gso6) : stack_(stack), gso4_(gso4), gso6_(gso6) {}

  ip::Sent send(packet::PacketPtr packet, const ip::Departure& departure, Instant now) override;
  std::optional<wire::Ipv6Address> source_for(const wire::Ipv6Address& destination) const override;
  std::uint16_t mtu_to(const wire::Ipv6Address& destination, Instant now) const override;
  bool takes_gso(bool ipv4) const override { return ipv4 ? gso4_ : gso6_; }
  void confirm(const wire::Ipv6Address& destination, Instant now) override;

 private:
  ip::Stack& stack_;
  bool gso4_;
  bool gso6_;
};

}  // namespace tideline::tcp
