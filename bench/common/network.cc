// SPDX-License-Identifier: Apache-2.0
#include "common/network.h"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>

#include "base/fd.h"

namespace bench {

tideline::Status enter_private_network() {
  if (::unshare(CLONE_NEWNET) != 0) {
    return tideline::fail_errno("cannot make a network namespace", "run it as root");
  }
  const tideline::UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  if (!socket || ::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) {
    return tideline::fail_errno("cannot bring the loopback interface up");
  }
  return {};
}

}  // namespace bench
