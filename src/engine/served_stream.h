// SPDX-License-Identifier: Apache-2.0
// A TCP socket of programs behind queue pairs: idle, then a listener or a connection. Frames borrow
// the bytes of the outgoing FIFO; what arrives is copied once, into the incoming one.
//
// Thread: the worker's. It lives until those who hold it and TCP have let go of it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "engine/reports.h"
#include "engine/served_buffers.h"
#include "engine/served_socket.h"
#include "engine/socket_values.h"
#include "engine/stream_keys.h"
#include "tcp/tcp.h"

namespace tideline::engine {

class ServedStream final : public ServedSocket,
                           private tcp::StreamOwner,
                           private tcp::ListenerOwner {
 public:
  explicit ServedStream(ServedSockets& sockets)
      : ServedSocket(sockets, client::SocketType::kStream) {}

  // A life begins, held by nobody yet. False: there is no page.
  bool open(const std::shared_ptr<FamilyMemory>& memory);
  // Of one that has bound.
  const Binding& binding() const { return binding_; }

  client::Outcome<void> bind(const ServedChannel& caller, const client::Endpoint& local,
                             client::Sharing sharing) override;
  client::Outcome<void> listen(std::uint32_t backlog) override;
  client::Outcome<void> connect(const ServedChannel& caller,
                                const std::optional<client::Endpoint>& remote,
                                Instant now) override;
  client::Outcome<void> shut_down(bool receiving, bool sending, Instant now) override;
  void set_options(const client::Options& options, Instant now) override;
  std::optional<client::Report> take_report() override;
  client::Outcome<void> change_keys(const client::KeyChange& change) override;
  client::Outcome<client::KeyState> read_key(std::uint32_t index) const override;
  client::Info info() const override;
  client::Endpoint local() const override;
  std::expected<bool, EndReason> look(const ServedChannel& caller, Instant now) override;

  // Asked now and then of one with more memory than the least: gives it back if nothing has moved
  // since it was asked last. Whether it has no more than the least.
  bool rest(Instant now);
  // Its place in the list of those.
  std::size_t large_at() const { return large_at_; }
  void set_large_at(std::size_t place) { large_at_ = place; }

  // The connection that has waited longest, which the caller must hold() at once.
  client::Outcome<ServedStream*> accept(Instant now);

 private:
  void close(bool abort, Instant now) override;

  tcp::Attachment incoming(tcp::ListenerId listener, tcp::ConnectionId id, const tcp::Tuple& tuple,
                           Instant now) override;
  void established(tcp::ConnectionId id, Instant now) override;
  void readable(tcp::ConnectionId id, Instant now) override;
  void peer_closed(tcp::ConnectionId id, Instant now) override;
  void writable(tcp::ConnectionId id, Instant now) override;
  bool path_failed(tcp::ConnectionId id, const ip::PathError& error) override;
  void ended(tcp::ConnectionId id, tcp::End reason, Instant now) override;
  void released(tcp::ConnectionId id, Instant now) override;

  bool open_buffers();
  tcp::Attachment attachment() { return {.owner = this, .send = &send_, .receive = &receive_}; }
  void show(const tcp::Tuple& tuple);
  client::Outcome<void> start_connecting(const client::Endpoint& local,
                                         const client::Endpoint& remote, Instant now);
  client::Outcome<void> stop_listening(bool receiving, Instant now);
  void abort_queued(Instant now);
  void unbind();
  void finish();
  void tell_of_room(Instant now);

  bool bound_ = false;
  Binding binding_;
  bool held_by_tcp_ = false;
  bool queued_ = false;  // waits in a listener's queue
  tcp::ConnectionId id_;
  tcp::ListenerId listener_;
  tcp::Tuple tuple_;
  client::Options options_;
  StreamKeys keys_;
  Reports reports_;
  bool changed_since_listen_ = false;  // the options

  ServedSendBuffer send_{outgoing_};
  ServedReceiveBuffer receive_{incoming_};

  std::uint64_t moved_ = 0;  // bytes, when rest() was asked last
  std::size_t large_at_ = SIZE_MAX;

  std::unique_ptr<tcp::Info> last_info_;  // of a connection that is gone
  std::uint32_t backlog_ = 0;
  std::uint32_t waiting_ = 0;  // connections for accept()
  ServedStream* first_ = nullptr;
  ServedStream* last_ = nullptr;
  ServedStream* next_ = nullptr;  // behind this one, in its listener's queue
};

}  // namespace tideline::engine
