// SPDX-License-Identifier: Apache-2.0
// The engine as a library: TCP/IP in the program's own process, over any wire that tideline knows.
//
//   auto engine = tideline::Engine::open({.wire = "shm:default"});
//   auto host = engine->add_host({});
//   auto stream = host->connect(*tideline::Endpoint::parse("198.18.0.1", 7));
//   while (engine->wait(1s)) while (auto event = engine->next()) ...
//
// The engine runs in the thread that calls poll() and wait(), and in no other: while the program
// does neither, nothing is received, acknowledged or sent again. One engine belongs to one thread;
// several threads have an engine each. examples/ has whole programs.
//
// Calls are cheap and never block, but for open(), wait(), drain() and Host::wait_until_ready().
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <tideline/datagram.h>
#include <tideline/endpoint.h>
#include <tideline/error.h>
#include <tideline/event.h>
#include <tideline/stream.h>

namespace tideline {

namespace api {
struct Inside;
}

struct EngineOptions {
  // shm:NAME, tap:NAME[,peer=A/L][,peer6=A/L], packet:IF, xdp:IF, dgram:LOCAL,REMOTE,
  // pcap:IN[,OUT][,fast]: `tideline ports` tells which this machine allows.
  std::string wire = "shm:default";
  std::size_t mtu = 0;                  // bytes of the largest IP packet; 0: the wire's, or 1500
  std::string impair{};                 // spoils what is sent: "loss=1%,delay=25ms,reorder=0.5%"
  std::optional<std::uint64_t> seed{};  // of `impair`; else random
  std::string capture{};                // a pcap file for all frames
  std::size_t max_connections = 4096;   // those in TIME-WAIT included
  std::size_t buffer_memory = std::size_t{4} << 30;  // bytes that buffers of streams may take
};

struct HostOptions {
  // ADDRESS/LENGTH. On shm: none of a version means that one is leased.
  std::vector<std::string> ip4{};
  std::vector<std::string> ip6{};
  // Next hops to other networks, of either version: the first serves, until it does not answer.
  std::vector<std::string> gateways{};
  // When TCP finds with probes how long packets may be (RFC 4821): "black-hole", once long ones
  // seem to vanish; "always"; or "off".
  std::string mtu_probing = "black-hole";
};

// Counters since open().
struct EngineStats {
  std::uint64_t rx_frames = 0;
  std::uint64_t rx_bytes = 0;
  std::uint64_t tx_frames = 0;
  std::uint64_t tx_bytes = 0;
  std::uint64_t passed = 0;  // bytes that code of ours traversed (copies, checksums)
  std::uint64_t copied = 0;  // bytes that the kernel copied for us
  std::vector<std::pair<std::string, std::uint64_t>> drops;  // "room.reason", above zero only
};

// An address set on an engine's wire. A handle: it can be copied, and is void without its engine.
class Host {
 public:
  // Addresses serve only after a test for duplicates, which takes up to some seconds on wires that
  // are shared with others; on shm: none is needed.
  bool is_ready() const;
  // Drives the engine until they serve. kEnvironment: another station has one of them; kPeer: not
  // in time.
  Status wait_until_ready(std::chrono::nanoseconds timeout) const;
  // As given or leased: "198.18.0.1/24".
  const std::vector<std::string>& ip4() const;
  const std::vector<std::string>& ip6() const;

  // On all addresses of the host. kUsage: the port is taken, or 0.
  Result<Listener> listen(std::uint16_t port, const ListenOptions& options = {}) const;
  // Returns at once: Ready::kWritable tells that the stream is connected, Ready::kEnded that it is
  // not to be. kEnvironment: no route; kExhausted: no port, connection or memory is left.
  Result<Stream> connect(const Endpoint& remote, const StreamOptions& options = {}) const;
  // A UDP port on all addresses; 0: one that is free.
  Result<DatagramSocket> bind(std::uint16_t port) const;

 private:
  friend class Engine;
  explicit Host(api::Runtime* runtime) : runtime_(runtime) {}

  api::Runtime* runtime_;
};

class Engine {
 public:
  // Opens the wire. kUsage: options that make no sense; kEnvironment: this machine does not allow
  // it, and how to mend it.
  static Result<Engine> open(const EngineOptions& options);
  Engine(Engine&& other) noexcept;
  Engine& operator=(Engine&& other) noexcept;
  // Connections that are open are forgotten without a word to the peer.
  ~Engine();

  // One host per engine today: kUsage for a second.
  Result<Host> add_host(const HostOptions& options);

  // One turn: sends what was written, receives what has come, runs timers. Returns whether there
  // are events.
  bool poll();
  // Turns until there are events, wake(), or the time is over; looks for a while before it sleeps
  // in the kernel. Returns whether there are events.
  bool wait(std::chrono::nanoseconds timeout);
  // The next event, if there is one. Objects that are gone have none.
  std::optional<Event> next();
  // Ends a wait(), or the next one. From any thread, and from signal handlers.
  void wake() noexcept;
  // Turns until the peers have acknowledged all that was written to streams that are closed by now,
  // or these have failed. False: the time is over, or wake().
  bool drain(std::chrono::nanoseconds timeout);

  // Memory of the engine's own, for as long as it lives. On shm: peers read it where it is, so that
  // what is lent of its first 8 MiB is not copied by this side.
  std::span<std::byte> allocate_memory(std::size_t size);
  // Memory for Stream::lend. It stays mapped and in place until the region is no longer used. Costs
  // nothing where the engine runs in the program itself, as here.
  Result<Region> register_memory(std::span<const std::byte> memory);

  std::size_t mtu() const;
  std::uint64_t seed() const;  // of `impair`
  EngineStats stats() const;
  // Writes the capture out.
  Status flush_capture();

 private:
  friend struct api::Inside;
  explicit Engine(std::unique_ptr<api::Runtime> runtime);

  std::unique_ptr<api::Runtime> runtime_;
};

}  // namespace tideline
