// SPDX-License-Identifier: Apache-2.0
#include "queue/doorbell.h"

#include <sys/socket.h>

#include <array>
#include <cstddef>

namespace tideline::queue {

Result<Doorbell> Doorbell::create() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return fail_errno("cannot create a doorbell", "raise the limit of open files (ulimit -n)");
  }
  return Doorbell{.sleeper = UniqueFd(ends[0]), .ringer = UniqueFd(ends[1])};
}

void Doorbell::ring(int ringer) {
  const std::byte ring{};
  [[maybe_unused]] const ssize_t sent =
      ::send(ringer, &ring, sizeof(ring), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void Doorbell::drain(int sleeper) {
  std::array<std::byte, 256> rings;
  while (::recv(sleeper, rings.data(), rings.size(), MSG_DONTWAIT) ==
         static_cast<ssize_t>(rings.size())) {
  }
}

}  // namespace tideline::queue
