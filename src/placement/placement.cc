// SPDX-License-Identifier: Apache-2.0
#include "placement/placement.h"

#include <sched.h>

#include <cerrno>
#include <utility>

#include "base/clock.h"

namespace tideline::placement {
namespace {

// Longer than any part of a request takes to move; a peer that takes longer has been stopped.
constexpr Duration kPatience = std::chrono::seconds(1);
// For one that has been waited for in vain, and has not moved since: each region is hidden alone.
constexpr Duration kLeftPatience = std::chrono::milliseconds(1);
// A process that has ended may still be in the kernel with the rest of a part.
constexpr Duration kLastBreath = std::chrono::milliseconds(10);
constexpr int kSpinsBeforeYield = 100;

// Waits until a source is not placing, or places something that it has looked at since. False: it
// takes too long.
bool let_pass(Source& source) {
  const auto& placing = source.view.header().placing;
  const std::uint64_t found = placing.load(std::memory_order_seq_cst);
  if (found % 2 == 0) return true;
  Instant deadline = monotonic_now() + (found == source.stuck ? kLeftPatience : kPatience);
  bool lives = true;
  for (int spins = 0; placing.load(std::memory_order_acquire) == found; ++spins) {
    if (spins < kSpinsBeforeYield) {
      cpu_relax();
      continue;
    }
    if (lives && !source.view.owner_lives()) {
      lives = false;
      deadline = monotonic_now() + kLastBreath;
    }
    if (monotonic_now() > deadline) {
      if (lives) source.stuck = found;
      return !lives;
    }
    ::sched_yield();  // it may have lost its core to us
  }
  return true;
}

}  // namespace

Result<std::unique_ptr<Placement>> Placement::create() {
  auto table = Table::create();
  if (!table) return fail(std::move(table.error()));
  return std::unique_ptr<Placement>(new Placement(std::move(*table)));
}

Peer* Placement::peer_of(rdma::QueuePair& qp) {
  const rdma::Gid& gid = qp.route.destination;
  if (const auto& noted = peers_[qp.direct_peer]; noted != nullptr && noted->has(gid)) {
    return noted.get();
  }
  for (unsigned slot = 0; slot < peers_.size(); ++slot) {
    if (peers_[slot] == nullptr || !peers_[slot]->has(gid)) continue;
    qp.direct_peer = slot;
    return peers_[slot].get();
  }
  return nullptr;
}

rdma::DirectResult Placement::move(rdma::QueuePair& qp, const rdma::DirectRequest& request) {
  Peer* peer = peer_of(qp);
  if (peer == nullptr) return rdma::DirectResult::kRefused;
  table_->begin_placing();
  const rdma::DirectResult result = peer->move(qp, request);
  table_->end_placing();
  switch (result) {
    case rdma::DirectResult::kMapped:
      ++counters_.by_mapping;
      break;
    case rdma::DirectResult::kKernel:
      ++counters_.by_kernel;
      break;
    case rdma::DirectResult::kRefused:
      ++counters_.refused;
      break;
  }
  return result;
}

bool Placement::reaches(rdma::QueuePair& qp, const rdma::DirectRequest& request) {
  Peer* peer = peer_of(qp);
  if (peer == nullptr) return false;
  std::uint32_t sequence = 0;
  const auto region = peer->find(qp, request, sequence);
  return region && peer->reaches(*region, sequence);
}

Status Placement::hide(const rdma::MemoryRegion& region) {
  if (!Table::is_for_peers(region)) return {};
  table_->hide(region);
  for (auto& source : sources_) {
    if (!source || let_pass(*source)) continue;
    return fail({.kind = ErrorKind::kPeer,
                 .what = "a peer has been moving bytes of the memory region for too long",
                 .remedy = "it may be stopped by a debugger; continue it, then deregister again",
                 .errno_value = EBUSY});
  }
  return {};
}

// A destroyed queue pair's memory may still be registered: what is under way through it ends first,
// if it does so in time.
void Placement::hide(const rdma::QueuePair& qp) {
  table_->hide(qp);
  for (auto& source : sources_) {
    if (source) (void)let_pass(*source);
  }
}

bool Placement::source_up(unsigned slot, UniqueFd theirs) {
  sources_.at(slot).reset();
  auto view = View::attach(theirs);
  if (view) sources_.at(slot).emplace(Source{.view = std::move(*view)});
  return view.has_value();
}

void Placement::destination_up(unsigned slot, pid_t pid, UniqueFd theirs) {
  auto peer = Peer::attach(theirs, pid);
  peers_.at(slot) = peer ? std::move(*peer) : nullptr;
}

}  // namespace tideline::placement
