// SPDX-License-Identifier: Apache-2.0
// Protection domains, memory regions and memory windows, and the table that turns a key into the
// memory that it opens: IBA 10.6. A key is 32 random bits with a slot of its own: 24 bits of index
// and 8 bits of key in IBA's terms (11.2.8), where nothing tells the next key from the last.
// Thread: the engine's lock.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/error.h"
#include "rdma/direct_path.h"
#include "rdma/memory_access.h"
#include "rdma/types.h"

namespace tideline::rdma {

class Context;
struct QueuePair;

struct ProtectionDomain {
  Context& context;
  std::uint32_t number = 0;  // no other of the device has had it
  void* user = nullptr;
  std::uint32_t users = 0;  // regions, windows, queue pairs, SRQs, address handles
};

struct MemoryRegionInit {
  std::uint64_t address = 0;  // in the program
  std::uint64_t length = 0;
  std::uint64_t iova = 0;  // the address that work requests and peers use; usually `address`
  Access access = Access::kNone;
  void* user = nullptr;
};

// IBA 10.6.3.1. lkey and rkey are the same number.
struct MemoryRegion {
  ProtectionDomain* pd = nullptr;
  std::uint64_t address = 0;
  std::uint64_t length = 0;
  std::uint64_t iova = 0;  // 0 if zero-based
  Access access = Access::kNone;
  std::uint32_t key = 0;
  std::uint32_t windows = 0;  // bound to it: it cannot be deregistered while there are any
  bool valid = true;          // false: invalidated by a peer or a work request
  void* user = nullptr;
};

// What ibv_rereg_mr may change, each if set.
struct MemoryRegionChange {
  static constexpr unsigned kTranslation = 1;
  static constexpr unsigned kPd = 2;
  static constexpr unsigned kAccess = 4;

  unsigned flags = 0;
  std::uint64_t address = 0;  // kTranslation; iova is set to the same
  std::uint64_t length = 0;
  ProtectionDomain* pd = nullptr;
  Access access = Access::kNone;
};

enum class WindowType : std::uint8_t { k1 = 1, k2 = 2 };

// IBA 10.6.7. Type 2 is 2B: bound to a queue pair, which alone may use it.
struct MemoryWindow {
  ProtectionDomain* pd = nullptr;
  WindowType type = WindowType::k1;
  std::uint32_t key = 0;
  // While bound:
  MemoryRegion* region = nullptr;
  std::uint64_t address = 0;  // as peers name it; 0 if zero-based
  std::uint64_t offset = 0;   // of its first byte in the program, from the region's
  std::uint64_t length = 0;
  Access access = Access::kNone;
  std::uint32_t qp_num = 0;  // type 2
  void* user = nullptr;
};

// What a bind work request asks for: IBA 10.6.7.2.1.
struct WindowBinding {
  MemoryWindow* window = nullptr;
  std::uint32_t new_key = 0;  // the key that the window gets: same upper 24 bits
  MemoryRegion* region = nullptr;
  std::uint64_t address = 0;
  std::uint64_t length = 0;  // 0 takes the binding away (type 1)
  Access access = Access::kNone;
};

// Where keys come from: getrandom(2) in a running engine, a seeded generator in tests.
class KeySource {
 public:
  virtual std::uint32_t next_key() = 0;

 protected:
  ~KeySource() = default;
};

// Memory that an access may touch.
struct Resolved {
  MemoryAccess* memory = nullptr;
  std::uint64_t address = 0;  // in the program
};

class RegionTable {
 public:
  // Regions and windows at most; a power of two up to 65,536.
  RegionTable(std::uint32_t capacity, KeySource& keys);

  // The slot that a key is found in.
  static constexpr std::uint32_t kMostSlots = 65536;
  static constexpr std::uint32_t slot_of(std::uint32_t key, std::uint32_t slots) {
    return key >> 8 & (slots - 1);
  }
  std::uint32_t slots() const { return mask_ + 1; }
  std::uint32_t used() const { return used_; }

  // Shown to it: regions, not windows. Outlives the table.
  void set_direct_path(DirectPath* path) { direct_ = path; }
  // Peers reach the region no more by the direct path; by keys they do until it is removed. See
  // DirectPath::hide.
  Status hide(const MemoryRegion& region);
  // The region is other than it was.
  void show(const MemoryRegion& region);

  // Control. The table does not own what it names.
  Status add(MemoryRegion& region);
  Status add(MemoryWindow& window);
  void remove(std::uint32_t key);
  // Control: whether the range can be registered with that access.
  static Status check(const MemoryRegionInit& init);

  // A work request's own memory: 10.6.3. Nothing if the key does
  // not open the range for `needed` in that domain.
  std::optional<Resolved> local(std::uint32_t lkey, std::uint64_t address, std::uint64_t length,
                                Access needed, const ProtectionDomain& pd) const;
  // What a peer asks for: 9.7.4.1.3.
  std::optional<Resolved> remote(std::uint32_t rkey, std::uint64_t address, std::uint64_t length,
                                 Access needed, const QueuePair& qp) const;

  // Work requests on keys: 10.6.7.2, 10.6.5. False is a completion error.
  bool bind(const WindowBinding& binding, const QueuePair& qp);
  bool invalidate(std::uint32_t key, const QueuePair& qp, bool by_peer);
  // Takes the binding of a window away.
  static void release(MemoryWindow& window);

 private:
  struct Slot {
    std::uint32_t key = 0;
    MemoryRegion* region = nullptr;  // one of the two, or neither
    MemoryWindow* window = nullptr;
  };
  Status claim(Slot filled, std::uint32_t& key);
  const Slot* find(std::uint32_t key) const;
  void set_key(MemoryWindow& window, std::uint32_t key);

  std::vector<Slot> slots_;
  std::uint32_t mask_;
  std::uint32_t used_ = 0;
  KeySource& keys_;
  DirectPath* direct_ = nullptr;
};

}  // namespace tideline::rdma
