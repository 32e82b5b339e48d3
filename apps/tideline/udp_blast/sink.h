// SPDX-License-Identifier: Apache-2.0
// The sink, without I/O: counts what senders send and tells them. The same over tideline and over
// kernel sockets. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/time.h"
#include "ip/udp.h"
#include "udp_blast/effort.h"
#include "udp_blast/flow.h"
#include "udp_blast/message.h"

namespace tideline::app::blast {

// How a sink answers, and what it costs.
class SinkIo {
 public:
  virtual void answer(const ip::UdpEndpoint& to, wire::Bytes message, Instant now) = 0;
  virtual Effort effort() = 0;

 protected:
  ~SinkIo() = default;
};

class Sink {
 public:
  // One sender's run.
  struct Run {
    ip::UdpEndpoint sender;
    std::uint32_t number = 0;
    std::size_t size = 0;  // of its datagrams, as it says
    Flow flow;
    Effort began;
    bool reported = false;
    Report report;  // once reported
  };

  // Ends after `count` reports; 0 is never.
  Sink(SinkIo& io, std::uint64_t count) : io_(io), count_(count) {}

  // A datagram of `size` bytes, of which `front` has the first, up to a header at least.
  void receive(const ip::UdpEndpoint& from, wire::Bytes front, std::size_t size, Instant now);

  // All that was asked for is reported, and nobody has asked again for a while.
  bool is_done(Instant now) const { return now >= done_at_; }
  Instant next_deadline() const { return done_at_; }
  const std::vector<std::unique_ptr<Run>>& runs() const { return runs_; }
  // Datagrams that belong to no run that has begun.
  std::uint64_t strays() const { return strays_; }
  std::uint64_t bytes() const;
  std::uint64_t datagrams() const;

 private:
  Run* find(const ip::UdpEndpoint& from);
  void begin(const ip::UdpEndpoint& from, const Header& header, Instant now);
  void end(Run& run, const Header& header, Instant now);

  SinkIo& io_;
  std::uint64_t count_;
  std::vector<std::unique_ptr<Run>> runs_;  // at most kMostRuns
  Run* last_ = nullptr;                     // whose datagram came last
  std::uint64_t reports_ = 0;
  std::uint64_t strays_ = 0;
  Instant done_at_ = kNever;
};

}  // namespace tideline::app::blast
