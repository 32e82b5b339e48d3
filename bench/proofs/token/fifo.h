// SPDX-License-Identifier: Apache-2.0
// The byte FIFO: where to put and where to find bytes. The caller holds the end's lock, copies into
// or out of the spans, and then publishes; nothing is visible to the other side before that, so a
// process that dies in the middle leaves a consistent FIFO.
#pragma once

#include <cstring>
#include <optional>
#include <span>

#include "proofs/token/layout.h"

namespace proofs::token {

// A piece of the ring: two parts, the second empty unless the piece wraps.
struct Piece {
  std::span<std::byte> first;
  std::span<std::byte> second;
  std::size_t size() const { return first.size() + second.size(); }
};

inline Piece piece_at(std::byte* data, std::uint64_t index, std::size_t size) {
  const std::size_t offset = index & (kFifoBytes - 1);
  const std::size_t until_end = kFifoBytes - offset;
  if (size <= until_end) return {.first = {data + offset, size}, .second = {}};
  return {.first = {data + offset, until_end}, .second = {data, size - until_end}};
}

// The room that a producer has; looks at the consumer's line only when the remembered room is short
// of `wanted`. Empty if the indices make no sense: the other side broke the protocol.
inline std::optional<Piece> room(Direction& fifo, std::byte* data, std::size_t wanted) {
  const std::uint64_t head = fifo.head.load(std::memory_order_relaxed);
  std::uint64_t used = head - fifo.tail_seen.load(std::memory_order_relaxed);
  if (used > kFifoBytes || kFifoBytes - used < wanted) {
    const std::uint64_t tail = fifo.tail.load(std::memory_order_acquire);
    used = head - tail;
    if (used > kFifoBytes) return std::nullopt;
    fifo.tail_seen.store(tail, std::memory_order_relaxed);
  }
  return piece_at(data, head, kFifoBytes - used);
}

inline void publish(Direction& fifo, std::size_t size) {
  fifo.head.store(fifo.head.load(std::memory_order_relaxed) + size, std::memory_order_release);
}

// What a consumer may read, or nothing if the indices make no sense.
inline std::optional<Piece> contents(Direction& fifo, std::byte* data) {
  const std::uint64_t tail = fifo.tail.load(std::memory_order_relaxed);
  const std::uint64_t used = fifo.head.load(std::memory_order_acquire) - tail;
  if (used > kFifoBytes) return std::nullopt;
  return piece_at(data, tail, used);
}

inline void consume(Direction& fifo, std::size_t size) {
  fifo.tail.store(fifo.tail.load(std::memory_order_relaxed) + size, std::memory_order_release);
}

// For readiness, without a lock.
inline std::size_t used_bytes(const Direction& fifo) {
  const std::uint64_t tail = fifo.tail.load(std::memory_order_acquire);
  return fifo.head.load(std::memory_order_acquire) - tail;
}

// Half the FIFO must be free before a writer is told: fewer, larger refills.
inline bool writable(const Direction& fifo) { return used_bytes(fifo) <= kFifoBytes / 2; }

inline std::size_t copy_in(const Piece& to, std::span<const std::byte> from) {
  const std::size_t first = std::min(to.first.size(), from.size());
  std::memcpy(to.first.data(), from.data(), first);
  const std::size_t second = std::min(to.second.size(), from.size() - first);
  if (second != 0) std::memcpy(to.second.data(), from.data() + first, second);
  return first + second;
}

inline std::size_t copy_out(std::span<std::byte> to, const Piece& from) {
  const std::size_t first = std::min(from.first.size(), to.size());
  std::memcpy(to.data(), from.first.data(), first);
  const std::size_t second = std::min(from.second.size(), to.size() - first);
  if (second != 0) std::memcpy(to.data() + first, from.second.data(), second);
  return first + second;
}

// `piece` without its first `size` bytes.
inline Piece rest(const Piece& piece, std::size_t size) {
  if (size <= piece.first.size()) {
    return {.first = piece.first.subspan(size), .second = piece.second};
  }
  return {.first = piece.second.subspan(size - piece.first.size()), .second = {}};
}

}  // namespace proofs::token
