// SPDX-License-Identifier: Apache-2.0
// The direct path of a device whose wire is a shared segment (port/shm/): every member shows the
// others its table (layout.h), and moves the bytes of one-sided operations into and out of what
// they show. docs/adr/0004.
//
// Thread: the engine's lock, but for ownership, which is the engine's helper's.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/time.h"
#include "placement/peer.h"
#include "placement/table.h"
#include "port/shm/layout.h"
#include "port/shm/peers.h"
#include "rdma/direct_path.h"

namespace tideline::placement {

struct Counters {
  std::uint64_t by_mapping = 0;  // parts moved by a copy of ours
  std::uint64_t by_kernel = 0;   // by process_vm_writev or readv
  std::uint64_t refused = 0;     // and so sent by frames
};

// Who may place into ours.
struct Source {
  View view;
  std::uint64_t stuck = 0;  // its `placing` when it was waited for in vain; even: never
};

class Placement final : public rdma::DirectPath, public port::shm::Peers {
 public:
  static Result<std::unique_ptr<Placement>> create();

  // Before the wire carries anything.
  void set_gids(const rdma::GidTable& gids) { table_->set_gids(gids); }
  // See Table.
  void take_ownership() { table_->take_ownership(); }
  void release_ownership() { table_->release_ownership(); }
  const Counters& counters() const { return counters_; }

  // rdma::DirectPath
  rdma::DirectResult move(rdma::QueuePair& qp, const rdma::DirectRequest& request) override;
  bool reaches(rdma::QueuePair& qp, const rdma::DirectRequest& request) override;
  void show(const rdma::MemoryRegion& region) override { table_->show(region); }
  void show(const rdma::QueuePair& qp) override { table_->show(qp); }
  Status hide(const rdma::MemoryRegion& region) override;
  void hide(const rdma::QueuePair& qp) override;

  // port::shm::Peers
  int descriptor() const override { return table_->fd(); }
  bool source_up(unsigned slot, UniqueFd theirs) override;
  void source_down(unsigned slot) override { sources_.at(slot).reset(); }
  void destination_up(unsigned slot, pid_t pid, UniqueFd theirs) override;
  void destination_down(unsigned slot) override { peers_.at(slot).reset(); }

 private:
  explicit Placement(std::unique_ptr<Table> table) : table_(std::move(table)) {}
  // The peer that the queue pair is connected to; null if it is not on this segment.
  Peer* peer_of(rdma::QueuePair& qp);

  std::unique_ptr<Table> table_;
  std::array<std::unique_ptr<Peer>, port::shm::kMaxMembers> peers_;
  std::array<std::optional<Source>, port::shm::kMaxMembers> sources_;
  Counters counters_;
};

}  // namespace tideline::placement
