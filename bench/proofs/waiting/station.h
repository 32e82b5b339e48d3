// SPDX-License-Identifier: Apache-2.0
// Processes that exchange messages: rings between pairs of them, one wake flag and one bell each.
// What the shared segment and the queue pair will be, reduced to what waiting needs.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/mapping.h"
#include "proofs/waiting/rules.h"
#include "ring/bell.h"
#include "ring/spsc_ring.h"
#include "ring/wake_flag.h"

namespace proofs::waiting {

inline constexpr std::size_t kStations = 3;
inline constexpr std::size_t kRingCapacity = 256;

using Message = std::uint64_t;
// The last message of a run: whoever passes it on ends.
inline constexpr Message kStop = UINT64_MAX;

// All memory that the processes share; made before they are forked.
class Exchange {
 public:
  static tideline::Result<Exchange> create();

  struct Shared {
    std::array<tideline::ring::WakeFlag, kStations> flags;
    struct alignas(tideline::kCacheLine) Cpu {
      CpuOfProcess cpu{-1};
    };
    std::array<Cpu, kStations> cpus;
  };

  Shared& shared() const { return *mapping_.at<Shared>(0); }
  const tideline::ring::EventBell& bell(std::size_t station) const { return bells_[station]; }
  tideline::ring::SpscRing<Message> ring(std::size_t from, std::size_t to) const;

 private:
  Exchange() = default;

  tideline::Mapping mapping_;
  std::vector<tideline::ring::EventBell> bells_;
};

// One process's place in the exchange: what it receives from and sends to its peers, and how it
// waits.
class Station {
 public:
  Station(const Exchange& exchange, std::size_t self, const std::vector<std::size_t>& peers,
          const Rule& rule);

  // Up to messages.size() messages from `peer`; wakes it if it waits for room.
  std::size_t receive(std::size_t peer, std::span<Message> messages);
  // As many as there is room for; wakes `peer` if it sleeps.
  std::size_t send(std::size_t peer, std::span<const Message> messages);
  bool has_input(std::size_t peer) { return !link(peer).input.empty(); }
  bool has_room(std::size_t peer) { return !link(peer).output.full(); }

  // Waits until `ready()`; false after `timeout` asleep without it.
  template <std::predicate Ready>
  bool wait(Ready&& ready, tideline::Duration timeout = tideline::ring::kForever) {
    return waiter_.wait(ready, [&] { exchange_->bell(self_).sleep(timeout); });
  }

  std::uint64_t sleeps() const { return waiter_.sleeps(); }
  std::uint64_t rings() const { return rings_; }

 private:
  struct Link {
    tideline::ring::SpscConsumer<Message> input;
    tideline::ring::SpscProducer<Message> output;
    tideline::ring::Notifier notifier;
  };

  // NOLINTNEXTLINE(bugprone-unchecked-optional-access): a role speaks to its peers only
  Link& link(std::size_t peer) { return links_[peer].value(); }
  void notify(std::size_t peer);

  const Exchange* exchange_;
  std::size_t self_;
  std::array<std::optional<Link>, kStations> links_;
  tideline::ring::Waiter<RuleBudget> waiter_;
  std::uint64_t rings_ = 0;
};

}  // namespace proofs::waiting
