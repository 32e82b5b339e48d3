// SPDX-License-Identifier: Apache-2.0
// What stands behind a DatagramSocket: packets that wait for the program, as they came. Thread: the
// engine's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <tideline/datagram.h>

#include "api/runtime.h"
#include "ip/udp.h"

namespace tideline::api {

class DatagramState final : public Source, private ip::UdpHandler {
 public:
  static constexpr std::size_t kMostWaiting = 256;  // packets, of one or many datagrams
  // Of the engine's pool, that they may hold: an eighth of it.
  static constexpr std::size_t kMostSegments = 1024;

  explicit DatagramState(Runtime& runtime) : Source(runtime) {}
  ~DatagramState();

  // 0: a port that is free.
  Status bind(std::uint16_t port);
  std::optional<DatagramSocket::Received> take(std::span<std::byte> buffer);
  Status send(std::span<const std::byte> bytes, const Endpoint& to);

 private:
  struct Waiting {
    packet::PacketPtr payload;
    ip::UdpPath path;
    std::size_t segments = 0;  // of the payload as it came
  };

  void receive(packet::PacketPtr payload, const ip::UdpPath& path, Instant now) override;
  void failed(const ip::PathError& /*error*/, Instant /*now*/) override {}

  std::uint16_t port_ = 0;
  std::array<Waiting, kMostWaiting> waiting_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  std::size_t segments_ = 0;
};

}  // namespace tideline::api
