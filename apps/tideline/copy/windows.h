// SPDX-License-Identifier: Apache-2.0
// The registered memory of one side of a transfer, in windows, and its queue pair. In a memfd, so
// that a peer on this machine can map it: placement/backing.h. Thread: the engine's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <tideline/stream.h>

#include "api/rdma.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/mapping.h"
#include "copy/message.h"

namespace tideline::app::copy {

// As many as keep disk, wire and disk busy at a time, each large enough that what is done once for
// a window does not count, and small enough to stay in the cache from one step to the next.
inline constexpr std::uint32_t kWindowSize = 1U << 20;
inline constexpr std::uint32_t kWindows = 16;

// What all transfers of a process share.
class Verbs {
 public:
  static Result<std::unique_ptr<Verbs>> create(api::RdmaEngine& rdma);
  ~Verbs();
  Verbs(const Verbs&) = delete;
  Verbs& operator=(const Verbs&) = delete;

  api::RdmaEngine& rdma() { return rdma_; }
  rdma::ProtectionDomain& pd() { return *pd_; }
  rdma::CompletionQueue& cq() { return *cq_; }
  // The next completion. After the last, the engine wakes for the one that comes then.
  std::optional<rdma::Completion> next();

 private:
  explicit Verbs(api::RdmaEngine& rdma) : rdma_(rdma), source_(rdma.runtime()) {}

  api::RdmaEngine& rdma_;
  api::Source source_;
  rdma::ProtectionDomain* pd_ = nullptr;
  rdma::CompletionQueue* cq_ = nullptr;
};

class Windows {
 public:
  static Result<std::unique_ptr<Windows>> create(Verbs& verbs, rdma::Access access);
  // The memory stays for good where a peer that has stopped in the midst of a WRITE may still come
  // back to it.
  ~Windows();
  Windows(const Windows&) = delete;
  Windows& operator=(const Windows&) = delete;

  std::span<std::byte> window(std::uint32_t index) const {
    return memory_.bytes().subspan(std::size_t{index} * kWindowSize, kWindowSize);
  }
  std::uint64_t address() const { return region_->iova; }
  std::uint32_t key() const { return region_->key; }
  std::uint32_t qp_number() const { return qp_->number; }
  QueuePairAddress here() const;
  // Connects the queue pair with the peer's, between the addresses that the stream has. Fails, with
  // kPeer, if the peer says what cannot be.
  Status connect(const Stream& stream, const QueuePairAddress& peer);
  // From `index`, into the peer's memory; completes with that number.
  Status write(std::uint32_t index, std::uint32_t length, std::uint64_t remote, std::uint32_t rkey);

 private:
  explicit Windows(Verbs& verbs) : verbs_(verbs) {}

  Verbs& verbs_;
  UniqueFd fd_;
  Mapping memory_;
  rdma::MemoryRegion* region_ = nullptr;
  rdma::QueuePair* qp_ = nullptr;
  std::uint32_t psn_ = 0;
};

}  // namespace tideline::app::copy
