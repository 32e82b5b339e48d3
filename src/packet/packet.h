// SPDX-License-Identifier: Apache-2.0
// The packet: a chain of segments with metadata, from Ethernet to the transport the same buffer.
//
//   Packet (head)               Segment                     Segment (borrowed)
//   +-----------------+  next  +-----------------+  next   +-----------------+
//   | metadata, size  | -----> |                 | ------> |  loan: release  |
//   +-----------------+        +-----------------+         +-----------------+
//        |                          |                           |
//   begin       data                                        memory of a FIFO, a registered region,
//   | headroom |####size####| tail room |                   or of a packet that a PacketRef shares
//
// Descriptors are private memory of the pool (pool.h); the 2 KiB buffers lie in memory that a NIC
// or another process can reach. Every descriptor has room for metadata, so that any can be a head.
//
// PacketPtr owns a packet, and passing it passes the packet. PacketRef shares one that no longer
// changes. Thread: a packet is its holder's. A PacketRef, its copies and its packets' pool are used
// on the pool's thread only; packets made by PacketRef::lend may go anywhere.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "base/bits.h"
#include "base/check.h"
#include "packet/metadata.h"
#include "packet/pass_counter.h"

namespace tideline::packet {

class Packet;
class Pool;

struct PacketDeleter {
  // Returns every segment to its pool.
  void operator()(Packet* packet) const noexcept;
};
using PacketPtr = std::unique_ptr<Packet, PacketDeleter>;

// Runs once, on the thread of the pool that made the loan, when the last holder of `memory` is
// gone.
using ReleaseFunction = void (*)(void* context, std::span<const std::byte> memory);

// Whether a loan still stands: whoever lent the memory may have taken it back, and write to it.
using StandsFunction = bool (*)(const void* context);

// External memory that a segment borrows. It must not change until it is released, but for a lender
// who can take it back: who copies such memory asks Packet::is_intact() afterwards.
struct Loan {
  std::span<const std::byte> memory;
  ReleaseFunction release = nullptr;  // never null
  void* context = nullptr;
  StandsFunction stands = nullptr;  // null: it cannot be taken back
};

class alignas(kCacheLine) Segment {
 public:
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // Borrowed memory is never written.
  std::span<std::byte> writable() {
    CHECK(!borrowed());
    return {data_, size_};
  }
  bool borrowed() const { return release_ != nullptr; }
  std::size_t headroom() const { return borrowed() ? 0 : static_cast<std::size_t>(data_ - begin_); }
  std::size_t tailroom() const {
    return borrowed() ? 0 : static_cast<std::size_t>(begin_ + capacity_ - data_ - size_);
  }
  const Segment* next() const { return next_; }
  Segment* next() { return next_; }

 private:
  friend class Packet;
  friend class PacketRef;
  friend class Pool;

  std::byte* data_ = nullptr;
  std::uint32_t size_ = 0;
  std::uint32_t capacity_ = 0;
  std::byte* begin_ = nullptr;
  Segment* next_ = nullptr;
  Pool* pool_ = nullptr;
  ReleaseFunction release_ = nullptr;  // of a borrowed segment only
  void* context_ = nullptr;
  StandsFunction stands_ = nullptr;
};

static_assert(sizeof(Segment) == kCacheLine);

class Packet : private Segment {
 public:
  // Made by pools only.
  Packet() = default;
  Packet(const Packet&) = delete;
  Packet& operator=(const Packet&) = delete;

  std::size_t size() const { return total_; }  // of all segments
  std::size_t segment_count() const { return segments_; }
  const Segment& first() const { return *this; }
  Segment& first() { return *this; }

  const Metadata& meta() const { return meta_; }
  Metadata& meta() { return meta_; }

  // Whether all that it borrows is what was lent. Asked after a copy, it vouches for the copy.
  bool is_intact() const;

  // Opens `size` bytes before the first: the new first bytes, to be written by the caller. Null if
  // the headroom does not suffice.
  std::byte* prepend(std::size_t size);
  // Opens `size` bytes after the last. Null if the tail room does not suffice.
  std::byte* append(std::size_t size);
  // Chains `tail` behind this packet. Its metadata is dropped.
  void append(PacketPtr tail);
  // Drops the first `size` bytes, at most all. Only the first segment may be left empty.
  void trim_front(std::size_t size);
  // Drops what is beyond the first `size` bytes; emptied segments return to their pools, but for
  // the first.
  void truncate(std::size_t size);
  // Makes the first `size` bytes lie in the first segment, so that headers can be parsed in place;
  // copies what does not lie there yet. False if the packet is shorter, or the first segment has no
  // room.
  bool pull_front(std::size_t size, PassCounter& passes);

 private:
  friend class Pool;
  friend class PacketRef;

  void trim_second(std::size_t size);

  Metadata meta_;
  std::uint32_t total_ = 0;
  std::uint32_t segments_ = 0;
  Segment* last_ = nullptr;
  std::uint32_t references_ = 0;  // PacketRefs and their loans; 0 while a PacketPtr owns it
};

static_assert(sizeof(Packet) == 2 * kCacheLine);

// A packet that several hold and nobody changes: what a retransmission queue keeps.
class PacketRef {
 public:
  PacketRef() = default;
  explicit PacketRef(PacketPtr packet);
  PacketRef(const PacketRef& other) noexcept;
  PacketRef(PacketRef&& other) noexcept : packet_(std::exchange(other.packet_, nullptr)) {}
  PacketRef& operator=(PacketRef other) noexcept {
    std::swap(packet_, other.packet_);
    return *this;
  }
  ~PacketRef();

  explicit operator bool() const { return packet_ != nullptr; }
  const Packet& operator*() const { return *packet_; }
  const Packet* operator->() const { return packet_; }

  // A packet that borrows the bytes [offset, offset + size) of this one, which lives on until that
  // packet is gone. No byte is touched; headers are prepended by chaining it behind a segment of
  // theirs. Null if `pool`, of the same thread, has not enough loans.
  PacketPtr lend(Pool& pool, std::size_t offset, std::size_t size) const;

 private:
  static void drop(void* packet, std::span<const std::byte> memory);

  Packet* packet_ = nullptr;
};

// Up to 32 packets that travel together. Slots whose packet was moved out are null until
// compact().
class Burst {
 public:
  static constexpr std::size_t kCapacity = 32;

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  bool full() const { return size_ == kCapacity; }
  std::size_t room() const { return kCapacity - size_; }

  void push(PacketPtr packet) {
    CHECK(!full());
    packets_[size_++] = std::move(packet);
  }
  PacketPtr& operator[](std::size_t index) { return packets_[index]; }
  const PacketPtr& operator[](std::size_t index) const { return packets_[index]; }
  PacketPtr* begin() { return packets_.data(); }
  PacketPtr* end() { return packets_.data() + size_; }
  const PacketPtr* begin() const { return packets_.data(); }
  const PacketPtr* end() const { return packets_.data() + size_; }

  // Returns all packets to their pools.
  void clear() {
    for (PacketPtr& packet : *this) packet.reset();
    size_ = 0;
  }
  // Closes the gaps that packets moved out have left.
  void compact();

 private:
  std::array<PacketPtr, kCapacity> packets_;
  std::size_t size_ = 0;
};

}  // namespace tideline::packet
