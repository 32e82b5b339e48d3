// SPDX-License-Identifier: Apache-2.0
// Plays the part of packetdrill: loads the library as it does, calls it as it does, and is the
// peer. Thread: one, and one more for a blocking call.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "shim/packetdrill/interface.h"
#include "wire/tcp.h"

namespace tideline::test {

inline constexpr std::uint16_t kOurPort = 8080;
inline constexpr std::uint16_t kPeerPort = 40000;

// In microseconds of the library's clock.
using Micros = long long;

struct Seen {
  wire::Tcp header;
  std::size_t size = 0;  // of payload
  Micros at = 0;
};

class Player {
 public:
  explicit Player(const std::string& flags = "local=192.168.0.1/16");
  ~Player();
  Player(const Player&) = delete;
  Player& operator=(const Player&) = delete;

  // A segment of the peer's, of `size` zeros; numbers are absolute.
  void inject(std::uint16_t flags, std::uint32_t seq, std::uint32_t ack, std::size_t size = 0,
              const wire::TcpOptions& options = {});
  bool inject_raw(std::span<const std::byte> packet);
  // The next that the stack sends.
  Seen next();

  // A connection that was accepted; the listener is closed. Both sides count from 1, as scripts do.
  int accept_one();
  std::uint32_t ours(std::uint32_t number) const { return our_iss_ + number; }
  std::uint32_t theirs(std::uint32_t number) const { return kTheirIss + number; }

  Micros now();
  void sleep(Micros time) { calls.usleep(calls.userdata, static_cast<useconds_t>(time)); }
  int listen_socket();
  bool is_asleep(pid_t thread) const;

  packetdrill_interface calls{};

 private:
  static constexpr std::uint32_t kTheirIss = 7000;

  std::uint32_t our_iss_ = 0;
};

}  // namespace tideline::test
