// SPDX-License-Identifier: Apache-2.0
// This process's own table (layout.h): what it shows, that it lives, and that it is placing.
// Thread: the engine's lock, but for ownership.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>

#include "base/error.h"
#include "base/fd.h"
#include "base/mapping.h"
#include "base/time.h"
#include "placement/backing.h"
#include "placement/layout.h"
#include "rdma/queue_pair.h"

namespace tideline::placement {

class Table {
 public:
  static Result<std::unique_ptr<Table>> create();
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  int fd() const { return fd_.get(); }
  // Before any peer has the descriptor.
  void set_gids(const rdma::GidTable& gids);
  // The calling thread lives as long as this process is to be placed into: until then nobody does.
  void take_ownership() { header().owner.take(); }
  // On the same thread, before the table goes; or the thread ends.
  void release_ownership() { header().owner.release(); }

  // Whether peers may do anything with it; other regions are not shown.
  static bool is_for_peers(const rdma::MemoryRegion& region);
  void show(const rdma::MemoryRegion& region);
  void show(const rdma::QueuePair& qp);
  void hide(const rdma::MemoryRegion& region);
  void hide(const rdma::QueuePair& qp);

  void begin_placing() { header().placing.fetch_add(1, std::memory_order_seq_cst); }
  void end_placing() { header().placing.fetch_add(1, std::memory_order_release); }

 private:
  Table(UniqueFd fd, Mapping mapping) : fd_(std::move(fd)), mapping_(std::move(mapping)) {}
  Header& header() const { return *mapping_.at<Header>(0); }

  UniqueFd fd_;
  Mapping mapping_;
  // Of regions that are shared mappings: their files, kept open for peers to open them.
  OpenFiles open_files_;
  std::unordered_map<std::uint32_t, std::shared_ptr<const UniqueFd>> files_;
};

}  // namespace tideline::placement
