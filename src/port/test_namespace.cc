// SPDX-License-Identifier: Apache-2.0
#include "port/test_namespace.h"

#include <fmt/core.h>
#include <sched.h>

#include <cstdlib>
#include <fstream>
#include <string>

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
  if (Status s = bring_interface_up(left); !s) return s;
  return bring_interface_up(right);
}

void remove_veth(const char* left) {
  const Status removed = run(fmt::format("ip link del {}", left));
  if (!removed) fmt::print(stderr, "{}\n", removed.error().message());
}

}  // namespace tideline::port::testing
