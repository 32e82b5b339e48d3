// SPDX-License-Identifier: Apache-2.0
// What `perf` says on a connection, and what a run is. The first byte tells the mode; both sides
// may be tideline's or the kernel's.
//
//   stream    Hello, then bytes until FIN; the server answers with a Report and FIN
//   request   Hello, then messages of `size` bytes, each answered with as many
//   connect   one byte, answered with one byte and FIN
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/time.h"
#include "perf/histogram.h"
#include "udp_blast/effort.h"
#include "wire/endian.h"

namespace tideline::app::flow {

inline constexpr std::uint16_t kPort = 5001;

enum class Mode : std::uint8_t { kStream = 's', kRequest = 'r', kConnect = 'c' };

struct Hello {
  Mode mode;
  std::array<char, 7> magic;
  wire::be64 size;
};
static_assert(sizeof(Hello) == 16);
inline constexpr std::array<char, 7> kMagic{'t', 'l', 'p', 'e', 'r', 'f', '1'};

// What the server has seen of a stream, and spent meanwhile.
struct Report {
  wire::be64 bytes;
  wire::be64 elapsed_ns;  // from its first bytes to its end
  wire::be64 cpu_ns;
  wire::be64 passed;
  wire::be64 copied;
  wire::be64 dropped;
};
static_assert(sizeof(Report) == 48);

struct Plan {
  Mode mode = Mode::kStream;
  unsigned streams = 1;
  std::size_t size = 0;  // of a message; in stream mode of a write
  Duration duration{};
  bool poll = false;  // never sleep
};

// What the client has seen, and what servers say.
struct Figures {
  std::uint64_t done = 0;   // requests, or connections
  std::uint64_t bytes = 0;  // of payload that arrived at its destination, both ways together
  Duration elapsed{};
  Histogram latency;
  blast::Effort client;
  blast::Effort server;      // stream mode
  std::uint64_t errors = 0;  // connections that ended before their time
};

}  // namespace tideline::app::flow
