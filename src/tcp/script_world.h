// SPDX-License-Identifier: Apache-2.0
// What scripts act on: one TCP of ours on a network that keeps what is sent, an application with
// one connection, and a clock. For tests.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "packet/pool.h"
#include "tcp/byte_fifo.h"
#include "tcp/seq.h"
#include "tcp/tcp.h"
#include "tcp/test_net.h"
#include "wire/tcp.h"

namespace tideline::tcp::test {

inline constexpr std::uint16_t kPeerPort = 50000;
inline constexpr std::uint64_t kOurStream = 8;  // of bytes that we send
inline constexpr std::uint64_t kTheirStream = 9;
inline constexpr Instant kStart{std::chrono::hours(10)};

struct SentSegment {
  Instant at;
  wire::Tcp header;
  std::vector<std::byte> payload;
  std::uint16_t port = 0;  // of the peer
  bool ect = false;
  std::uint16_t gso_size = 0;

  std::string text() const;  // as received: absolute numbers
};

class World final : private Network, private Tracer, private StreamOwner, private ListenerOwner {
 public:
  World();
  ~World();

  // Before the first use of tcp().
  Config config;
  StreamOptions options;
  ListenOptions listening;
  bool gso = false;
  bool ipv4 = true;
  std::uint16_t mtu = 1500;
  std::size_t buffer = 65536;

  Tcp& tcp();
  void listen();
  void connect();
  // Another connection, from a port that TCP chooses; it has no buffers.
  void connect_to(std::uint16_t port);
  // How: "more", "record", "urgent", or none of these.
  void write(std::size_t size, const std::string& how = {});
  std::uint64_t mark() const { return in_->mark(); }
  std::size_t wanted() const { return out_->wanted(); }
  bool is_hungry() const { return out_->is_hungry(); }
  void read(std::size_t size);  // compares, and tells TCP
  void set_option(const std::string& name);
  // How a segment of the peer's comes.
  struct Arrival {
    std::uint16_t port;
    std::uint8_t ecn = 0;  // of the IP header
    bool bad_sum = false;
    bool to_group = false;
    bool more = false;  // come in the same burst
  };
  void receive(wire::Tcp header, std::size_t size, const Arrival& arrival);
  void error(const std::string& kind, std::uint32_t seq, std::uint32_t reported_mtu);
  // Runs timers until the script's time.
  void advance(Duration time);
  // The SYN of ours tells where we count from.
  void learn(const wire::Tcp& syn);

  std::string state();
  std::uint64_t counter(const std::string& name);
  std::uint64_t info(const std::string& name);
  static std::uint64_t figure(const Info& info, const std::string& name);

  Instant now = kStart;
  Seq our_iss;
  Seq their_iss{0xfffff000};  // wraps early
  std::uint32_t our_stamp = 0;
  ConnectionId id;
  ListenerId listener;
  std::deque<SentSegment> sent;
  std::vector<std::string> events;

 private:
  ip::Sent send(packet::PacketPtr packet, const ip::Departure& departure, Instant at) override;
  std::optional<wire::Ipv6Address> source_for(const wire::Ipv6Address& to) const override;
  std::uint16_t mtu_to(const wire::Ipv6Address& to, Instant at) const override;
  bool takes_gso(bool version4) const override;
  void confirm(const wire::Ipv6Address& to, Instant at) override;

  void state_changed(ConnectionId id, State from, State to, Instant now) override;

  void established(ConnectionId id, Instant now) override;
  void readable(ConnectionId id, Instant now) override;
  void peer_closed(ConnectionId id, Instant now) override;
  void writable(ConnectionId id, Instant now) override;
  bool path_failed(ConnectionId id, const ip::PathError& error) override;
  void ended(ConnectionId id, End reason, Instant now) override;
  void released(ConnectionId id, Instant now) override;
  Attachment incoming(ListenerId listener, ConnectionId id, const Tuple& tuple,
                      Instant now) override;

  Attachment attach();
  wire::Ipv6Address our_address() const;
  wire::Ipv6Address their_address() const;

  std::unique_ptr<packet::Pool> pool_;
  Rng rng_{7};
  std::unique_ptr<Tcp> tcp_;
  // Of the first connection; further ones are refused.
  std::vector<std::byte> out_memory_;
  std::vector<std::byte> in_memory_;
  FifoIndices out_indices_;
  FifoIndices in_indices_;
  std::unique_ptr<ByteFifo> out_;
  std::unique_ptr<ByteFifo> in_;
  std::unique_ptr<OutgoingFifo> outgoing_;
  std::unique_ptr<IncomingFifo> incoming_;
  std::uint64_t written_ = 0;
  std::uint64_t read_ = 0;
};

}  // namespace tideline::tcp::test
