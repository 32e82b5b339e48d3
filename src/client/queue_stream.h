// SPDX-License-Identifier: Apache-2.0
// A TCP socket behind a queue pair: idle, then a listener or a connection. Thread: any, of this
// process and of those that it forks.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "client/queue_socket.h"
#include "client/urgent.h"

namespace tideline::client {

class QueueStream final : public QueueSocket {
 public:
  explicit QueueStream(QueueSockets& sockets) : QueueSocket(sockets) {}

  // Begins a life: accepted, and so connected; or opened here or adopted,
  // and so whatever its page says.
  bool accepted(const queue::Response& where) { return begin(where) && has_fifos(); }

  bool adopted(const queue::Response& where) {
    return begin(where) && (outgoing().size() == 0 || has_fifos());
  }

  Outcome<void> listen(std::uint32_t backlog) override;
  Outcome<void> connect(const std::optional<Endpoint>& remote) override;
  Outcome<Socket*> accept() override;
  Outcome<void> shut_down(bool receiving, bool sending) override;
  void close(bool abort) override;
  Outcome<std::size_t> send(std::span<const iovec> from,
                            const std::optional<Endpoint>& /*to*/) override {
    return send_with(from, {});
  }
  Outcome<std::size_t> send_with(std::span<const iovec> from, const SendHints& hints) override;
  Outcome<std::size_t> receive_urgent(std::span<const iovec> into, bool peek) override;
  bool is_at_mark() override;
  Outcome<Received> receive(std::span<const iovec> into, bool peek) override;
  unsigned readiness(unsigned wanted) override;
  std::size_t readable_bytes() override;
  std::size_t receive_capacity() override;
  std::size_t outgoing_bytes() override;
  std::optional<Endpoint> remote() override { return remote_in_page(); }

 private:
  bool has_failed() const { return page_->error.load(std::memory_order_acquire) != 0; }
  Outcome<std::size_t> refusal_to_send();
  std::size_t write(std::span<const iovec> from, std::size_t size, bool urgent);
  // What of the incoming FIFO is urgent.
  Urgent urgent() const;
  void tell_consumed(const queue::FifoView& fifo, bool was_full);
  unsigned events_of_connection(std::uint32_t flags, unsigned wanted);
};

}  // namespace tideline::client
