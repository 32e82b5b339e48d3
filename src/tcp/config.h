// SPDX-License-Identifier: Apache-2.0
// What is the same for all connections of a host, and what lies below them. Thread: the worker's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/siphash.h"
#include "base/time.h"
#include "ip/delivery.h"
#include "tcp/stream.h"

namespace tideline::tcp {

// The network below: IP, or a test.
class Network {
 public:
  // The packet begins with its TCP header.
  virtual ip::Sent send(packet::PacketPtr packet, const ip::Departure& departure, Instant now) = 0;
  // The address of ours from which to reach `destination`; nothing if there is no route.
  virtual std::optional<wire::Ipv6Address> source_for(
      const wire::Ipv6Address& destination) const = 0;
  // The largest IP packet that the path is known to carry.
  virtual std::uint16_t mtu_to(const wire::Ipv6Address& destination, Instant now) const = 0;
  // Whether frames of many segments may be sent to IPv4, or IPv6.
  virtual bool takes_gso(bool ipv4) const = 0;
  // Forward progress with a peer.
  virtual void confirm(const wire::Ipv6Address& destination, Instant now) = 0;

 protected:
  ~Network() = default;
};

// Hears of every change of state.
class Tracer {
 public:
  virtual void state_changed(ConnectionId id, State from, State to, Instant now) = 0;

 protected:
  ~Tracer() = default;
};

// When the path MTU is looked for with probes (mtu_probe.h), as net.ipv4.tcp_mtu_probing of Linux
// has it.
enum class MtuProbing : std::uint8_t {
  kOff,        // ICMP alone tells
  kBlackHole,  // once long packets seem to vanish: RFC 4821 §7.2, where ICMP otherwise serves
  kAlways,     // of every connection, which begins with packets of base_mtu
};

struct Config {
  std::size_t max_connections = 4096;
  // Descriptors of what is in flight and of what came out of order, over all connections.
  std::size_t max_ranges = 65536;
  std::size_t max_time_wait = 2048;  // the oldest give way
  // From getrandom(2): whoever knows it can forge connections.
  std::array<HashKey, 5> secrets{};
  Tracer* tracer = nullptr;

  std::uint32_t initial_window = 65535;        // of a receive buffer
  std::uint32_t max_receive_buffer = 4 << 20;  // decides the window scale
  std::uint32_t max_out_of_order = 256;        // ranges per connection
  // All listeners take data with a SYN (RFC 7413), not only those that ask for it. Hosts that share
  // a key take each other's cookies; without one the host has its own.
  bool fast_open = false;
  std::optional<HashKey> fast_open_key{};
  std::uint32_t notsent_lowat = UINT32_MAX;  // of streams that have not chosen; all ones: unbounded
  // RFC 5925 §7.3: segments that claim to be authentic where nobody has a key. They count as
  // others.
  bool drop_unexpected_authentication = false;
  bool restart_after_idle = true;      // RFC 5681 §4.1
  std::uint32_t initial_segments = 0;  // of the congestion window; 0: as RFC 6928 has it
  // How late segments may come before they count as lost: RFC 6675's DupThresh, RFC 8985 §6.2; and
  // the most that is learned of a path.
  std::uint8_t reordering = 3;
  std::uint32_t max_reordering = 300;
  bool tail_probes = true;  // RFC 8985 §7
  // Of the window per round trip, in percent: how fast a paced connection sends, in slow start and
  // after it. As Linux has it.
  std::uint32_t pacing_in_slow_start = 200;
  std::uint32_t pacing_after_slow_start = 120;
  // RFC 7323, RFC 2018: asked for and granted.
  bool timestamps = true;
  bool window_scaling = true;
  bool sack = true;
  bool local_bypass = true;   // bypass.h
  bool ecn = false;           // ask for it
  bool grants_ecn = true;     // to who asks
  bool accurate_ecn = false;  // ask for that of RFC 9768
  MtuProbing mtu_probing = MtuProbing::kBlackHole;
  std::uint16_t base_mtu = 1024;  // carried by any path; of IPv6 at least 1280: RFC 4821 §7.2
  Duration mtu_raise_time = std::chrono::minutes(10);  // RFC 8899 §5.1.1: PMTU_RAISE_TIMER
  Duration min_rto = std::chrono::milliseconds(200);   // DEVIATES from RFC 6298 (2.4), as all do
  Duration max_rto = std::chrono::seconds(120);
  Duration initial_rto = std::chrono::seconds(1);
  Duration rto_after_lost_syn = std::chrono::seconds(3);  // RFC 6298 §5.7
  // The second SYN to a peer that took the first for one of an old connection.
  Duration syn_after_reset = std::chrono::milliseconds(8);
  Duration delayed_ack = std::chrono::milliseconds(40);
  Duration time_wait = std::chrono::seconds(60);  // 2 MSL
  Duration fin_wait2 = std::chrono::seconds(60);  // of a connection that its owner has closed
  unsigned syn_retries = 6;
  unsigned syn_ack_retries = 5;
  unsigned retries = 15;
  unsigned orphan_retries = 8;       // after close()
  std::uint16_t first_port = 32768;  // ephemeral: RFC 6056
  std::uint16_t last_port = 60999;
  std::uint32_t challenge_acks_per_second = 1000;                // of all connections: RFC 5961 §7
  Duration challenge_interval = std::chrono::milliseconds(500);  // of one connection
  std::uint32_t max_burst = 512 << 10;  // bytes that one connection sends before others may
  // On a long path frames are no longer than a millisecond's worth, and no shorter than this.
  std::uint32_t min_frame_segments = 2;
  std::uint32_t max_queued = 1 << 20;  // bytes that frames below may borrow from one connection
};

}  // namespace tideline::tcp
