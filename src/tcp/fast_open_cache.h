// SPDX-License-Identifier: Apache-2.0
// What a host remembers of the servers that it has opened connections to with data in the SYN:
// their cookies, and where such SYNs are lost (RFC 7413 §4.1.3). Internal to the room. Thread: the
// worker's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/siphash.h"
#include "base/time.h"
#include "tcp/endpoint.h"
#include "wire/tcp_options.h"

namespace tideline::tcp {

class FastOpenCache {
 public:
  struct Server {
    wire::FastOpenCookie cookie;  // empty: none yet
    std::uint16_t mss = 0;        // what it has announced
  };

  explicit FastOpenCache(const HashKey& key);

  // Whether a SYN to there may say anything of fast open now.
  bool is_open_to(const Tuple& tuple, Instant now) const;
  // Null: no cookie is known.
  const Server* find(const Tuple& tuple) const;
  void learn(const Tuple& tuple, const Server& server, Instant now);

  // A SYN with the option was not answered: none for a minute, then two, four, ...
  void lost(const Tuple& tuple, Instant now);
  // One was.
  void answered(const Tuple& tuple);

  // A connection was opened, and then nothing passed any more: something on the way takes offence
  // at it, wherever we go. None for an hour, then two, ... (§7.2.1).
  void black_hole(Instant now);
  // One was opened so, and has worked to its end.
  void worked() { black_holes_ = 0; }

 private:
  struct Entry {
    wire::Ipv6Address local;
    wire::Ipv6Address remote;
    Server server;
    std::uint8_t losses = 0;  // in a row
    Instant closed_until = Instant::min();
    Instant used_at = Instant::min();  // min: the entry is free
  };

  std::size_t set_of(const Tuple& tuple) const;
  Entry* entry(const Tuple& tuple);
  const Entry* entry(const Tuple& tuple) const;
  // Takes the place of the one that was used longest ago.
  Entry& make(const Tuple& tuple, Instant now);

  HashKey key_;
  std::vector<Entry> entries_;  // in sets
  unsigned black_holes_ = 0;    // in a row
  Instant closed_until_ = Instant::min();
};

}  // namespace tideline::tcp
