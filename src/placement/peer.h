// SPDX-License-Identifier: Apache-2.0
// A process of this machine that we may place bytes into: its table, checked and read as what it
// is, memory that another process writes as it likes. Thread: the engine's lock.
//
// What the table says of memory is believed only within the peer's own: a process id comes from the
// kernel and is proved by the table's nonce, a descriptor leads to a file in memory that the peer
// has open, and nothing outside of that file's size is mapped.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/mapping.h"
#include "placement/layout.h"
#include "rdma/direct_path.h"
#include "rdma/queue_pair.h"

namespace tideline::placement {

// A table of another process, mapped.
class View {
 public:
  static Result<View> attach(const UniqueFd& fd);

  const Header& header() const { return *mapping_.at<Header>(0); }
  bool owner_lives() const { return header().owner.owner_lives(); }
  // A consistent copy of an entry, with its sequence, or none: it is being written, or cannot be
  // read.
  std::optional<Region> region(std::uint32_t key, std::uint32_t& sequence) const;
  std::optional<QueuePair> queue_pair(std::uint32_t number) const;

 private:
  explicit View(Mapping mapping) : mapping_(std::move(mapping)) {}

  Mapping mapping_;
};

class Peer {
 public:
  // `pid`: of its process, or 0 if this process has no number for it; then nothing can be placed.
  static Result<std::unique_ptr<Peer>> attach(const UniqueFd& table, pid_t pid);

  bool has(const rdma::Gid& gid) const;
  // Whether the kernel lets this process reach into the peer.
  bool is_permitted() const { return permitted_; }

  // What move() needs: the region, if the peer lives and the request is allowed.
  std::optional<Region> find(const rdma::QueuePair& qp, const rdma::DirectRequest& request,
                             std::uint32_t& sequence) const;
  // The caller has announced itself (Table::begin_placing).
  rdma::DirectResult move(const rdma::QueuePair& qp, const rdma::DirectRequest& request);
  // Where a region begins in this process; null: it has to go by the kernel.
  std::byte* window_of(const Region& region, std::uint32_t sequence);
  // Whether bytes of a region can be moved at all.
  bool reaches(const Region& region, std::uint32_t sequence);

 private:
  // A region's file, mapped from the page on where the region begins.
  struct Window {
    std::uint32_t sequence = 0;  // of the entry that it was made for
    Mapping mapping;             // none: it cannot be mapped
    std::byte* begin = nullptr;
  };

  Peer(View view, pid_t pid, UniqueFd process, std::vector<rdma::Gid> gids)
      : view_(std::move(view)), pid_(pid), process_(std::move(process)), gids_(std::move(gids)) {}

  Window open_window(const Region& region, std::uint32_t sequence) const;
  void sweep();

  View view_;
  pid_t pid_;
  UniqueFd
      process_;  // its directory in /proc, of no use once it has ended; none: nothing is mapped
  std::vector<rdma::Gid> gids_;
  bool permitted_ = false;
  std::unordered_map<std::uint32_t, Window> windows_;  // by key
  std::uint64_t hidden_ = 0;                           // the header's when they were swept last
  // The last window that was used.
  std::uint32_t last_key_ = 0;
  Window* last_ = nullptr;
};

}  // namespace tideline::placement
