// SPDX-License-Identifier: Apache-2.0
#include "proofs/placement/region_table.h"

#include <fmt/core.h>
#include <sched.h>
#include <sys/random.h>

#include <new>

#include "base/check.h"
#include "base/clock.h"
#include "base/memfd.h"

namespace proofs::placement {

using tideline::Mapping;
using tideline::Result;
using tideline::Status;
using tideline::UniqueFd;

namespace {

constexpr unsigned kIndexBits = 12;
constexpr std::uint32_t kIndexMask = (1U << kIndexBits) - 1;
constexpr std::uint32_t kGenerationMask = UINT32_MAX >> kIndexBits;
static_assert(kMaxRegions == kIndexMask + 1);

// A reader gives up on an entry whose writer was stopped in the midst.
constexpr int kReadAttempts = 1000;

// Longer than a copy of 64 KiB.
constexpr int kSpinsBeforeYield = 100;

void set_entry(RegionEntry& entry, std::uint32_t rkey, const Region& region) {
  const std::uint32_t sequence = entry.sequence.load(std::memory_order_relaxed);
  entry.sequence.store(sequence + 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  entry.rkey.store(rkey, std::memory_order_relaxed);
  entry.base.store(region.base, std::memory_order_relaxed);
  entry.length.store(region.length, std::memory_order_relaxed);
  entry.backing_offset.store(region.backing_offset, std::memory_order_relaxed);
  entry.backing.store(region.backing, std::memory_order_relaxed);
  entry.access.store(region.access, std::memory_order_relaxed);
  entry.domain.store(region.domain, std::memory_order_relaxed);
  entry.sequence.store(sequence + 2, std::memory_order_release);
}

// A consistent copy of `entry`; false if there is none to be had.
bool read_entry(const RegionEntry& entry, std::uint32_t* rkey, Region* region) {
  for (int attempt = 0; attempt < kReadAttempts; ++attempt) {
    const std::uint32_t before = entry.sequence.load(std::memory_order_acquire);
    *rkey = entry.rkey.load(std::memory_order_relaxed);
    region->base = entry.base.load(std::memory_order_relaxed);
    region->length = entry.length.load(std::memory_order_relaxed);
    region->backing_offset = entry.backing_offset.load(std::memory_order_relaxed);
    region->backing = entry.backing.load(std::memory_order_relaxed);
    region->access = entry.access.load(std::memory_order_relaxed);
    region->domain = entry.domain.load(std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_acquire);
    if (before % 2 == 0 && entry.sequence.load(std::memory_order_relaxed) == before) return true;
    tideline::cpu_relax();
  }
  return false;
}

}  // namespace

std::string_view outcome_name(Outcome outcome) {
  switch (outcome) {
    case Outcome::kPlaced:
      return "placed";
    case Outcome::kUnknownKey:
      return "unknown key";
    case Outcome::kWrongDomain:
      return "wrong domain";
    case Outcome::kAccessDenied:
      return "access denied";
    case Outcome::kOutOfBounds:
      return "out of bounds";
    case Outcome::kLocalFault:
      return "local fault";
    case Outcome::kRemoteFault:
      return "remote fault";
    case Outcome::kTargetGone:
      return "target gone";
    case Outcome::kNotPermitted:
      return "not permitted";
    case Outcome::kCount:
      break;
  }
  return "?";
}

Outcome check_request(const Region& region, const Request& request) {
  if (region.domain != request.domain) return Outcome::kWrongDomain;
  if ((region.access & request.access) != request.access) return Outcome::kAccessDenied;
  // In this order nothing can overflow.
  if (request.length > region.length || request.address < region.base ||
      request.address - region.base > region.length - request.length) {
    return Outcome::kOutOfBounds;
  }
  return Outcome::kPlaced;
}

Result<std::unique_ptr<RegionTable>> RegionTable::create(std::uint32_t capacity) {
  CHECK(capacity > 0 && capacity <= kMaxRegions, "{}", capacity);
  const std::size_t size = tideline::align_up(
      kRegionHeaderSize + capacity * sizeof(PaddedRegionEntry), tideline::kPageSize);
  auto fd = tideline::create_memfd("tideline-regions", size, tideline::PageKind::kNormal);
  if (!fd) return std::unexpected(fd.error());
  auto mapping = Mapping::map(fd->get(), size, tideline::Access::kReadWrite);
  if (!mapping) return std::unexpected(mapping.error());
  if (Status sealed = tideline::seal_memfd(fd->get(), tideline::Sharing::kReadOnly); !sealed) {
    return std::unexpected(sealed.error());
  }
  if (Status populated = mapping->populate(); !populated) {
    return std::unexpected(populated.error());
  }

  auto* header = new (mapping->data()) RegionTableHeader{};
  std::uint32_t first_generation = 0;
  if (::getrandom(&header->nonce, sizeof(header->nonce), 0) != sizeof(header->nonce) ||
      ::getrandom(&first_generation, sizeof(first_generation), 0) != sizeof(first_generation)) {
    return tideline::fail_errno("cannot get random bytes");
  }
  header->magic = kRegionTableMagic;
  header->nonce_address = reinterpret_cast<std::uint64_t>(&header->nonce);
  header->capacity = capacity;
  header->owner.take();
  return std::unique_ptr<RegionTable>(
      new RegionTable(std::move(*fd), std::move(*mapping), capacity, first_generation));
}

RegionTable::RegionTable(UniqueFd fd, Mapping mapping, std::uint32_t capacity,
                         std::uint32_t first_generation)
    : fd_(std::move(fd)), mapping_(std::move(mapping)), generations_(capacity, first_generation) {
  for (std::uint32_t index = capacity; index > 0; --index) {
    new (&entry(index - 1)) PaddedRegionEntry{};
    free_.push_back(index - 1);
  }
}

RegionTable::~RegionTable() { mapping_.at<RegionTableHeader>(0)->owner.release(); }

PaddedRegionEntry& RegionTable::entry(std::uint32_t index) {
  return mapping_.at<PaddedRegionEntry>(kRegionHeaderSize)[index];
}

Result<std::uint32_t> RegionTable::add(const Region& region) {
  if (free_.empty()) {
    return tideline::fail(
        {.kind = tideline::ErrorKind::kExhausted,
         .what = fmt::format("all {} memory regions are in use", generations_.size()),
         .remedy = "deregister some, or raise the limit"});
  }
  const std::uint32_t index = free_.back();
  free_.pop_back();
  std::uint32_t& generation = generations_[index];
  generation = (generation + 1) & kGenerationMask;
  if (generation == 0) generation = 1;  // so that no key is 0
  const std::uint32_t rkey = generation << kIndexBits | index;
  set_entry(entry(index), rkey, region);
  return rkey;
}

Status RegionTable::remove(std::uint32_t rkey, std::span<const InFlight* const> initiators,
                           tideline::Duration limit) {
  const std::uint32_t index = rkey & kIndexMask;
  CHECK(index < generations_.size() && rkey >> kIndexBits == generations_[index], "rkey {:#x}",
        rkey);
  const bool published = entry(index).rkey.load(std::memory_order_relaxed) == rkey;
  if (published) set_entry(entry(index), 0, {});
  // Pairs with the initiator's: either it sees the cleared entry, or we see its announcement.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const tideline::Instant deadline = tideline::monotonic_now() + limit;
  for (const InFlight* initiator : initiators) {
    const std::uint64_t found = initiator->announced.load(std::memory_order_acquire);
    if (static_cast<std::uint32_t>(found) != rkey) continue;
    for (int spins = 0; initiator->announced.load(std::memory_order_acquire) == found &&
                        initiator->owner.owner_lives();
         ++spins) {
      if (tideline::monotonic_now() > deadline) {
        return tideline::fail(
            {.kind = tideline::ErrorKind::kPeer,
             .what = fmt::format("a peer has been writing to region {:#x} for too long", rkey),
             .remedy = "it may be stopped by a debugger; continue it, then deregister again"});
      }
      if (spins < kSpinsBeforeYield) {
        tideline::cpu_relax();
      } else {
        ::sched_yield();  // the initiator may have been preempted by us
      }
    }
  }
  free_.push_back(index);
  return {};
}

Result<RegionTableView> RegionTableView::attach(int fd, std::size_t size) {
  if (size < kRegionHeaderSize) {
    return tideline::fail({.kind = tideline::ErrorKind::kPeer, .what = "region table too small"});
  }
  if (Status good = tideline::verify_memfd(fd, size, tideline::Sharing::kReadOnly); !good) {
    return std::unexpected(good.error());
  }
  auto mapping = Mapping::map(fd, size, tideline::Access::kReadOnly);
  if (!mapping) return std::unexpected(mapping.error());
  if (Status populated = mapping->populate(); !populated) {
    return std::unexpected(populated.error());
  }
  const auto* header = mapping->at<RegionTableHeader>(0);
  const std::uint32_t capacity = __atomic_load_n(&header->capacity, __ATOMIC_RELAXED);
  if (header->magic != kRegionTableMagic || capacity > kMaxRegions ||
      kRegionHeaderSize + capacity * sizeof(PaddedRegionEntry) > size) {
    return tideline::fail(
        {.kind = tideline::ErrorKind::kPeer, .what = "the peer's region table is malformed"});
  }
  return RegionTableView(std::move(*mapping), capacity);
}

Outcome RegionTableView::check(const Request& request, Region* region) const {
  const std::uint32_t index = request.rkey & kIndexMask;
  if (request.rkey == 0 || index >= capacity_) return Outcome::kUnknownKey;
  const auto& entry = mapping_.at<PaddedRegionEntry>(kRegionHeaderSize)[index];
  std::uint32_t rkey = 0;
  if (!read_entry(entry, &rkey, region) || rkey != request.rkey) return Outcome::kUnknownKey;
  return check_request(*region, request);
}

}  // namespace proofs::placement
