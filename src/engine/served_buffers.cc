// SPDX-License-Identifier: Apache-2.0
#include "engine/served_buffers.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace tideline::engine {
namespace {

constexpr std::size_t kLeast = FamilyMemory::kLeastFifo;
// Of what is sent, without any need that TCP has told.
constexpr std::uint64_t kUsual = std::uint64_t{256} << 10;
// That the program has not asked for: as much as the usual window scale can tell of.
constexpr std::uint64_t kMost = std::uint64_t{4} << 20;
constexpr std::uint64_t kLeastMost = std::uint64_t{64} << 10;  // tcp::Config::initial_window

std::uint64_t most_of(std::size_t asked) {
  if (asked == 0) return kMost;
  return std::bit_ceil(std::clamp<std::uint64_t>(asked, kLeastMost, FamilyMemory::kLargestFifo));
}

}  // namespace

// --- What is sent.

void ServedSendBuffer::open(std::size_t most) {
  closed_ = false;
  wanted_ = kUsual;
  most_ = most_of(most);
}

void ServedSendBuffer::set_most(std::size_t most) { most_ = most_of(most); }

void ServedSendBuffer::want(std::uint64_t bytes) {
  wanted_ = std::max(wanted_, bytes);
  grow_if_full();
}

bool ServedSendBuffer::grow_if_full() {
  const std::uint64_t goal = std::bit_ceil(std::min(wanted_, most_));
  if (closed_ || fifo_.size() >= goal || fifo_.room() >= fifo_.size() / 3) return false;
  return fifo_.may_grow() && fifo_.grow(std::min<std::uint64_t>(goal, 4 * fifo_.size()));
}

void ServedSendBuffer::shrink() {
  if (fifo_.refresh_written() && fifo_.size() > kLeast) fifo_.shrink(kLeast);
}

// --- What is received.

void ServedReceiveBuffer::open(std::size_t most) {
  put_end_ = granted_ = 0;
  kept_ = kLeast;
  most_ = most_of(most);
  window_ = kLeastMost;
}

void ServedReceiveBuffer::set_most(std::size_t most) {
  most_ = most_of(most);
  window_ = std::min(window_, most_);
}

void ServedReceiveBuffer::keep_room(std::size_t bytes) {
  kept_ = std::bit_ceil(std::clamp<std::size_t>(bytes, kLeast, most_));
  if (fifo_.size() >= kept_ || !fifo_.may_grow() || !fifo_.grow(kept_)) return;
  window_ = std::max<std::uint64_t>(window_, kept_);
}

// While there is no more memory to be had, what there is room for; what was granted stays granted.
std::uint64_t ServedReceiveBuffer::limit() const {
  fifo_.refresh_consumed();
  std::uint64_t promised = fifo_.consumed() + window_;
  if (promised > fifo_.limit() && !fifo_.may_grow()) promised = fifo_.limit();
  return granted_ = std::max(granted_, promised);
}

void ServedReceiveBuffer::want(std::uint64_t window) {
  if (fifo_.may_grow()) window_ = std::max(window_, std::min(window, most_));
}

// For all that was promised at once: it cannot grow again before the reader has emptied what it
// has now.
bool ServedReceiveBuffer::make_room(std::uint64_t end) {
  const std::uint64_t room = fifo_.limit();
  return end <= room || fifo_.grow(std::max(granted_, end) - room) || fifo_.grow(end - room);
}

bool ServedReceiveBuffer::put(std::uint64_t offset, packet::PacketPtr payload,
                              packet::PassCounter& passes) {
  const std::uint64_t end = offset + payload->size();
  if (!make_room(end)) return false;
  put_end_ = std::max(put_end_, end);
  passes.add(packet::Pass::kCopy, payload->size());
  for (const packet::Segment* each = &payload->first(); each != nullptr; each = each->next()) {
    fifo_.copy_in(offset, each->bytes());
    offset += each->bytes().size();
  }
  return true;
}

std::uint64_t ServedReceiveBuffer::room_for_copy(std::uint64_t end) {
  const std::uint64_t promised = limit();
  make_room(std::min(end, promised));  // or there is less, until the reader has read
  return std::min(promised, fifo_.limit());
}

void ServedReceiveBuffer::put_copy(std::uint64_t offset, std::span<const std::byte> from,
                                   packet::PassCounter& passes) {
  put_end_ = std::max(put_end_, offset + from.size());
  passes.add(packet::Pass::kCopy, from.size());
  fifo_.copy_in(offset, from);
}

void ServedReceiveBuffer::shrink() {
  if (fifo_.size() <= kept_ || !fifo_.refresh_consumed() || put_end_ > fifo_.written()) return;
  if (fifo_.shrink(kept_)) window_ = std::max<std::uint64_t>(kLeastMost, kept_);
}

}  // namespace tideline::engine
