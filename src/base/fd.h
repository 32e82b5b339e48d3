// SPDX-License-Identifier: Apache-2.0
// File descriptors with an owner, and their passage over a Unix socket.
#pragma once

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "base/error.h"

namespace tideline {

// Owns a descriptor and closes it. Move-only; one thread.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset();

 private:
  int fd_ = -1;
};

// Most descriptors that one message may carry.
inline constexpr std::size_t kMaxPassedFds = 16;

// Sends `payload` (at least one byte) as one message with `fds` attached (SCM_RIGHTS). The caller
// keeps its descriptors. Never raises SIGPIPE.
Status send_with_fds(int socket, std::span<const std::byte> payload, std::span<const int> fds);

struct ReceivedMessage {
  std::size_t size = 0;  // bytes put into `payload`; 0 at the end of the stream
  std::vector<UniqueFd> fds;
};

// Receives one message and the descriptors with it, close-on-exec. A message that was cut (payload
// or descriptors) is an error; what arrived is closed.
Result<ReceivedMessage> receive_with_fds(int socket, std::span<std::byte> payload);

}  // namespace tideline
