// SPDX-License-Identifier: Apache-2.0
// The sender of a run, without I/O: begin, data at the pace that was asked for, end, report. It is
// the same over tideline and over kernel sockets, which are its Outlet. One thread.
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.h"
#include "udp_blast/effort.h"
#include "udp_blast/message.h"

namespace tideline::app::blast {

class Outlet {
 public:
  // How many datagrams can leave now without loss, as far as is known.
  virtual std::size_t room() = 0;
  // Sends the data numbered from `first`, `count` at most. Returns how many have left.
  virtual std::size_t send_data(std::uint64_t first, std::size_t count, Instant now) = 0;
  virtual void send_message(wire::Bytes message, Instant now) = 0;
  virtual Effort effort() = 0;

 protected:
  ~Outlet() = default;
};

struct Plan {
  std::size_t size = 1400;      // of a datagram
  std::uint64_t rate_bits = 0;  // of payload per second; 0 is without limit
  std::uint64_t count = 0;      // datagrams; 0 is without limit
  Duration duration = kNever - Instant{};
  std::uint32_t run = 0;
};

class Source {
 public:
  enum class State : std::uint8_t { kBeginning, kSending, kEnding, kDone, kUnanswered, kRefused };

  Source(const Plan& plan, Outlet& outlet) : plan_(plan), outlet_(outlet) {}

  // Does what is due. Call again at next_deadline().
  void run(Instant now);
  Instant next_deadline() const { return due_; }
  // A datagram from the sink.
  void receive(wire::Bytes message, Instant now);
  // The network says that nobody listens there.
  void refused();
  // Stop sending now, as if the duration were over.
  void finish() { plan_.duration = {}; }

  State state() const { return state_; }
  bool is_over() const { return state_ >= State::kDone; }
  std::uint64_t sent() const { return next_; }
  std::uint64_t blocked() const { return blocked_; }  // times at which the wire had no room
  // From the first to the last datagram.
  Duration elapsed(Instant now) const;
  // While data was sent.
  const Effort& effort() const { return effort_; }
  const std::optional<Report>& report() const { return report_; }

 private:
  void ask(Kind kind, std::uint64_t sequence, Duration again, Instant now);
  void send(Instant now);
  std::uint64_t owed(Instant now);

  Plan plan_;
  Outlet& outlet_;
  State state_ = State::kBeginning;
  Instant due_{};
  unsigned asked_ = 0;  // in this state
  Instant began_{};
  Instant ended_{};
  Instant paced_from_{};
  std::uint64_t paced_ = 0;  // datagrams since paced_from_
  std::uint64_t next_ = 0;
  std::uint64_t blocked_ = 0;
  Effort effort_;
  std::optional<Report> report_;
};

}  // namespace tideline::app::blast
