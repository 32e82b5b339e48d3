// SPDX-License-Identifier: Apache-2.0
// A simulated network in virtual time: hosts with their whole IP and TCP, on a link with a rate, a
// delay, a queue and faults. Everything follows from the seed. For tests.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <span>
#include <vector>

#include "base/random.h"
#include "ip/stack.h"
#include "packet/pool.h"
#include "tcp/byte_fifo.h"
#include "tcp/ip_network.h"
#include "tcp/tcp.h"

namespace tideline::tcp::test {

inline constexpr std::uint16_t kPort = 7000;

struct LinkOptions {
  Duration delay = std::chrono::milliseconds(1);  // one way
  std::uint64_t rate = 0;                         // bits per second; 0: without bound
  std::size_t queue = SIZE_MAX;                   // bytes that wait for the link
  double loss = 0;
  double duplicate = 0;
  double reorder = 0;  // frames that take reorder_delay longer
  double corrupt = 0;
  double mark = 0;  // CE on what is ECN-capable
  // More bytes than these before it: CE, likewise (RFC 8257 §3.1).
  std::size_t mark_threshold = SIZE_MAX;
  Duration reorder_delay = std::chrono::milliseconds(3);
  bool super_frames = false;  // carries frames of many segments as they are
};

class SimNet;

// What became of a frame at the queue of the link.
struct Queued {
  unsigned from = 0;
  Duration waiting{};  // for those before it
  bool lost = false;
  bool marked = false;
};

class SimHost final : private ip::Output, private ip::Events {
 public:
  SimHost(SimNet& net, unsigned number, const Config& config, std::uint64_t seed);

  wire::Ipv6Address address(bool ipv4) const;
  void drain_frames();

  std::unique_ptr<packet::Pool> pool;
  Rng rng;
  ip::Stack stack;
  IpNetwork network;
  Tcp tcp;

 private:
  void transmit(packet::PacketPtr frame, Instant now) override;

  SimNet& net_;
  unsigned number_;
};

class SimNet {
 public:
  explicit SimNet(const LinkOptions& link, std::uint64_t seed, const Config& config = {});
  ~SimNet();

  SimHost& left() { return *left_; }
  SimHost& right() { return *right_; }
  SimHost& other(const SimHost& host) { return &host == left_.get() ? *right_ : *left_; }

  // Until `done()`; false if nothing happens any more, or the time is over.
  bool run(const std::function<bool()>& done, Duration most = std::chrono::hours(1));
  void run_for(Duration time) {
    run([] { return false; }, time);
  }
  void transmit(unsigned from, packet::PacketPtr frame);

  Instant now{std::chrono::hours(1)};
  LinkOptions link;
  // Sees every frame on the wire, and says whether it goes on.
  std::function<bool(unsigned from, const std::vector<std::byte>& frame)> filter;
  // Sees those that do, and may change them.
  std::function<void(std::vector<std::byte>& frame)> change;
  std::function<void(const Queued& queued)> watch;
  std::uint64_t frames = 0;
  std::uint64_t lost = 0;

 private:
  struct Flying {
    Instant due;
    std::uint64_t number = 0;
    unsigned to = 0;
    std::vector<std::byte> bytes{};
    packet::PacketPtr packet{};  // instead of bytes, of a super frame
  };
  struct Later {
    bool operator()(const Flying& a, const Flying& b) const {
      return a.due != b.due ? a.due > b.due : a.number > b.number;
    }
  };

  void put_on_wire(unsigned from, std::vector<std::byte> bytes);
  // When the frame has left; nothing if there was no room.
  std::optional<Instant> queue(unsigned from, std::vector<std::byte>& bytes);
  void fly(Flying flying);
  void deliver(Flying flying);
  Instant next_event() const;

  Rng rng_;
  std::uint64_t number_ = 0;
  std::array<Instant, 2> free_at_{};
  std::vector<Flying> flying_;  // a heap
  std::unique_ptr<SimHost> left_;
  std::unique_ptr<SimHost> right_;
};

// Bytes that are known by their place in a stream.
std::byte byte_at(std::uint64_t stream, std::uint64_t offset);
// As many as `out` holds, from `offset` on.
void bytes_at(std::uint64_t stream, std::uint64_t offset, std::span<std::byte> out);

// An application: sends `to_send` bytes, expects `to_receive`, compares each.
class SimStream final : public StreamOwner {
 public:
  SimStream(SimHost& host, SimNet& net, std::uint64_t seed, std::uint64_t to_send,
            std::uint64_t to_receive, std::size_t buffer = 1 << 18);

  Attachment attachment() { return {.owner = this, .send = &send, .receive = &receive}; }
  // Puts what fits into the buffer, and FIN behind the last.
  void produce();
  void consume();
  bool is_complete() const { return received == to_receive && peer_done; }

  void established(ConnectionId id, Instant now) override;
  void readable(ConnectionId id, Instant now) override;
  void peer_closed(ConnectionId id, Instant now) override;
  void writable(ConnectionId id, Instant now) override;
  void ended(ConnectionId id, End reason, Instant now) override;
  void released(ConnectionId id, Instant now) override;

  SimHost& host;
  SimNet& net;
  ConnectionId id;
  std::uint64_t seed;  // of what is sent; the peer's is seed + 1, or seed - 1
  std::uint64_t expected_seed;
  std::uint64_t to_send;
  std::uint64_t to_receive;
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  std::uint64_t wrong = 0;  // pieces that are not as sent
  bool is_established = false;
  bool peer_done = false;
  bool is_released = false;
  bool reads = true;
  bool closes = true;  // when all is sent
  End end = End::kNone;

 private:
  std::vector<std::byte> out_memory_;
  std::vector<std::byte> in_memory_;
  FifoIndices out_indices_;
  FifoIndices in_indices_;
  ByteFifo out_;
  ByteFifo in_;

 public:
  OutgoingFifo send{out_};
  IncomingFifo receive{in_};
};

// Accepts with streams that are made as they are needed.
class SimListener final : public ListenerOwner {
 public:
  SimListener(SimHost& listening, SimNet& network, std::function<SimStream*()> maker)
      : host(listening), net(network), make(std::move(maker)) {}
  Attachment incoming(ListenerId listener, ConnectionId id, const Tuple& tuple,
                      Instant now) override;

  SimHost& host;
  SimNet& net;
  std::function<SimStream*()> make;  // null: refuses
  std::vector<SimStream*> accepted;
};

struct SimKeys {
  std::vector<MasterKey> client;
  std::vector<MasterKey> server;
};

// A connection from left to right, with both applications.
struct SimFlow {
  SimFlow(SimNet& network, bool ipv4, std::uint16_t port, std::uint64_t seed, std::uint64_t forth,
          std::uint64_t back, std::size_t buffer, const StreamOptions& options,
          const SimKeys& keys = {}, std::uint16_t client_port = 0);
  // The server's application: accepts, and begins to send.
  void step();
  bool is_over() const { return client.is_released && server.is_released; }
  void expect_intact() const;

  SimNet& net;
  SimStream client;
  SimStream server;
  SimListener listener;
  ListenerId listening;
  bool started = false;
  bool early = false;  // the client wrote before its SYN
};

}  // namespace tideline::tcp::test
