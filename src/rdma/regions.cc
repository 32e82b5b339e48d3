// SPDX-License-Identifier: Apache-2.0
#include "rdma/regions.h"

#include <bit>
#include <cerrno>

#include "base/check.h"
#include "rdma/context.h"

namespace tideline::rdma {
namespace {

// Whether [address, address + length) lies in [base, base + size), without wrapping.
bool contains(std::uint64_t base, std::uint64_t size, std::uint64_t address, std::uint64_t length) {
  return address >= base && length <= size && address - base <= size - length;
}

std::unexpected<Error> invalid(const char* what) {
  return fail({.kind = ErrorKind::kUsage, .what = what, .errno_value = EINVAL});
}

constexpr Access kKnownAccess = Access::kLocalWrite | Access::kRemoteWrite | Access::kRemoteRead |
                                Access::kRemoteAtomic | Access::kMwBind | Access::kZeroBased;

}  // namespace

RegionTable::RegionTable(std::uint32_t capacity, KeySource& keys)
    : slots_(std::bit_ceil(capacity)),
      mask_(static_cast<std::uint32_t>(slots_.size()) - 1),
      keys_(keys) {
  CHECK(capacity > 0 && capacity <= kMostSlots, "{} regions", capacity);
}

// The slot is told by the 24 upper bits of the key, for a window changes the lower 8.
const RegionTable::Slot* RegionTable::find(std::uint32_t key) const {
  const Slot& slot = slots_[key >> 8 & mask_];
  return slot.key == key && (slot.region != nullptr || slot.window != nullptr) ? &slot : nullptr;
}

Status RegionTable::claim(Slot filled, std::uint32_t& key) {
  if (used_ == slots_.size()) {
    return fail({.kind = ErrorKind::kExhausted,
                 .what = "all memory regions and windows of the device are taken",
                 .errno_value = ENOMEM});
  }
  while (true) {
    key = keys_.next_key();
    Slot& slot = slots_[key >> 8 & mask_];
    if (key >> 8 == 0 || slot.region != nullptr || slot.window != nullptr) continue;
    filled.key = key;
    slot = filled;
    ++used_;
    return {};
  }
}

Status RegionTable::add(MemoryRegion& region) {
  Status claimed = claim({.region = &region}, region.key);
  if (claimed) show(region);
  return claimed;
}
Status RegionTable::add(MemoryWindow& window) { return claim({.window = &window}, window.key); }

void RegionTable::show(const MemoryRegion& region) {
  if (direct_ != nullptr) direct_->show(region);
}

Status RegionTable::hide(const MemoryRegion& region) {
  return direct_ == nullptr ? Status() : direct_->hide(region);
}

void RegionTable::remove(std::uint32_t key) {
  CHECK(find(key) != nullptr, "key {:#x}", key);
  slots_[key >> 8 & mask_] = {};
  --used_;
}

// IBA 11.2.8.2: remote write and atomic need local write.
Status RegionTable::check(const MemoryRegionInit& init) {
  if ((init.access | kKnownAccess) != kKnownAccess) return invalid("unknown access flag");
  const Access writes = init.access & (Access::kRemoteWrite | Access::kRemoteAtomic);
  if (writes != Access::kNone && !allows(init.access, Access::kLocalWrite)) {
    return invalid("a region that peers may write to must allow local writes");
  }
  if (init.address + init.length < init.address || init.iova + init.length < init.iova) {
    return invalid("memory region wraps around the end of the address space");
  }
  return {};
}

std::optional<Resolved> RegionTable::local(std::uint32_t lkey, std::uint64_t address,
                                           std::uint64_t length, Access needed,
                                           const ProtectionDomain& pd) const {
  const Slot* slot = find(lkey);
  if (slot == nullptr || slot->region == nullptr) return std::nullopt;
  const MemoryRegion& region = *slot->region;
  if (region.pd != &pd || !region.valid || !allows(region.access, needed) ||
      !contains(region.iova, region.length, address, length)) {
    return std::nullopt;
  }
  return Resolved{.memory = &pd.context.memory(),
                  .address = region.address + (address - region.iova)};
}

std::optional<Resolved> RegionTable::remote(std::uint32_t rkey, std::uint64_t address,
                                            std::uint64_t length, Access needed,
                                            const QueuePair& qp) const {
  const Slot* slot = find(rkey);
  if (slot == nullptr) return std::nullopt;
  if (slot->region != nullptr) return local(rkey, address, length, needed, *qp.pd);
  // 10.6.7.2.5: a window of type 1 belongs to its domain, one of type 2B to its queue pair too.
  const MemoryWindow& window = *slot->window;
  if (window.region == nullptr || window.pd != qp.pd || !window.region->valid ||
      (window.type == WindowType::k2 && window.qp_num != qp.number) ||
      !allows(window.access, needed) || !contains(window.address, window.length, address, length)) {
    return std::nullopt;
  }
  return Resolved{.memory = &qp.pd->context.memory(),
                  .address = window.region->address + window.offset + (address - window.address)};
}

// 10.6.7.2, in its order: domains, state, rights, bounds.
bool RegionTable::bind(const WindowBinding& binding, const QueuePair& qp) {
  if (binding.window == nullptr) return false;
  MemoryWindow& window = *binding.window;
  const bool type2 = window.type == WindowType::k2;
  if (window.pd != qp.pd) return false;
  if (type2 && window.region != nullptr) return false;  // it must be invalidated first
  if (binding.new_key >> 8 != window.key >> 8) return false;
  if (binding.length == 0 && !type2) {
    release(window);
    set_key(window, binding.new_key);
    return true;
  }
  MemoryRegion* region = binding.region;
  if (region == nullptr || region->pd != qp.pd || !region->valid || binding.length == 0) {
    return false;
  }
  constexpr Access kWrites = Access::kRemoteWrite | Access::kRemoteAtomic;
  if (!allows(region->access, Access::kMwBind) || allows(region->access, Access::kZeroBased) ||
      ((binding.access & kWrites) != Access::kNone &&
       !allows(region->access, Access::kLocalWrite)) ||
      !contains(region->iova, region->length, binding.address, binding.length)) {
    return false;
  }
  release(window);
  set_key(window, binding.new_key);
  window.region = region;
  window.offset = binding.address - region->iova;
  window.address = allows(binding.access, Access::kZeroBased) ? 0 : binding.address;
  window.length = binding.length;
  window.access = binding.access;
  window.qp_num = type2 ? qp.number : 0;
  ++region->windows;
  return true;
}

// 10.6.5: regions by their owner, windows of type 2 by either side of their queue pair.
bool RegionTable::invalidate(std::uint32_t key, const QueuePair& qp, bool by_peer) {
  const Slot* slot = find(key);
  if (slot == nullptr) return false;
  if (slot->window != nullptr) {
    MemoryWindow& window = *slot->window;
    if (window.type != WindowType::k2 || window.pd != qp.pd || window.region == nullptr ||
        window.qp_num != qp.number) {
      return false;
    }
    release(window);
    return true;
  }
  MemoryRegion& region = *slot->region;
  constexpr Access kRemote = Access::kRemoteWrite | Access::kRemoteRead | Access::kRemoteAtomic;
  if (region.pd != qp.pd || !region.valid || region.windows > 0 ||
      (by_peer && (region.access & kRemote) == Access::kNone)) {
    return false;
  }
  region.valid = false;
  // A peer that has stopped in the midst is left to it: the data path does not wait for it twice.
  [[maybe_unused]] const Status hidden = hide(region);
  return true;
}

void RegionTable::release(MemoryWindow& window) {
  if (window.region == nullptr) return;
  --window.region->windows;
  window.region = nullptr;
  window.length = 0;
  window.qp_num = 0;
}

void RegionTable::set_key(MemoryWindow& window, std::uint32_t key) {
  slots_[key >> 8 & mask_].key = key;
  window.key = key;
}

}  // namespace tideline::rdma
