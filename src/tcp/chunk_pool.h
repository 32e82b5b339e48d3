// SPDX-License-Identifier: Apache-2.0
// Memory of stream buffers: chunks of one size, that a stream holds only while it has bytes in
// them. The chunk given back last is taken first, for its lines are warm. malloc is called once for
// 64 of them, and never again.
//
// The limit is shared so that who keeps bytes does not starve who moves them. Of its sixteenths in
// use:
//
//   0 .. 12   everybody takes what he can use
//  12 .. 14   is_short(): nothing grows, and no buffer takes more than its share
//  14 .. 15   is_full(): no new stream begins, and no buffer takes more than its least
//  15 .. 16   the least of those that send, so that programs that answer can go on
//
// Thread: the engine's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace tideline::tcp {

class ChunkPool {
 public:
  static constexpr std::size_t kChunk = std::size_t{32} << 10;
  // Chunks of one buffer while memory is short, and when it is full: a frame of 64 KiB may need
  // three.
  static constexpr std::size_t kShare = 4;
  static constexpr std::size_t kLeast = 3;

  enum class Use : std::uint8_t { kSend, kReceive };

  // At most `limit` bytes are in use.
  explicit ChunkPool(std::size_t limit) : limit_(limit) {}

  // Memory that peers can read, so that what is sent from it need not be copied: used first for
  // sending, and for nothing else. Outlives the pool's chunks. Once.
  void add_shared(std::span<std::byte> memory);

  // For a buffer that holds `held` chunks. Null: it must wait until something is given back.
  std::byte* take(Use use, std::size_t held);
  void give(std::byte* chunk);

  bool is_short() const { return in_use_ >= sixteenths(12); }
  bool is_full() const { return in_use_ >= sixteenths(14); }
  // A buffer that holds nothing would get a chunk to send from.
  bool can_send() const { return in_use_ + kChunk <= limit_; }
  std::size_t in_use() const { return in_use_; }

 private:
  static constexpr std::size_t kPerSlab = 64;

  std::size_t sixteenths(std::size_t count) const { return limit_ / 16 * count; }

  void add_slab();
  bool is_shared(const std::byte* chunk) const {
    return !shared_.empty() && chunk >= shared_.data() && chunk < shared_.data() + shared_.size();
  }

  std::size_t limit_;
  std::size_t in_use_ = 0;
  std::vector<std::unique_ptr<std::byte[]>> slabs_;
  std::vector<std::byte*> free_;
  std::span<std::byte> shared_;
  std::vector<std::byte*> free_shared_;
};

}  // namespace tideline::tcp
