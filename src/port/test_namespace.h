// SPDX-License-Identifier: Apache-2.0
// For tests that touch interfaces: a network namespace of the test program's own, which ends with
// it.
#pragma once

#include "base/error.h"

namespace tideline::port::testing {

// Enters a fresh namespace at the first call. Interfaces there have no IPv6 of their own, so that
// the kernel sends nothing unasked, and Unix sockets hold 512 datagrams. An error of kind
// kEnvironment if this user may not.
Status enter_test_namespace();

// Two interfaces joined by a cable, up, with so many queues each way.
Status make_veth(const char* left, const char* right, unsigned mtu, unsigned queues = 1);
void remove_veth(const char* left);

}  // namespace tideline::port::testing
