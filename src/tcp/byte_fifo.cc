// SPDX-License-Identifier: Apache-2.0
#include "tcp/byte_fifo.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace tideline::tcp {

ByteFifo::ByteFifo(std::span<std::byte> memory, FifoIndices& indices)
    : memory_(memory), indices_(indices) {
  CHECK(is_power_of_two(memory.size()), "{} bytes", memory.size());
}

// Only one of the two indices is the other side's: the reader believes its own `consumed`, and
// bounds `written` by it; and the other way round.
std::uint64_t ByteFifo::written() const {
  const std::uint64_t written = indices_.written.load(std::memory_order_acquire);
  const std::uint64_t consumed = indices_.consumed.load(std::memory_order_relaxed);
  return consumed + std::min<std::uint64_t>(written - consumed, capacity());
}

std::uint64_t ByteFifo::consumed() const {
  const std::uint64_t consumed = indices_.consumed.load(std::memory_order_acquire);
  const std::uint64_t written = indices_.written.load(std::memory_order_relaxed);
  return written - std::min<std::uint64_t>(written - consumed, capacity());
}

std::span<std::byte> ByteFifo::piece(std::uint64_t offset, std::size_t most) const {
  const std::size_t begin = offset & (memory_.size() - 1);
  return memory_.subspan(begin, std::min(most, memory_.size() - begin));
}

std::size_t ByteFifo::writable() const {
  return capacity() -
         static_cast<std::size_t>(indices_.written.load(std::memory_order_relaxed) - consumed());
}

std::size_t ByteFifo::readable() const {
  return static_cast<std::size_t>(written() - indices_.consumed.load(std::memory_order_relaxed));
}

std::size_t ByteFifo::write(std::span<const std::byte> bytes) {
  const std::size_t size = std::min(bytes.size(), writable());
  const std::uint64_t at = indices_.written.load(std::memory_order_relaxed);
  for (std::size_t done = 0; done < size;) {
    const auto to = piece(at + done, size - done);
    std::memcpy(to.data(), bytes.data() + done, to.size());
    done += to.size();
  }
  set_written(at + size);
  return size;
}

std::size_t ByteFifo::read(std::span<std::byte> bytes) {
  const std::size_t size = std::min(bytes.size(), readable());
  const std::uint64_t at = indices_.consumed.load(std::memory_order_relaxed);
  for (std::size_t done = 0; done < size;) {
    const auto from = piece(at + done, size - done);
    std::memcpy(bytes.data() + done, from.data(), from.size());
    done += from.size();
  }
  set_consumed(at + size);
  return size;
}

void OutgoingFifo::release(std::uint64_t offset) {
  fifo_.set_consumed(offset);
  const auto live = std::span(records_).first(record_count_);
  const auto first = std::ranges::upper_bound(live, offset);
  std::ranges::copy(first, live.end(), live.begin());
  record_count_ = static_cast<std::size_t>(live.end() - first);
}

std::uint64_t OutgoingFifo::record_end(std::uint64_t offset) const {
  const auto live = std::span(records_).first(record_count_);
  const auto found = std::ranges::upper_bound(live, offset);
  return found == live.end() ? UINT64_MAX : *found;
}

void OutgoingFifo::end_record() {
  if (record_count_ == records_.size()) return;
  records_[record_count_++] = fifo_.written();
}

bool IncomingFifo::put(std::uint64_t offset, packet::PacketPtr payload,
                       packet::PassCounter& passes) {
  passes.add(packet::Pass::kCopy, payload->size());
  for (const packet::Segment* each = &payload->first(); each != nullptr; each = each->next()) {
    std::span<const std::byte> from = each->bytes();
    while (!from.empty()) {
      const auto to = fifo_.piece(offset, from.size());
      std::memcpy(to.data(), from.data(), to.size());
      from = from.subspan(to.size());
      offset += to.size();
    }
  }
  return true;
}

}  // namespace tideline::tcp
