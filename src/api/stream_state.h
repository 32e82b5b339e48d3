// SPDX-License-Identifier: Apache-2.0
// What stands behind a Stream and a Listener: the owner of a connection, and its buffers. It lives
// until both the program and TCP have let go of it. Thread: the engine's.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <tideline/event.h>
#include <tideline/stream.h>

#include "api/borrowing_queue.h"
#include "api/runtime.h"
#include "api/send_queue.h"
#include "tcp/tcp.h"

namespace tideline::api {

class StreamState final : private tcp::StreamOwner, public Source {
 public:
  explicit StreamState(Runtime& runtime)
      : Source(runtime), send_(runtime.chunks()), receive_(runtime.chunks(), runtime.passes()) {}

  // Begins anew.
  void open(const StreamOptions& options);
  tcp::Attachment attachment() { return {.owner = this, .send = &send_, .receive = &receive_}; }
  // What it is the owner of from now on.
  void join(tcp::ConnectionId id, const tcp::Tuple& tuple, bool connected);
  // There will be no connection.
  void give_up();

  SendQueue& send() { return send_; }
  // In place, and by copy; what is consumed must be told by consumed().
  std::span<const std::byte> front();
  std::size_t read(std::span<std::byte> buffer);
  void consume(std::size_t size) { receive_.consume(size); }
  tcp::ConnectionId id() const { return id_; }
  const tcp::Tuple& tuple() const { return tuple_; }
  Stream::State state() const;
  tcp::End end() const { return end_; }
  bool at_end() const { return peer_closed_ && receive_.readable() == 0 && !receive_.is_spoilt(); }
  // The program has closed it, and the peer has not yet acknowledged that, or lent memory is in
  // use.
  bool is_sending_on();
  // The program has closed it, and it is not over.
  bool is_ending() { return !held_by_program_ && held_by_tcp_ && end_ == tcp::End::kNone; }

  // What has changed is told to TCP.
  void wrote() { runtime().tcp().written(id_); }
  void consumed() { runtime().tcp().consumed(id_, runtime().now()); }
  // The next room in the send buffer is told.
  void want_room();
  // Memory was given back since want_room().
  void memory_is_back() { writable(id_, {}); }
  bool lend(std::span<const std::byte> memory);
  void shut_down();
  // The program lets go.
  void close();
  void abort();

  // How long what lies in a peer's memory is held there for the program to copy.
  static constexpr Duration kHoldTime = std::chrono::milliseconds(1);
  // Copies what was held so long. Whether nothing is held any more.
  bool settle(Instant now);
  // Before the end of the engine.
  void drop_held() { receive_.drop_held(); }
  // Takes back what frames sent before `before` still borrow, if the connection is over.
  void withdraw(port::Port& port, Instant before) const;

  StreamState* queued = nullptr;  // behind it in a listener's queue

 private:
  void established(tcp::ConnectionId id, Instant now) override;
  void readable(tcp::ConnectionId id, Instant now) override;
  void peer_closed(tcp::ConnectionId id, Instant now) override;
  void writable(tcp::ConnectionId id, Instant now) override;
  void ended(tcp::ConnectionId id, tcp::End reason, Instant now) override;
  void released(tcp::ConnectionId id, Instant now) override;

  void let_go();
  // The peer has taken back what it had sent: as if it had reset the connection.
  void end_if_spoilt();

  tcp::ConnectionId id_;
  tcp::Tuple tuple_;
  SendQueue send_;
  BorrowingQueue receive_;
  Instant holds_since_{};
  tcp::End end_ = tcp::End::kNone;
  bool connected_ = false;
  bool peer_closed_ = false;
  bool wants_room_ = false;
  bool held_by_program_ = false;
  bool held_by_tcp_ = false;
  bool has_lent_ = false;
  bool is_holder_ = false;         // on the runtime's list
  bool is_spoilt_ = false;         // and was ended for it
  bool shuts_down_later_ = false;  // when it is connected
};

class ListenerState final : public Source, private tcp::ListenerOwner {
 public:
  ListenerState(Runtime& runtime, const ListenOptions& options)
      : Source(runtime), options_(options) {}
  ~ListenerState();

  Status listen(std::uint16_t port);
  StreamState* accept();

 private:
  tcp::Attachment incoming(tcp::ListenerId listener, tcp::ConnectionId id, const tcp::Tuple& tuple,
                           Instant now) override;

  ListenOptions options_;
  tcp::ListenerId id_;
  StreamState* first_ = nullptr;
  StreamState* last_ = nullptr;
  std::uint32_t waiting_ = 0;
};

tcp::StreamOptions to_tcp(const StreamOptions& options);

}  // namespace tideline::api
