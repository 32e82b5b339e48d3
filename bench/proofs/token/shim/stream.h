// SPDX-License-Identifier: Apache-2.0
// A connection's token as this process sees it: the mapped page and FIFOs, and the calls on it.
// Results are those of the system calls, with errors as negative errno. Any thread.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <span>

#include "proofs/token/fifo.h"
#include "proofs/token/layout.h"
#include "proofs/token/shim/fd_table.h"

namespace proofs::token {

class Stream : public Counted {
 public:
  // Maps the connection's memory; takes over `memory` and `far` (-1: none). Null without memory.
  static Stream* open(int memory, int far, std::uint32_t side);
  static Stream* at(std::uint64_t word) {
    return reinterpret_cast<Stream*>(word);  // NOLINT(performance-no-int-to-ptr): a table word
  }
  void release();

  // `fd` is the descriptor the call was made on: the wait for it may stand in the kernel's set.
  ssize_t send(int fd, std::span<const iovec> from, int flags);
  ssize_t receive(int fd, std::span<const iovec> to, int flags);
  ssize_t send_file(int fd, int file, off_t* offset, std::size_t size);
  int shut_down(int how);

  // Poll events that hold now, of `wanted` and POLLERR, POLLHUP. Asks for a notification when
  // POLLOUT is wanted and does not hold.
  short readiness(short wanted);
  std::size_t readable_bytes() { return used_bytes(incoming()); }

  Endpoint& endpoint() { return page_->endpoint[side_]; }
  const Address& address(bool peer) const { return page_->address[peer ? 1 - side_ : side_]; }
  bool nonblocking() { return endpoint().nonblocking.load(std::memory_order_relaxed) != 0; }

  // SO_RCVTIMEO and SO_SNDTIMEO, -1: none.
  std::atomic<int> receive_timeout_ms = -1;
  std::atomic<int> send_timeout_ms = -1;
  // The values of options that only have to be remembered (option.cc).
  std::array<std::atomic<int>, 12> options{};
  Stream* next_free = nullptr;

 private:
  Direction& outgoing() { return page_->direction[side_]; }
  Direction& incoming() { return page_->direction[1 - side_]; }
  std::byte* outgoing_data() { return data_ + side_ * kFifoBytes; }
  std::byte* incoming_data() { return data_ + (1 - side_) * kFifoBytes; }
  void notify_peer();
  void after_consuming();
  bool space_after_asking();
  ssize_t put(std::span<const iovec> from, std::size_t skip, std::size_t size);
  ssize_t take(std::span<const iovec> to, std::size_t skip, bool peek);
  ssize_t put_file(int file, off_t* offset, std::size_t size);
  template <typename Put>
  ssize_t transmit(int fd, std::size_t size, int flags, Put put_after);
  int wait_unless(int fd, short events, int flags);
  ssize_t ended();

  ConnectionPage* page_ = nullptr;
  std::byte* data_ = nullptr;
  std::uint32_t side_ = 0;
  int far_ = -1;  // of the peer's token: only in wake mode "token"
  std::atomic<bool> shut_read_ = false;
  std::atomic<bool> reset_told_ = false;
};

}  // namespace proofs::token
