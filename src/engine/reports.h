// SPDX-License-Identifier: Apache-2.0
// What the network says of what a socket has sent, kept for a program that asks for it
// (IP_RECVERR): a few, and what comes while it is full is lost. For both placements. Thread: the
// worker's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "client/types.h"
#include "ip/delivery.h"

namespace tideline::engine {

client::Failure failure_of(const ip::PathError& error);
// Whether there is no hope that it passes. Who is connected is told of it though he has not asked,
// as in Linux; but for what says that a packet is too big.
bool is_hard(const ip::PathError& error);

class Reports {
 public:
  static constexpr std::size_t kMost = 16;

  // Control path: memory is taken when somebody asks for it first.
  void set_options(const client::Options& options);
  void clear() { *this = Reports(); }

  bool wants(const ip::PathError& error) const {
    return kept_ != nullptr && (error.quote.destination.is_mapped() ? ipv4_ : ipv6_);
  }
  // False: it is full.
  bool put(const ip::PathError& error);
  std::size_t size() const { return count_; }
  std::optional<client::Report> take();
  // Of the one that is next.
  client::Failure failure() const;

 private:
  struct Kept {
    client::Report report;
    client::Failure failure = client::Failure::kNone;
  };

  bool ipv4_ = false;
  bool ipv6_ = false;
  std::unique_ptr<std::array<Kept, kMost>> kept_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
};

}  // namespace tideline::engine
