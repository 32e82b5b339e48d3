// SPDX-License-Identifier: Apache-2.0
// For port_conformance_test.cc: two ports of each kind, or a port and what is at its other end,
// joined by a wire.
#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "base/error.h"
#include "packet/pool.h"
#include "port/port.h"

namespace tideline::port::testing {

struct ConformanceLink {
  // In this order: ports go before the pools that their frames lie in.
  std::shared_ptr<void> resources;
  std::unique_ptr<Pool> near_pool;
  std::unique_ptr<Pool> far_pool;
  std::unique_ptr<Port> near;
  std::unique_ptr<Port> far;
};

struct ConformanceKind {
  std::string name;
  std::function<Result<ConformanceLink>()> open;
  // Every frame is received or counted as dropped by one of the two ports. Not so where the kernel
  // has queues of its own between them.
  bool accounts_for_all = true;
};

std::vector<ConformanceKind> conformance_kinds();

inline std::ostream& operator<<(std::ostream& out, const ConformanceKind& kind) {
  return out << kind.name;
}

}  // namespace tideline::port::testing
