// SPDX-License-Identifier: Apache-2.0
// A hash table of fixed capacity that knows which entry was used least recently: for every table
// that peers can fill (neighbours, path MTUs, half datagrams). All memory is taken at construction;
// the hash is keyed, so that nobody outside can aim for one bucket. One thread per object.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/check.h"
#include "ip/keyed_hash.h"

namespace tideline::ip {

// `keyed_hash(key, HashKey)` is found by argument-dependent lookup. Entries do not move while they
// live.
template <typename Key, typename Value>
class LruMap {
 public:
  LruMap(std::size_t capacity, const HashKey& secret)
      : secret_(secret), slots_(capacity), buckets_(std::bit_ceil(capacity), kNone) {
    for (std::uint32_t i = static_cast<std::uint32_t>(capacity); i-- > 0;) {
      slots_[i].chain = free_;
      free_ = i;
    }
  }

  std::size_t size() const { return size_; }
  bool full() const { return size_ == slots_.size(); }

  Value* find(const Key& key) {
    const std::uint32_t i = index_of(key);
    return i == kNone ? nullptr : &slots_[i].value;
  }
  const Value* find(const Key& key) const {
    const std::uint32_t i = index_of(key);
    return i == kNone ? nullptr : &slots_[i].value;
  }
  // Finds, and makes it the most recently used.
  Value* touch(const Key& key) {
    const std::uint32_t i = index_of(key);
    if (i == kNone) return nullptr;
    if (i != newest_) {
      unlink(i);
      link_newest(i);
    }
    return &slots_[i].value;
  }

  // A new entry, the most recently used. The key is not in the map, and the map is not full.
  Value& insert(const Key& key) {
    CHECK(free_ != kNone, "the table of {} is full", slots_.size());
    const std::uint32_t i = free_;
    Slot& slot = slots_[i];
    free_ = slot.chain;
    slot.key = key;
    slot.value = Value{};
    slot.used = true;
    std::uint32_t& head = bucket(key);
    slot.chain = head;
    head = i;
    link_newest(i);
    ++size_;
    return slot.value;
  }

  void erase(const Key& key) {
    for (std::uint32_t* link = &bucket(key); *link != kNone; link = &slots_[*link].chain) {
      const std::uint32_t i = *link;
      Slot& slot = slots_[i];
      if (!(slot.key == key)) continue;
      *link = slot.chain;
      unlink(i);
      slot.value = Value{};
      slot.used = false;
      slot.chain = free_;
      free_ = i;
      --size_;
      return;
    }
  }

  // The key of the least recently used entry; null if there is none.
  const Key* oldest() const { return oldest_ == kNone ? nullptr : &slots_[oldest_].key; }

  // Calls `visit(key, value)` for the entries, the least recently used first, until it returns
  // true; returns that entry's key. It changes nothing.
  template <typename Predicate>
  const Key* find_oldest_if(Predicate&& visit) const {
    for (std::uint32_t i = oldest_; i != kNone; i = slots_[i].newer) {
      if (visit(slots_[i].key, slots_[i].value)) return &slots_[i].key;
    }
    return nullptr;
  }

  // Calls `visit(key, value)` for every entry, which may insert and erase any.
  template <typename Visit>
  void for_each(Visit&& visit) {
    for (Slot& slot : slots_) {
      if (slot.used) visit(slot.key, slot.value);
    }
  }

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  struct Slot {
    Key key{};
    Value value{};
    std::uint32_t chain = kNone;  // of the bucket, or of the free list
    std::uint32_t older = kNone;
    std::uint32_t newer = kNone;
    bool used = false;
  };

  std::uint32_t& bucket(const Key& key) {
    return buckets_[keyed_hash(key, secret_) & (buckets_.size() - 1)];
  }

  // The one that was used last is asked for again most of the time: without its hash. In an empty
  // table there is nothing to find.
  std::uint32_t index_of(const Key& key) const {
    if (newest_ == kNone || slots_[newest_].key == key) return newest_;
    std::uint32_t i = buckets_[keyed_hash(key, secret_) & (buckets_.size() - 1)];
    while (i != kNone && !(slots_[i].key == key)) i = slots_[i].chain;
    return i;
  }

  void link_newest(std::uint32_t i) {
    slots_[i].older = newest_;
    slots_[i].newer = kNone;
    (newest_ == kNone ? oldest_ : slots_[newest_].newer) = i;
    newest_ = i;
  }

  void unlink(std::uint32_t i) {
    const Slot& slot = slots_[i];
    (slot.older == kNone ? oldest_ : slots_[slot.older].newer) = slot.newer;
    (slot.newer == kNone ? newest_ : slots_[slot.newer].older) = slot.older;
  }

  HashKey secret_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> buckets_;
  std::uint32_t free_ = kNone;
  std::uint32_t oldest_ = kNone;
  std::uint32_t newest_ = kNone;
  std::size_t size_ = 0;
};

}  // namespace tideline::ip
