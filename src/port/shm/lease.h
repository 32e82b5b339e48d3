// SPDX-License-Identifier: Apache-2.0
// Who owns which slot of a segment. Called when a member joins and leaves. Thread: any, one per
// object.
//
// A lease is an OFD write lock on byte 0 of the lock file (fcntl F_OFD_SETLK): the kernel frees it
// however the owner ends. Only a forked child can keep it alive, so the file also names the owner,
// and a lease whose owner has ended is free nevertheless: its file is replaced by a new one. Byte 1
// is locked during a claim, with the same promise: a claimant that is killed frees it, one that is
// stopped makes others pass on to the next slot, and nobody ever waits.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/fd.h"
#include "port/shm/meeting_point.h"

namespace tideline::port::shm {

// Which free slot to take: the wanted one, else the lowest, or the highest.
struct ClaimOrder {
  std::optional<unsigned> wanted;
  bool highest_first = false;
};

class Lease {
 public:
  // Claims a free slot below `slots`. The slot's socket file, if its last owner left one, is
  // removed. Others read in the lock file whether the owner is `promiscuous`.
  static Result<Lease> claim(const MeetingPoint& meeting_point, unsigned slots,
                             const ClaimOrder& order = {}, bool promiscuous = false);

  unsigned slot() const { return slot_; }
  std::uint64_t incarnation() const { return incarnation_; }
  // Gives the slot back, even if a forked child has a copy of the lock's descriptor. Destruction
  // only closes this copy: that is what a forked child does. One that keeps its copy keeps the lock
  // alive, but not the lease.
  void release();

 private:
  Lease(UniqueFd lock, unsigned slot, std::uint64_t incarnation)
      : lock_(std::move(lock)), slot_(slot), incarnation_(incarnation) {}

  static std::optional<Lease> try_claim(const MeetingPoint& meeting_point, unsigned slot,
                                        bool promiscuous);

  UniqueFd lock_;
  unsigned slot_ = 0;
  std::uint64_t incarnation_ = 0;
};

}  // namespace tideline::port::shm
