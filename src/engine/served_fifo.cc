// SPDX-License-Identifier: Apache-2.0
#include "engine/served_fifo.h"

#include <algorithm>
#include <cstring>

namespace tideline::engine {

void ServedFifo::open(std::span<std::byte> memory, ring::FifoIndices& indices) {
  memory_ = memory;
  indices_ = &indices;
  written_ = consumed_ = 0;
  indices.written.store(0, std::memory_order_relaxed);
  indices.consumed.store(0, std::memory_order_relaxed);
}

std::span<std::byte> ServedFifo::piece(std::uint64_t offset, std::size_t most) const {
  const std::size_t begin = offset & (memory_.size() - 1);
  return memory_.subspan(begin, std::min(most, memory_.size() - begin));
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
  if (written < written_ || written - consumed_ > capacity()) return false;
  written_ = written;
  return true;
}

void ServedFifo::set_consumed(std::uint64_t consumed) {
  consumed_ = consumed;
  indices_->consumed.store(consumed, std::memory_order_release);
}

bool ServedFifo::refresh_consumed() const {
  const std::uint64_t consumed = indices_->consumed.load(std::memory_order_acquire);
  if (consumed < consumed_ || consumed > written_) return false;
  consumed_ = consumed;
  return true;
}

void ServedFifo::set_written(std::uint64_t written) {
  written_ = written;
  indices_->written.store(written, std::memory_order_release);
}

bool ServedReceiveBuffer::put(std::uint64_t offset, packet::PacketPtr payload,
                              packet::PassCounter& passes) {
  passes.add(packet::Pass::kCopy, payload->size());
  for (const packet::Segment* each = &payload->first(); each != nullptr; each = each->next()) {
    fifo_.copy_in(offset, each->bytes());
    offset += each->bytes().size();
  }
  return true;
}

}  // namespace tideline::engine
