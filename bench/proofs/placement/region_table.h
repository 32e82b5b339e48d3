// SPDX-License-Identifier: Apache-2.0
// The memory regions of one process as its peers see them: a table in a sealed memfd that only the
// target writes, and the page in which each initiating thread says what it is placing into.
//
// Revocation is that of a hazard pointer: an initiator announces a key, then reads the entry; the
// target clears the entry, then waits until every announcement of its key that it finds is over. So
// when remove() has returned, no placement under that key is under way, and none will start.
//
//   rkey = generation (20 bits) | index (12 bits): a key is not reused before a million others were
//   made for its entry.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/bits.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/mapping.h"
#include "base/owner_word.h"
#include "base/time.h"

namespace proofs::placement {

// How an operation ended. What a peer may not do is refused by name and counted, never a fault.
enum class Outcome : std::uint8_t {
  kPlaced,
  kUnknownKey,    // no such region, or no longer
  kWrongDomain,   // the region is of another protection domain
  kAccessDenied,  // the region does not grant this kind of access
  kOutOfBounds,   // the range is not within the region
  kLocalFault,    // the initiator's memory is bad
  kRemoteFault,   // the region's memory is bad
  kTargetGone,    // the target has ended, or has become another program
  kNotPermitted,  // the kernel does not let this process touch the target: use frames
  kCount
};
std::string_view outcome_name(Outcome outcome);
using OutcomeCounts = std::array<std::uint64_t, static_cast<std::size_t>(Outcome::kCount)>;

inline constexpr std::uint32_t kRemoteRead = 1;
inline constexpr std::uint32_t kRemoteWrite = 2;

// A region that is not in a memfd; its bytes are reached by process_vm_writev.
inline constexpr std::uint32_t kPlainMemory = UINT32_MAX;

struct Region {
  std::uint64_t base = 0;  // address in the target
  std::uint64_t length = 0;
  std::uint64_t backing_offset = 0;      // where it starts in its memfd
  std::uint32_t backing = kPlainMemory;  // which of the target's memfds
  std::uint32_t access = 0;
  std::uint32_t domain = 0;
};

struct Request {
  std::uint32_t rkey = 0;
  std::uint64_t address = 0;  // in the target
  std::uint64_t length = 0;
  std::uint32_t access = 0;  // what the operation needs
  std::uint32_t domain = 0;
};

// Whether `request` may touch `region`; kPlaced if so.
Outcome check_request(const Region& region, const Request& request);

// The table as it lies in shared memory.
struct RegionEntry {
  std::atomic<std::uint32_t> sequence;  // odd while the target writes the rest
  std::atomic<std::uint32_t> rkey;      // 0: free
  std::atomic<std::uint64_t> base;
  std::atomic<std::uint64_t> length;
  std::atomic<std::uint64_t> backing_offset;
  std::atomic<std::uint32_t> backing;
  std::atomic<std::uint32_t> access;
  std::atomic<std::uint32_t> domain;
};
struct alignas(tideline::kCacheLine) PaddedRegionEntry : RegionEntry {};
static_assert(sizeof(PaddedRegionEntry) == tideline::kCacheLine);

inline constexpr std::uint64_t kRegionTableMagic = 0x3130'7362'7461'7267;

struct RegionTableHeader {
  std::uint64_t magic;
  std::uint64_t nonce;          // random: proves that a process id is the target's
  std::uint64_t nonce_address;  // of `nonce` in the target
  std::uint32_t capacity;
  tideline::OwnerWord owner;
};
inline constexpr std::size_t kRegionHeaderSize = 2 * tideline::kCacheLine;
static_assert(sizeof(RegionTableHeader) <= kRegionHeaderSize);
inline constexpr std::uint32_t kMaxRegions = 4096;

// What one initiating thread shows its targets. The count makes two placements under one key
// distinct: else a thread that keeps trying a revoked key could hold up its removal for ever.
struct InFlight {
  tideline::OwnerWord owner;
  alignas(tideline::kCacheLine) std::atomic<std::uint64_t> announced;  // count << 32 | rkey or 0

  void begin(std::uint32_t rkey) {
    const std::uint64_t count = (announced.load(std::memory_order_relaxed) >> 32) + 1;
    // seq_cst: visible before the entry of the region is read.
    announced.store(count << 32 | rkey, std::memory_order_seq_cst);
  }
  void end() {
    const std::uint64_t last = announced.load(std::memory_order_relaxed);
    announced.store(last >> 32 << 32, std::memory_order_release);
  }
};

// The target's side. One thread, which must live as long as the table.
class RegionTable {
 public:
  static tideline::Result<std::unique_ptr<RegionTable>> create(std::uint32_t capacity);
  RegionTable(const RegionTable&) = delete;
  RegionTable& operator=(const RegionTable&) = delete;
  ~RegionTable();

  int fd() const { return fd_.get(); }
  std::size_t size() const { return mapping_.size(); }

  // Publishes a region and returns its rkey.
  tideline::Result<std::uint32_t> add(const Region& region);

  // Revokes `rkey` and waits until no live initiator places under it. If one still does at the
  // `deadline` (it is stopped in the midst), that is an error: the region is revoked, but its
  // memory must not serve for anything else yet; try again.
  tideline::Status remove(std::uint32_t rkey, std::span<const InFlight* const> initiators,
                          tideline::Duration limit);

 private:
  RegionTable(tideline::UniqueFd fd, tideline::Mapping mapping, std::uint32_t capacity,
              std::uint32_t first_generation);
  PaddedRegionEntry& entry(std::uint32_t index);

  tideline::UniqueFd fd_;
  tideline::Mapping mapping_;
  std::vector<std::uint32_t> free_;
  std::vector<std::uint32_t> generations_;
};

// An initiator's or the helper's view. Any thread.
class RegionTableView {
 public:
  // Checks seals, size and header: the descriptor comes from a peer.
  static tideline::Result<RegionTableView> attach(int fd, std::size_t size);

  // kPlaced and the region, if the request may go ahead.
  Outcome check(const Request& request, Region* region) const;
  bool owner_lives() const { return header()->owner.owner_lives(); }
  const RegionTableHeader* header() const { return mapping_.at<RegionTableHeader>(0); }

 private:
  explicit RegionTableView(tideline::Mapping mapping, std::uint32_t capacity)
      : mapping_(std::move(mapping)), capacity_(capacity) {}

  tideline::Mapping mapping_;
  std::uint32_t capacity_;  // copied once: the target could change it
};

}  // namespace proofs::placement
