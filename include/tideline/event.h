// SPDX-License-Identifier: Apache-2.0
// What an engine tells its program: which of its objects became ready, and for what.
#pragma once

#include <cstdint>

namespace tideline {

// A set of flags.
enum class Ready : std::uint8_t {
  kNone = 0,
  // Stream: bytes were received, the peer has ended, or the stream is over. Listener: streams wait.
  // DatagramSocket: datagrams wait.
  kReadable = 1,
  // Stream: connected; or there is room again after a write that found too little.
  kWritable = 2,
  // Stream: lent memory has come back (Stream::released).
  kReleased = 4,
  // Stream: nothing is sent or received any more; error() says why.
  kEnded = 8,
};

constexpr Ready operator|(Ready a, Ready b) {
  return static_cast<Ready>(static_cast<std::uint8_t>(a) | static_cast<std::uint8_t>(b));
}
constexpr bool has(Ready set, Ready flag) {
  return (static_cast<std::uint8_t>(set) & static_cast<std::uint8_t>(flag)) != 0;
}

// Edge-triggered: it says that something came since the object's last event. Take all that is
// there, or remember that you did not.
struct Event {
  void* context = nullptr;  // what the program gave the object by set_context()
  Ready ready = Ready::kNone;
};

}  // namespace tideline
