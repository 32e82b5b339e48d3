// SPDX-License-Identifier: Apache-2.0
#include "engine/served_fifo.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace tideline::engine {

bool ServedFifo::open(FamilyMemory& memory, queue::FifoPlaces& shown, ring::FifoIndices& indices,
                      std::size_t size) {
  const auto place = memory.take_fifo(size);
  if (!place) return false;
  memory_ = &memory;
  shown_ = &shown;
  indices_ = &indices;
  old_ = {};
  new_ = *place;
  from_ = written_ = consumed_ = 0;
  ring_ = 0;
  indices.written.store(0, std::memory_order_relaxed);
  indices.consumed.store(0, std::memory_order_relaxed);
  indices.forget_marks();
  want(UINT64_MAX, UINT64_MAX);
  shown.show(0, 0, *place);
  shown.show(1, queue::FifoPlaces::kUnused, {});
  return true;
}

void ServedFifo::want(std::uint64_t end, std::uint64_t hungry_end) {
  hungry_until_ = hungry_end;
  indices_->want(end, hungry_end);
}

void ServedFifo::close() {
  if (!is_open()) return;
  memory_->give_fifo(std::exchange(old_, {}));
  memory_->give_fifo(std::exchange(new_, {}));
}

std::span<std::byte> ServedFifo::piece(std::uint64_t offset, std::size_t most) const {
  const bool old = offset < from_;
  if (old) most = std::min<std::uint64_t>(most, from_ - offset);
  const std::span<std::byte> ring = memory_->bytes(old ? old_ : new_);
  const std::size_t begin = offset & (ring.size() - 1);
  return ring.subspan(begin, std::min(most, ring.size() - begin));
}

void ServedFifo::copy_in(std::uint64_t offset, std::span<const std::byte> from) const {
  while (!from.empty()) {
    const auto to = piece(offset, from.size());
    std::memcpy(to.data(), from.data(), to.size());
    from = from.subspan(to.size());
    offset += to.size();
  }
}

void ServedFifo::copy_out(std::uint64_t offset, std::span<std::byte> to) const {
  while (!to.empty()) {
    const auto from = piece(offset, to.size());
    std::memcpy(to.data(), from.data(), from.size());
    to = to.subspan(from.size());
    offset += from.size();
  }
}

bool ServedFifo::refresh_written() const {
  const std::uint64_t written = indices_->written.load(std::memory_order_acquire);
  if (written < written_ || written > limit()) return false;
  written_ = written;
  return true;
}

void ServedFifo::set_consumed(std::uint64_t consumed) {
  consumed_ = consumed;
  indices_->consumed.store(consumed, std::memory_order_release);
  settle();
}

bool ServedFifo::refresh_consumed() {
  const std::uint64_t consumed = indices_->consumed.load(std::memory_order_acquire);
  if (consumed < consumed_ || consumed > written_) return false;
  consumed_ = consumed;
  settle();
  return true;
}

void ServedFifo::set_written(std::uint64_t written) {
  written_ = written;
  indices_->written.store(written, std::memory_order_release);
}

// From the end of the room on: whatever the other side does with the room that it knows of stays
// where it is.
bool ServedFifo::grow(std::size_t size) {
  if (is_moving()) return false;
  const auto place = memory_->take_fifo(size);
  if (!place) return false;
  from_ = limit();
  old_ = std::exchange(new_, *place);
  ring_ ^= 1;
  shown_->show(ring_, from_, new_);
  return true;
}

bool ServedFifo::shrink(std::size_t size) {
  if (used() > 0) return false;
  const auto place = memory_->take_fifo(size);
  if (!place) return false;
  give_old();
  memory_->give_fifo(std::exchange(new_, *place));
  from_ = written_;
  ring_ = 0;
  shown_->show(0, from_, new_);
  shown_->show(1, queue::FifoPlaces::kUnused, {});
  return true;
}

void ServedFifo::give_old() { memory_->give_fifo(std::exchange(old_, {})); }

}  // namespace tideline::engine
