// SPDX-License-Identifier: Apache-2.0
#include "api/receive_queue.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/copy.h"
#include "packet/pieces.h"

namespace tideline::api {
namespace {

bool borrows(const packet::Packet& packet) {
  for (const packet::Segment* each = &packet.first(); each != nullptr; each = each->next()) {
    if (each->borrowed()) return true;
  }
  return false;
}

}  // namespace

std::span<std::byte> ReceiveQueue::ring(std::uint64_t offset, std::size_t most) const {
  const std::size_t begin = offset & (memory_.size() - 1);
  return memory_.subspan(begin, std::min(most, memory_.size() - begin));
}

// Only what TCP takes in order is held: all else may come twice, and overlap.
void ReceiveQueue::put(std::uint64_t offset, packet::PacketPtr payload,
                       packet::PassCounter& passes) {
  if (offset == published_ && payload->size() >= kLeastHeld && held_count_ < kMostHeld &&
      borrows(*payload)) {
    hold(offset, std::move(payload));
    return;
  }
  passes.add(packet::Pass::kCopy, payload->size());
  place(offset, *payload);
}

void ReceiveQueue::hold(std::uint64_t offset, packet::PacketPtr payload) {
  if (held_.empty()) held_.resize(kMostHeld);
  held(held_count_++) = {.begin = offset, .packet = std::move(payload)};
}

void ReceiveQueue::place(std::uint64_t offset, const packet::Packet& payload) {
  std::uint64_t at = offset;
  for (const packet::Segment* each = &payload.first(); each != nullptr; each = each->next()) {
    std::span<const std::byte> from = each->bytes();
    while (!from.empty()) {
      const auto to = ring(at, from.size());
      copy_by_vectors(to.data(), from.data(), to.size());
      from = from.subspan(to.size());
      at += to.size();
    }
  }
  if (!payload.is_intact()) spoil(offset);
}

void ReceiveQueue::publish(std::uint64_t end) {
  if (!spoilt_) published_ = end;
}

// No byte from `offset` on will be readable. TCP is told by the owner, later.
void ReceiveQueue::spoil(std::uint64_t offset) {
  spoilt_ = true;
  published_ = std::clamp(offset, consumed_, published_);
}

void ReceiveQueue::drop_first() {
  held(0) = {};
  first_held_ = (first_held_ + 1) % kMostHeld;
  --held_count_;
}

void ReceiveQueue::settle() {
  while (held_count_ > 0) {
    const Held& first = held(0);
    if (!spoilt_) {
      passes_.add(packet::Pass::kCopy, first.packet->size());
      place(first.begin, *first.packet);
    }
    drop_first();
  }
}

void ReceiveQueue::drop_held() {
  if (held_count_ > 0) spoil(held(0).begin);
  while (held_count_ > 0) drop_first();
}

std::span<const std::byte> ReceiveQueue::front() {
  settle();
  return ring(consumed_, readable());
}

std::size_t ReceiveQueue::read(std::span<std::byte> out) {
  std::size_t done = 0;
  while (done < out.size() && readable() > 0) {
    const std::size_t most = std::min(out.size() - done, readable());
    std::size_t size = most;
    if (held_count_ > 0 && held(0).begin <= consumed_) {
      const Held& first = held(0);
      size = std::min<std::uint64_t>(most, first.end() - consumed_);
      std::byte* to = out.data() + done;
      packet::for_each_piece(&first.packet->first(), consumed_ - first.begin, size,
                             [&](const packet::Segment& segment, std::size_t at, std::size_t part) {
                               copy_by_vectors(to, segment.bytes().data() + at, part);
                               to += part;
                             });
      if (!first.packet->is_intact()) {
        spoil(consumed_);
        break;
      }
    } else {
      if (held_count_ > 0) size = std::min<std::uint64_t>(size, held(0).begin - consumed_);
      const auto from = ring(consumed_, size);
      size = from.size();
      std::memcpy(out.data() + done, from.data(), size);
    }
    consume(size);
    done += size;
  }
  if (done > 0) passes_.add(packet::Pass::kCopy, done);
  return done;
}

void ReceiveQueue::consume(std::size_t size) {
  CHECK(size <= readable(), "{} bytes of {}", size, readable());
  consumed_ += size;
  while (held_count_ > 0 && held(0).end() <= consumed_) drop_first();
}

}  // namespace tideline::api
