// SPDX-License-Identifier: Apache-2.0
// Where the bytes of one direction of a stream lie: byte `offset` is in chunk `offset / kChunk`,
// which is there only while somebody needs it, also behind a hole. Thread: the engine's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tcp/chunk_pool.h"

namespace tideline::tcp {

class Chunks {
 public:
  Chunks(ChunkPool& pool, ChunkPool::Use use) : pool_(pool), use_(use) {}
  Chunks(const Chunks&) = delete;
  Chunks& operator=(const Chunks&) = delete;
  ~Chunks() { clear(); }

  ChunkPool& pool() const { return pool_; }
  std::size_t held() const { return held_; }

  // From `offset` to the end of its chunk; empty if that is not there.
  std::span<std::byte> at(std::uint64_t offset) const;
  // The same, and takes the chunk if it is not there; empty: there is no memory. Not before what
  // was dropped.
  std::span<std::byte> make(std::uint64_t offset);
  // Gives back the chunks that end at `offset` or before.
  void drop_before(std::uint64_t offset);
  // Gives all back. Offsets go on.
  void clear();
  // Begins anew, at offset 0.
  void reset();

 private:
  std::size_t slot_of(std::uint64_t number) const { return number & (slots_.size() - 1); }
  void make_slots(std::uint64_t number);
  void give(std::uint64_t number);

  ChunkPool& pool_;
  ChunkPool::Use use_;
  std::uint64_t first_ = 0;  // no chunk of a lower number is there
  std::size_t held_ = 0;
  // By number, a power of two of them: first_ .. first_ + size - 1. Null: not there.
  std::vector<std::byte*> slots_;
};

}  // namespace tideline::tcp
