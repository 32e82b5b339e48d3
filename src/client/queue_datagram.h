// SPDX-License-Identifier: Apache-2.0
// A UDP socket behind a queue pair: its FIFOs carry datagrams as records. Thread: any, of this
// process and of those that it forks.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "client/queue_socket.h"

namespace tideline::client {

class QueueDatagram final : public QueueSocket {
 public:
  static constexpr std::size_t kMostBytes = 65507;  // that IPv4 carries

  explicit QueueDatagram(QueueSockets& sockets) : QueueSocket(sockets) {}

  bool open(const queue::Response& where) { return begin(where) && has_fifos(); }

  Outcome<void> listen(std::uint32_t backlog) override;
  Outcome<void> connect(const std::optional<Endpoint>& remote) override;
  Outcome<Socket*> accept() override;
  Outcome<void> shut_down(bool receiving, bool sending) override;
  void close(bool abort) override;
  Outcome<std::size_t> send(std::span<const iovec> from,
                            const std::optional<Endpoint>& to) override {
    return send_by(from, to, {});
  }
  Outcome<std::size_t> send_by(std::span<const iovec> from, const std::optional<Endpoint>& to,
                               const DatagramWay& way) override;
  Outcome<Received> receive(std::span<const iovec> into, bool peek) override;
  unsigned readiness(unsigned wanted) override;
  std::size_t readable_bytes() override;
  std::optional<Endpoint> remote() override { return remote_in_page(); }

 private:
  bool put(const queue::DatagramRecord& record, std::span<const iovec> from);
  // Of the first datagram that waits, if there is one.
  std::optional<queue::DatagramRecord> first();
};

}  // namespace tideline::client
