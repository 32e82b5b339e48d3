// SPDX-License-Identifier: Apache-2.0
// The way past the wire for one-sided operations, where the peer's memory can be reached from this
// process: WRITE and READ move their bytes at once, in one pass, and the peer does nothing. What
// implements it (room `placement`) knows the peers; this room says what may be touched, and when.
//
// It is a short cut and nothing else: whatever it refuses, for whatever reason, goes by frames, and
// the peer's responder judges it. So errors are the same on both ways, and there is one place where
// they are made. docs/adr/0004.
//
// Thread: the engine's lock.
#pragma once

#include <cstdint>
#include <span>

#include "base/error.h"

namespace tideline::rdma {

struct MemoryRegion;
struct QueuePair;

// Memory of this process that a work request names, its key already checked.
struct DirectPiece {
  std::uint64_t address = 0;
  std::uint64_t length = 0;
};

// A part of a WRITE or READ. Keys and bounds are checked for the whole message, whatever the part.
struct DirectRequest {
  bool is_read = false;
  std::uint32_t rkey = 0;
  std::uint64_t address = 0;  // of the message, as the peer names its memory
  std::uint64_t length = 0;
  std::uint64_t offset = 0;  // of the part
  std::span<const DirectPiece> pieces{};
};

enum class DirectResult : std::uint8_t {
  kMapped,   // done, by a copy of ours
  kKernel,   // done, by the kernel
  kRefused,  // not possible, or not completed: by frames
};

class DirectPath {
 public:
  // Moves the bytes. Those of a WRITE become visible in such an order that the last one is last.
  virtual DirectResult move(QueuePair& qp, const DirectRequest& request) = 0;
  // Whether move() would be possible as things are.
  virtual bool reaches(QueuePair& qp, const DirectRequest& request) = 0;

  // What peers may reach of ours, as it is now: a region that is valid and lets peers in, a queue
  // pair that takes requests. Called again whenever that changes.
  virtual void show(const MemoryRegion& region) = 0;
  virtual void show(const QueuePair& qp) = 0;
  // Nobody reaches it any more. Fails if a peer that has stopped in the midst may still do: then
  // the memory must not be used for anything else yet.
  virtual Status hide(const MemoryRegion& region) = 0;
  virtual void hide(const QueuePair& qp) = 0;

 protected:
  ~DirectPath() = default;
};

}  // namespace tideline::rdma
