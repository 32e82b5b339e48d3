// SPDX-License-Identifier: Apache-2.0
// Where packets come from: a fixed number of 2 KiB segments, and of loans (descriptors without a
// buffer, for borrowed memory). All memory is taken at start; nothing here calls malloc after.
//
// A pool belongs to one worker: the thread that created it, or that adopted it since (in a program
// whose threads take turns at the engine, whoever holds the engine's lock). The last packet may die
// on any thread: elsewhere its segments go into a ring, and the owner takes them back at its next
// reclaim(), which its loop calls, or when it runs out. Exhaustion is counted and gives null.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/bits.h"
#include "base/error.h"
#include "packet/packet.h"
#include "packet/pool_memory.h"
#include "ring/mpmc_ring.h"

namespace tideline::packet {

inline constexpr std::size_t kSegmentSize = 2048;
// Ethernet, VLAN, IPv6 and TCP with options fit in front; the rest of the segment still holds a
// frame of 1518 bytes with room for XDP's 256.
inline constexpr std::size_t kHeadroom = 192;

struct PoolOptions {
  std::size_t segments = 4096;
  std::size_t loans = 0;
  const char* name = "tideline-pool";  // in /proc/PID/maps
  bool huge_pages = true;
};

struct PoolStats {
  std::uint64_t exhausted = 0;        // requests that got null
  std::uint64_t foreign_returns = 0;  // segments that came back from other threads
};

class Pool {
 public:
  static Result<std::unique_ptr<Pool>> create(const PoolOptions& options);
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  // Every packet has come back by now.
  ~Pool();

  // Owner: an empty packet of one segment.
  PacketPtr get();
  // Owner: fills `packets` as far as there are segments. Returns how many.
  std::size_t get_burst(std::span<PacketPtr> packets);
  // Owner: a packet of `size` > 0 bytes that the caller writes, over as many segments as it takes;
  // headroom in the first only.
  PacketPtr get_chain(std::size_t size);
  // Owner: a packet of one segment that borrows memory. When null is returned, the memory was not
  // borrowed and will not be released.
  PacketPtr lend(const Loan& loan);

  // Owner: takes back what died elsewhere.
  void reclaim();

  // Passes the pool on: the owner gives it up, the next takes it. The caller orders the two (a
  // lock).
  void disown() { owner_.store(nullptr, std::memory_order_relaxed); }
  void adopt() { owner_.store(&thread_tag, std::memory_order_relaxed); }

  // Any thread, of a packet that it holds.
  static void put(Packet* packet) noexcept;

  // Owner. Segments and loans that are not in the pool, those in the ring included.
  std::size_t in_use() const { return slots_.size() - segments_.count - loans_.count; }
  const PoolStats& stats() const { return stats_; }

  // The buffers: one region, segment by segment.
  int fd() const { return memory_.fd.get(); }
  std::span<std::byte> memory() const { return memory_.mapping.bytes(); }
  Pages pages() const { return memory_.pages; }

 private:
  friend class Packet;

  // Descriptors that are free; the last used is the next out, for its lines are warm.
  struct FreeStack {
    std::vector<Packet*> packets;  // full size at start
    std::size_t count = 0;

    void push(Packet* packet) { packets[count++] = packet; }
    Packet* pop() { return packets[--count]; }
  };
  struct alignas(kCacheLine) Line {
    std::array<std::byte, kCacheLine> bytes;
  };
  using ReturnRing = ring::MpmcRing<Segment*>;

  Pool(const PoolOptions& options, PoolMemory memory);

  static void put_segment(Segment* segment) noexcept;
  void restore(Segment* segment);
  bool ensure(FreeStack& stack, std::size_t count);
  PacketPtr take_segment(std::size_t headroom);

  // Its address tells threads apart.
  static inline constinit thread_local char thread_tag = 0;

  std::atomic<const char*> owner_{&thread_tag};
  PoolMemory memory_;
  std::vector<Packet> slots_;
  FreeStack segments_;
  FreeStack loans_;
  PoolStats stats_;
  std::vector<Line> ring_memory_;
  ReturnRing returns_;  // as many slots as descriptors: it is never full
};

}  // namespace tideline::packet
