// SPDX-License-Identifier: Apache-2.0
// A target and an initiator that have met over a Unix socket: what the attach handshake will do, in
// one message each way. Every descriptor travels by SCM_RIGHTS.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/mapping.h"
#include "proofs/placement/direct_path.h"
#include "proofs/placement/frame_ring.h"
#include "proofs/placement/region_table.h"

namespace proofs::placement {

inline constexpr std::uint32_t kDomain = 7;  // the protection domain of every connection here

class Target {
 public:
  static tideline::Result<std::unique_ptr<Target>> create();

  // A memfd of `size` bytes for regions; before accept(). Returns its index.
  tideline::Result<std::uint32_t> add_memory(std::size_t size);
  const tideline::Mapping& memory(std::uint32_t index) const { return memories_[index].mapping; }
  int memory_fd(std::uint32_t index) const { return memories_[index].fd.get(); }

  // Meets the initiator at the other end of `socket` and starts the helper.
  tideline::Status accept(int socket, HelperTuning tuning);

  // A region over a whole memfd, or over plain memory.
  tideline::Result<std::uint32_t> register_memory(std::uint32_t index, std::uint32_t access,
                                                  std::uint32_t domain = kDomain);
  tideline::Result<std::uint32_t> register_plain(const void* base, std::size_t size,
                                                 std::uint32_t access);
  tideline::Status deregister(std::uint32_t rkey);

 private:
  struct Memory {
    tideline::UniqueFd fd;
    tideline::Mapping mapping;
  };

  Target(std::unique_ptr<RegionTable> table, RegionTableView view, tideline::UniqueFd page_fd,
         tideline::Mapping page, tideline::UniqueFd done)
      : table_(std::move(table)),
        view_(std::move(view)),
        page_fd_(std::move(page_fd)),
        page_(std::move(page)),
        done_(std::move(done)) {}

  std::unique_ptr<RegionTable> table_;
  RegionTableView view_;
  tideline::UniqueFd page_fd_;
  tideline::Mapping page_;
  tideline::UniqueFd done_;
  tideline::UniqueFd wake_read_;
  tideline::UniqueFd wake_write_;
  std::vector<Memory> memories_;
  tideline::Mapping peer_in_flight_;
  std::unique_ptr<FrameHelper> helper_;
};

class Initiator {
 public:
  // Meets the target at the other end of `socket`. One thread uses it, the one that connects.
  static tideline::Result<std::unique_ptr<Initiator>> connect(int socket, WaitMode mode);
  Initiator(const Initiator&) = delete;
  Initiator& operator=(const Initiator&) = delete;
  ~Initiator();

  DirectPath& direct() { return *direct_; }
  FrameSender& frames() { return *frames_; }

 private:
  explicit Initiator(tideline::Mapping in_flight) : in_flight_(std::move(in_flight)) {}

  tideline::Mapping in_flight_;
  std::unique_ptr<DirectPath> direct_;
  std::unique_ptr<FrameSender> frames_;
};

}  // namespace proofs::placement
