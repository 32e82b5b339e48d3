// SPDX-License-Identifier: Apache-2.0
// Who asks others for echoes, and under which identifier: shared by ICMP and ICMPv6. Thread: the
// worker's that owns the host.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/time.h"
#include "ip/delivery.h"
#include "packet/packet.h"

namespace tideline::ip {

// `data` is what follows the ICMP header.
struct EchoReply {
  wire::Ipv6Address source;
  std::uint16_t identifier = 0;
  std::uint16_t sequence = 0;
  std::uint8_t hop_limit = 0;
  packet::PacketPtr data;
};

class EchoHandler {
 public:
  virtual void echo_replied(EchoReply reply, Instant now) = 0;
  virtual void echo_failed(const PathError& error, Instant now) = 0;

 protected:
  ~EchoHandler() = default;
};

class EchoTable {
 public:
  // False if the identifier is taken.
  bool open(std::uint16_t identifier, EchoHandler& handler) {
    if (find(identifier) != nullptr) return false;
    handlers_.emplace_back(identifier, &handler);
    return true;
  }
  void close(std::uint16_t identifier) {
    std::erase_if(handlers_, [&](const auto& each) { return each.first == identifier; });
  }
  // Null if there is none.
  EchoHandler* find(std::uint16_t identifier) const {
    for (const auto& [known, handler] : handlers_) {
      if (known == identifier) return handler;
    }
    return nullptr;
  }

 private:
  std::vector<std::pair<std::uint16_t, EchoHandler*>> handlers_;
};

}  // namespace tideline::ip
