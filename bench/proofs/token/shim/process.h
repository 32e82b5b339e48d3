// SPDX-License-Identifier: Apache-2.0
// What the shim knows for its whole process: its settings, its link to the broker, the board of
// bells, and the doorbells of others. It starts at the first use of one of our addresses or tokens;
// programs that use none never talk to the broker. Any thread; a forked child links anew at first
// use.
#pragma once

#include <netinet/in.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>

#include "proofs/token/layout.h"
#include "proofs/token/protocol.h"
#include "proofs/token/shared_lock.h"

namespace proofs::token {

enum class WakeMode : std::uint8_t {
  kDoorbell,  // an eventfd for each waiting context stands in the kernel's set
  kToken,     // the tokens stand there, and are made readable by a byte from their far ends
};

struct Settings {
  WakeMode wake = WakeMode::kDoorbell;
  std::uint32_t spin_us = 0;
  std::array<std::uint16_t, 16> ports{};  // of wildcard and 127.0.0.1 addresses that are ours
  char broker[108] = {};
};

// A doorbell of this process, borrowed for a wait or held by an epoll instance.
struct OwnBell {
  std::uint32_t number = 0;  // 0: none
  int doorbell = -1;
};

class Process {
 public:
  // Reads the environment and takes care of fork, once.
  void start();
  const Settings& settings() const { return settings_; }
  // Is this end point ours?
  bool ours(const sockaddr* address, socklen_t size) const;

  // Links with the broker unless that is done. False: there is none.
  bool link();
  // For locks; a forked child gets one of its own here.
  const Owner& owner() {
    if (!linked_.load(std::memory_order_acquire)) [[unlikely]]
      link();
    return owner_;
  }
  Board& board() const { return *board_; }

  // What the broker answered; the caller owns the descriptors (close-on-exec, -1 if absent).
  struct Answer {
    Reply reply;
    std::array<int, 3> fds{-1, -1, -1};
  };
  // Asks the broker, with one descriptor shown if `fd` is not -1. `reply.error` is set on failure.
  Answer ask(const Request& request, int fd = -1);

  OwnBell take_bell();
  void give_bell(const OwnBell& bell);
  // Rings somebody's doorbell.
  void ring(std::uint32_t bell);

  // Moves a descriptor of the shim's to a high number where the program's own do not come.
  static int hide(int fd);

 private:
  static void before_fork();
  static void after_fork_parent();
  static void after_fork_child();
  int doorbell_of(std::uint32_t bell);

  Settings settings_;
  std::atomic<bool> started_ = false;
  std::atomic<bool> linked_ = false;
  Owner owner_;
  Board* board_ = nullptr;
  int control_ = -1;
  std::recursive_mutex mutex_;                                     // the link, the bells
  std::array<std::atomic<std::uint64_t>, kMaxBells> doorbells_{};  // generation << 32 | fd + 1
  std::array<OwnBell, 64> spare_{};
  std::size_t spare_count_ = 0;
};

// DEVIATES: a global, as in fd_table.h.
extern constinit Process process;

// Receives a Reply and its descriptors (close-on-exec). 0, or an errno.
int receive_reply(int socket, int flags, Reply& reply, std::array<int, 3>& fds);

constexpr std::uint64_t pack(const Address& address) {
  return std::uint64_t{address.ip} << 16 | address.port;
}
constexpr Address unpack(std::uint64_t word) {
  return {.ip = static_cast<std::uint32_t>(word >> 16), .port = static_cast<std::uint16_t>(word)};
}
Address from_sockaddr(const sockaddr* address);
// As getsockname(2) and accept(2) hand out addresses.
void to_sockaddr(const Address& from, sockaddr* to, socklen_t* size);

}  // namespace proofs::token
