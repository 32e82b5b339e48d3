// SPDX-License-Identifier: Apache-2.0
#include "port/test_namespace.h"

#include <fmt/core.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "base/fd.h"
#include "port/interface.h"

namespace tideline::port::testing {
namespace {

Status enter() {
  if (::unshare(CLONE_NEWNET) != 0) {
    return fail_errno("cannot make a network namespace", "run as root");
  }
  std::ofstream("/proc/sys/net/ipv6/conf/default/disable_ipv6") << 1;
  std::ofstream("/proc/sys/net/unix/max_dgram_qlen") << 512;
  return bring_interface_up("lo");
}

Status run(const std::string& command) {
  // NOLINTNEXTLINE(bugprone-command-processor): fixed commands of this file
  if (std::system(command.c_str()) == 0) return {};
  return fail({.what = fmt::format("`{}` failed", command), .remedy = "install iproute2"});
}

// A worker of the kernel's notices that both ends are up, and lets frames leave; until then they
// vanish. It does so under the lock that the second bring_interface_up() takes.
Status wait_until_running(const std::string& name) {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  for (int tries = 0; tries < 10'000; ++tries) {
    if (!socket || ::ioctl(socket.get(), SIOCGIFFLAGS, &request) != 0) {
      return fail_errno("cannot read the flags of " + name);
    }
    if ((request.ifr_flags & IFF_RUNNING) != 0) return bring_interface_up(name);
    ::usleep(1000);
  }
  return fail({.what = name + " does not get a carrier"});
}

}  // namespace

Status enter_test_namespace() {
  static const Status entered = enter();
  return entered;
}

Status make_veth(const char* left, const char* right, unsigned mtu, unsigned queues) {
  if (Status s = enter_test_namespace(); !s) return s;
  const std::string side = fmt::format("mtu {0} numtxqueues {1} numrxqueues {1}", mtu, queues);
  if (Status s =
          run(fmt::format("ip link add {0} {2} type veth peer name {1} {2}", left, right, side));
      !s) {
    return s;
  }
  for (const char* name : {left, right}) {
    if (Status s = bring_interface_up(name); !s) return s;
  }
  for (const char* name : {left, right}) {
    if (Status s = wait_until_running(name); !s) return s;
  }
  return {};
}

void remove_veth(const char* left) {
  const Status removed = run(fmt::format("ip link del {}", left));
  if (!removed) fmt::print(stderr, "{}\n", removed.error().message());
}

}  // namespace tideline::port::testing
