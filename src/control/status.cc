// SPDX-License-Identifier: Apache-2.0
#include "control/status.h"

#include <algorithm>
#include <span>
#include <utility>

namespace tideline::control {
namespace {

// As many as are copied in some microseconds.
constexpr std::size_t kPart = 256;

// Fills a list part by part: `copy(worker, from, part)` says how many it has put there, and where
// to go on; at 0 there are no more. Room is made outside of the engine.
template <typename T, typename Copy>
bool list(Subject& subject, std::vector<T>& all, const Copy& copy) {
  std::uint32_t from = 0;
  do {
    std::vector<T> part(kPart);
    std::size_t count = 0;
    const bool looked = subject.look([&](engine::Worker& worker, Instant /*now*/) {
      count = copy(worker, from, std::span<T>(part));
    });
    if (!looked) return false;
    part.resize(count);
    all.insert(all.end(), part.begin(), part.end());
  } while (from != 0 && all.size() < kMostListed);
  return true;
}

// While nobody drives the engine.
ClientsStatus look_at_clients(const engine::QueueServer& server) {
  ClientsStatus clients{.count = server.clients()};
  clients.listed.reserve(std::min(clients.count, kMostListed));
  server.for_each_client([&](const engine::ClientInfo& each) {
    if (clients.listed.size() < kMostListed) clients.listed.push_back(each);
  });
  for (std::size_t i = 0; i < engine::kEndReasons; ++i) {
    const auto reason = static_cast<engine::EndReason>(i);
    if (server.ended(reason) > 0) {
      clients.ended.emplace_back(name_of(reason), server.ended(reason));
    }
  }
  return clients;
}

}  // namespace

std::optional<EngineStatus> take_status(Subject& subject) {
  EngineStatus status;
  const rdma::Device* device = subject.device();
  RdmaStatus rdma;
  const bool looked = subject.look([&](engine::Worker& worker, Instant now) {
    status.now = now;
    status.wire = worker.port().stats(0);
    status.drops = engine::list_drops(worker);
    status.passes = status.wire.passes;
    status.passes.add(worker.function().stats().passes);
    if (worker.host() != nullptr) {
      status.tcp_connections = worker.host()->tcp().connections();
      status.most_connections = worker.host()->tcp().most_connections();
      status.bypassed = worker.host()->tcp().counters().bypassed;
      status.passes.add(worker.host()->stack().passes());
      status.passes.add(worker.host()->tcp().passes());
    }
    if (const auto* server = subject.queue_server(); server != nullptr) {
      status.passes.add(server->passes());
      status.clients = look_at_clients(*server);
    }
    if (device == nullptr) return;
    rdma.objects = device->status();
    rdma.counters = device->counters();
    status.passes.add(rdma.counters.passes);
  });
  if (!looked) return std::nullopt;
  if (status.tcp_connections > 0) {
    const bool listed =
        list(subject, status.tcp,
             [](engine::Worker& worker, std::uint32_t& from, std::span<tcp::Info> part) {
               return worker.host()->tcp().list(from, part);
             });
    if (!listed) return std::nullopt;
  }
  if (device == nullptr) return status;
  const bool listed =
      list(subject, rdma.qps,
           [&](engine::Worker& /*worker*/, std::uint32_t& from, std::span<rdma::QpStatus> part) {
             return device->list_qps(from, part);
           });
  if (!listed) return std::nullopt;
  status.rdma = std::move(rdma);
  return status;
}

}  // namespace tideline::control
