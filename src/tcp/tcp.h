// SPDX-License-Identifier: Apache-2.0
// TCP of one host: RFC 9293 with its extensions. The engine gives it what IP receives and the time;
// owners listen, connect, and put bytes into buffers of theirs (buffers.h). Nothing is sent for an
// owner, and nothing told to it, but by flush() and run_timers(): the engine calls flush() after
// each burst, so that a burst is answered once. Thread: the worker's that owns the host.
//
// Lifetimes: the network, the pool, the random numbers, owners and buffers outlive it, and all
// frames that it has made must be gone before it goes: they borrow from the buffers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/error.h"
#include "base/random.h"
#include "ip/delivery.h"
#include "tcp/config.h"
#include "tcp/discard.h"
#include "tcp/master_key.h"
#include "tcp/stream.h"

namespace tideline::tcp {

struct Core;
struct Segment;
struct Tcb;

class Tcp final : public ip::ProtocolHandler {
 public:
  Tcp(const Config& config, Network& network, packet::Pool& pool, Rng& rng);
  Tcp(const Tcp&) = delete;
  Tcp& operator=(const Tcp&) = delete;
  ~Tcp();

  // Control. Port 0 is an error; :: listens for both IP versions.
  Result<ListenerId> listen(const Endpoint& local, const ListenOptions& options,
                            ListenerOwner& owner, std::span<const MasterKey> keys = {});
  // For those who come from now on.
  void set_options(ListenerId id, const StreamOptions& options);
  // Half-open connections end when they are answered; those handed over go on.
  void close(ListenerId id);
  // A local address :: and port 0 are chosen here. The owner hears established() or ended(). Of the
  // keys, those that match count.
  Result<ConnectionId> connect(const Endpoint& remote, const Endpoint& local,
                               const StreamOptions& options, const Attachment& attachment,
                               Instant now, std::span<const MasterKey> keys = {});
  // Of a connection that was just made: the SYN takes along what is written now, established() is
  // not told, and what goes wrong is told as of one that was established. RFC 7413.
  bool may_write_early(ConnectionId id) const;
  // A connection has left its listener's queue.
  void accepted(ConnectionId id);

  // RFC 5925. Who matches a key of a listener must be authentic, and so must every segment of a
  // connection that began with keys; what is not is dropped, and counted. Keys of a listener are
  // for those who come from now on.
  Status add_key(ListenerId id, const MasterKey& key);
  Status remove_key(ListenerId id, std::uint8_t send_id, std::uint8_t receive_id);
  Status add_key(ConnectionId id, const MasterKey& key);
  Status remove_key(ConnectionId id, std::uint8_t send_id, std::uint8_t receive_id);
  // What we send with, and want to receive; the peer is told at once.
  Status use_keys(ConnectionId id, std::optional<std::uint8_t> send_id,
                  std::optional<std::uint8_t> receive_id);
  AuthenticationInfo authentication(ConnectionId id) const;
  // Those of a listener, until it changes.
  std::span<const MasterKey> keys(ListenerId id) const;

  // For the owner of a connection. A void handle is ignored.
  // There is more to send. `more`: and still more will come soon, so that what does not fill a
  // segment may wait for it.
  void written(ConnectionId id, bool more = false);
  void consumed(ConnectionId id, Instant now);   // there is more room to receive
  void shut_down(ConnectionId id, Instant now);  // FIN behind what was written
  // Nothing more is read, and what is written is still sent. With `unread` bytes left, or before
  // the handshake is over, this is abort(): RFC 9293 §3.10.4, RFC 2525 §2.17.
  void close(ConnectionId id, bool unread, Instant now);
  void abort(ConnectionId id, Instant now);  // RST
  void set_options(ConnectionId id, const StreamOptions& options, Instant now);
  // Of a void handle: CLOSED. Times that still run are counted up to `now`.
  Info info(ConnectionId id, Instant now = {}) const;

  // The connections from the index `from` on, as many as fit; how many. `from` becomes the index to
  // go on at; 0: there are no more.
  std::size_t list(std::uint32_t& from, std::span<Info> out) const;

  // Data path.
  void receive(packet::PacketPtr packet, const ip::Datagram& datagram, Instant now) override;
  bool recognises(const ip::PathError& error) const override;
  void failed(const ip::PathError& error, Instant now) override;
  void flush(Instant now);
  // When to call run_timers(), at the latest.
  Instant next_deadline() const;
  void run_timers(Instant now);

  const Counters& counters() const;
  const packet::PassCounter& passes() const;
  std::size_t connections() const;  // TIME-WAIT included
  std::size_t most_connections() const;
  std::size_t ranges_in_use() const;

 private:
  bool check_checksum(const packet::Packet& packet, const ip::Datagram& datagram);
  void dispatch(Segment& segment, Instant now);
  void flush(Tcb& tcb, Instant now);

  std::unique_ptr<Core> core_;
};

}  // namespace tideline::tcp
