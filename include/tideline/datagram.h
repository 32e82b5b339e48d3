// SPDX-License-Identifier: Apache-2.0
// Datagrams: UDP of a host of tideline's. Nothing here blocks. Thread: the engine's. A socket must
// be gone before its engine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include <tideline/endpoint.h>
#include <tideline/error.h>

namespace tideline {

namespace api {
class DatagramState;
}  // namespace api

class DatagramSocket {
 public:
  struct Received {
    std::size_t size = 0;  // of the datagram; beyond the buffer's size it was cut off
    Endpoint from;
    Endpoint to;
  };

  // No socket.
  DatagramSocket();
  DatagramSocket(DatagramSocket&& other) noexcept;
  DatagramSocket& operator=(DatagramSocket&& other) noexcept;
  ~DatagramSocket();

  void set_context(void* context);
  // Takes the oldest datagram; nothing if there is none. At most 256 packets wait, later ones are
  // dropped and counted (api.datagram_queue_full).
  std::optional<Received> receive(std::span<std::byte> buffer);
  // Of at most 65507 bytes (65527 over IPv6), copied. ErrorKind::kExhausted: no memory for it now;
  // kEnvironment: no route. That it was sent says nothing of its arrival.
  Status send(std::span<const std::byte> bytes, const Endpoint& to);

 private:
  friend class Host;
  explicit DatagramSocket(std::unique_ptr<api::DatagramState> state);

  std::unique_ptr<api::DatagramState> state_;
};

}  // namespace tideline
