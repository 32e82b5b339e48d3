// SPDX-License-Identifier: Apache-2.0
// A look at an engine, as values. Thread: the server's; the engine is held for parts of it only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "control/subject.h"
#include "engine/client_policy.h"
#include "engine/drops.h"
#include "packet/pass_counter.h"
#include "port/stats.h"
#include "rdma/counters.h"
#include "rdma/status.h"
#include "tcp/stream.h"

namespace tideline::control {

// Of each kind; the counts are of all.
inline constexpr std::size_t kMostListed = 4096;

// What does not change while an engine lives.
struct Identity {
  std::string wire;
  std::vector<std::string> addresses;
  std::string front_end{};  // its name; empty: a program with an engine of its own
  std::string host{};       // of the front end's
};

struct RdmaStatus {
  rdma::DeviceStatus objects;
  rdma::Counters counters;
  std::vector<rdma::QpStatus> qps;
};

// Programs that are attached to a front end.
struct ClientsStatus {
  std::size_t count = 0;
  std::vector<engine::ClientInfo> listed;
  std::vector<std::pair<std::string, std::uint64_t>> ended;  // why, and how often
};

struct EngineStatus {
  Instant now;  // of the first part
  port::QueueStats wire;
  engine::Drops drops;
  packet::PassCounter passes;       // over payload, of all that this engine does
  std::size_t tcp_connections = 0;  // TIME-WAIT included
  std::size_t most_connections = 0;
  std::uint64_t bypassed = 0;  // bytes between two connections of this host: tcp/bypass.h
  std::vector<tcp::Info> tcp;
  std::optional<RdmaStatus> rdma;
  std::optional<ClientsStatus> clients;
};

// Nothing if the engine is closed, or nobody drives it. Queue pairs and connections are looked at
// in parts: each is right for itself, and one that comes or goes meanwhile is there or not.
std::optional<EngineStatus> take_status(Subject& subject);

}  // namespace tideline::control
