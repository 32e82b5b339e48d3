// SPDX-License-Identifier: Apache-2.0
// Every reason for which something was dropped, for reports. Thread: the worker's.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine/worker.h"
#include "rdma/counters.h"

namespace tideline::engine {

// "room.reason" and how often; only those above zero.
using Drops = std::vector<std::pair<std::string, std::uint64_t>>;

// Of a worker, its port and its host.
Drops list_drops(Worker& worker);
// Of a port and of the function on it.
Drops list_drops(port::Port& port, const nic::Function& function);
// Of an RDMA device.
Drops list_drops(const rdma::Counters& counters);

}  // namespace tideline::engine
