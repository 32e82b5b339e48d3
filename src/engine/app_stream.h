// SPDX-License-Identifier: Apache-2.0
// A TCP socket of a program's: idle, then a listener or a connection. The program reads the receive
// FIFO without the engine's gate, as long as there is something and the window need not be told.
//
// Thread: calls on any; what TCP tells, under the gate. It lives until both program and TCP have
// let go of it.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "client/sockets.h"
#include "client/urgent.h"
#include "engine/app_socket.h"
#include "engine/app_sockets.h"
#include "engine/reports.h"
#include "engine/socket_values.h"
#include "engine/stream_keys.h"
#include "tcp/byte_fifo.h"
#include "tcp/tcp.h"

namespace tideline::engine {

class AppStream final : public client::Socket,
                        private tcp::StreamOwner,
                        private tcp::ListenerOwner {
 public:
  explicit AppStream(AppSockets& sockets) : sockets_(sockets) {}

  // Begins a life: the program holds it.
  void open();
  bool is_bound() const { return bound_.has_value(); }
  Binding binding() const {
    return {.local = bound_.value_or(client::Endpoint{}),
            .sharing = sharing_,
            .listening = has(kListening)};
  }
  bool is_open() const { return held_by_program_; }
  // The program ends, while other threads of it may still be in calls: TCP closes, the rest stays.
  void finish(Instant now);
  // After finish() or close(): the peer may not have all of it.
  bool is_ending() const;
  std::uint64_t acknowledged() const { return sockets_.tcp().info(id_).bytes_acked; }

  client::Outcome<void> bind(const client::Endpoint& local, client::Sharing sharing) override;
  client::Outcome<void> listen(std::uint32_t backlog) override;
  client::Outcome<void> connect(const std::optional<client::Endpoint>& remote) override;
  client::Outcome<client::Socket*> accept() override;
  client::Outcome<void> shut_down(bool receiving, bool sending) override;
  void close(bool abort) override;
  void set_options(const client::Options& options) override;
  client::Outcome<void> change_keys(const client::KeyChange& change) override;
  client::Outcome<client::KeyState> read_key(std::uint32_t index) override;
  client::Outcome<std::size_t> send(std::span<const iovec> from,
                                    const std::optional<client::Endpoint>& /*to*/) override {
    return send_with(from, {});
  }
  client::Outcome<std::size_t> send_with(std::span<const iovec> from,
                                         const client::SendHints& hints) override;
  client::Outcome<client::Received> receive(std::span<const iovec> into, bool peek) override;
  client::Outcome<std::size_t> receive_urgent(std::span<const iovec> into, bool peek) override;
  bool is_at_mark() override;
  unsigned readiness(unsigned wanted) override;
  std::size_t readable_bytes() override;
  std::size_t receive_capacity() override;
  std::size_t outgoing_bytes() override;
  client::Failure take_error() override {
    return error_.exchange(client::Failure::kNone, std::memory_order_acq_rel);
  }
  std::optional<client::Report> take_report() override;
  bool has_reports() override { return reported_.load(std::memory_order_acquire); }
  client::Endpoint local() override;
  std::optional<client::Endpoint> remote() override;
  client::Info info() override;
  void watch(client::Waiter& waiter, unsigned hint) override;
  void unwatch(client::Waiter& waiter, unsigned hint) override;

 private:
  // Bits of flags_.
  static constexpr unsigned kListening = 1;
  static constexpr unsigned kConnecting = 2;
  static constexpr unsigned kConnected = 4;  // stays when it has ended
  static constexpr unsigned kPeerClosed = 8;
  static constexpr unsigned kEnded = 16;
  static constexpr unsigned kReceivingShut = 32;
  static constexpr unsigned kSendingShut = 64;

  // Of one connection.
  struct Buffers {
    Buffers(std::span<std::byte> send_memory, std::span<std::byte> receive_memory)
        : memory{send_memory, receive_memory},
          send(send_memory, send_indices),
          receive(receive_memory, receive_indices) {}

    std::span<std::byte> memory[2];
    tcp::FifoIndices send_indices;
    tcp::FifoIndices receive_indices;
    tcp::ByteFifo send;
    tcp::ByteFifo receive;
    tcp::OutgoingFifo outgoing{send};
    tcp::IncomingFifo incoming{receive};
  };

  tcp::Attachment incoming(tcp::ListenerId listener, tcp::ConnectionId id, const tcp::Tuple& tuple,
                           Instant now) override;
  void established(tcp::ConnectionId id, Instant now) override;
  void readable(tcp::ConnectionId id, Instant now) override;
  void peer_closed(tcp::ConnectionId id, Instant now) override;
  void writable(tcp::ConnectionId id, Instant now) override;
  bool path_failed(tcp::ConnectionId id, const ip::PathError& error) override;
  void ended(tcp::ConnectionId id, tcp::End reason, Instant now) override;
  void released(tcp::ConnectionId id, Instant now) override;

  // NOLINTNEXTLINE(bugprone-unchecked-optional-access): from connecting on it has them
  Buffers& buffers() { return *buffers_; }
  bool has(unsigned flag) const { return (flags_.load(std::memory_order_acquire) & flag) != 0; }
  bool has_failed() const {
    return error_.load(std::memory_order_acquire) != client::Failure::kNone;
  }
  void set(unsigned flag) { flags_.fetch_or(flag, std::memory_order_release); }
  // Bytes that the program may have unacknowledged: what it has chosen since, at most the buffer.
  std::size_t send_room() {
    const std::size_t most =
        std::min(send_limit_.load(std::memory_order_relaxed), buffers().send.capacity());
    const std::size_t used = buffers().send.capacity() - buffers().send.writable();
    return most > used ? most - used : 0;
  }
  bool has_room() {
    const std::size_t most =
        std::min(send_limit_.load(std::memory_order_relaxed), buffers().send.capacity());
    return buffers().send.is_hungry() && send_room() >= most / 3;
  }
  // For a peer of this round trip; 0: it is not known yet. False: there is no memory, and
  // it keeps what it has.
  bool take_buffers(Duration rtt);
  void drop_buffers();
  tcp::Attachment attachment() {
    return {.owner = this, .send = &buffers().outgoing, .receive = &buffers().incoming};
  }
  client::Outcome<std::size_t> refusal_to_send();
  unsigned events_of_connection(unsigned flags, unsigned wanted);
  std::size_t copy_in(std::span<const iovec> from, const client::SendHints& hints, Worker& worker,
                      Instant now);
  std::size_t copy_out(std::span<const iovec> into, std::uint64_t at, std::size_t left);
  // What of the receive FIFO is urgent.
  client::Urgent urgent();
  client::Outcome<void> stop_listening(bool receiving);
  void abort_queued(Instant now);
  void let_go();

  AppSockets& sockets_;
  std::atomic<unsigned> flags_{0};
  std::atomic<client::Failure> error_{client::Failure::kNone};
  std::atomic<bool> reported_{false};  // reports_ has some
  std::atomic<bool> wants_room_{false};
  std::atomic<std::size_t> send_limit_{SIZE_MAX};
  std::atomic<bool> urgent_inline_{false};
  std::optional<Buffers> buffers_;
  CallLock receiving_;
  std::uint64_t told_ = 0;  // consumed bytes that TCP knows of; under receiving_

  // Under the gate.
  tcp::ConnectionId id_;
  tcp::ListenerId listener_;
  tcp::Tuple tuple_;
  std::optional<client::Endpoint> bound_;
  client::Sharing sharing_ = client::Sharing::kNone;
  bool held_by_program_ = false;
  bool held_by_tcp_ = false;
  client::Options options_;
  StreamKeys keys_;
  Reports reports_;
  std::atomic<bool> changed_since_listen_{false};  // the options
  Watchers watchers_;
  std::unique_ptr<tcp::Info> last_info_;  // of a connection that is gone
  std::uint32_t backlog_ = 0;
  std::atomic<std::uint32_t> waiting_{0};  // connections for accept()
  AppStream* first_ = nullptr;
  AppStream* last_ = nullptr;
  AppStream* queued_ = nullptr;  // behind this one, in its listener's queue
};

}  // namespace tideline::engine
