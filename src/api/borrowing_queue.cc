// SPDX-License-Identifier: Apache-2.0
#include "api/borrowing_queue.h"

#include <algorithm>
#include <cstring>
#include <utility>

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

void BorrowingQueue::reset(std::size_t most) {
  while (held_count_ > 0) drop_first();
  placed_.reset(most);
  spoilt_ = false;
}

// Only what TCP takes in order is held: all else may come twice, and overlap.
bool BorrowingQueue::put(std::uint64_t offset, packet::PacketPtr payload,
                         packet::PassCounter& passes) {
  if (!placed_.reserve(offset, payload->size())) return false;
  if (offset == placed_.published() && payload->size() >= kLeastHeld && held_count_ < kMostHeld &&
      borrows(*payload)) {
    hold(offset, std::move(payload));
    return true;
  }
  passes.add(packet::Pass::kCopy, payload->size());
  place(offset, *payload);
  return true;
}

void BorrowingQueue::hold(std::uint64_t offset, packet::PacketPtr payload) {
  if (held_.empty()) held_.resize(kMostHeld);
  held(held_count_++) = {.begin = offset, .packet = std::move(payload)};
}

void BorrowingQueue::place(std::uint64_t offset, const packet::Packet& payload) {
  placed_.place(offset, payload);
  if (!payload.is_intact()) spoil(offset);
}

void BorrowingQueue::publish(std::uint64_t end) {
  if (!spoilt_) placed_.publish(end);
}

// No byte from `offset` on will be readable. TCP is told by the owner, later.
void BorrowingQueue::spoil(std::uint64_t offset) {
  spoilt_ = true;
  placed_.publish(std::clamp(offset, consumed(), placed_.published()));
}

void BorrowingQueue::drop_first() {
  held(0) = {};
  first_held_ = (first_held_ + 1) % kMostHeld;
  --held_count_;
}

void BorrowingQueue::settle() {
  while (held_count_ > 0) {
    Held& first = held(0);
    if (!spoilt_) {
      if (first.begin < consumed()) {
        first.packet->trim_front(consumed() - first.begin);
        first.begin = consumed();
      }
      passes_.add(packet::Pass::kCopy, first.packet->size());
      place(first.begin, *first.packet);
    }
    drop_first();
  }
}

void BorrowingQueue::drop_held() {
  if (held_count_ > 0) spoil(held(0).begin);
  while (held_count_ > 0) drop_first();
}

std::span<const std::byte> BorrowingQueue::front() {
  settle();
  return placed_.front();
}

std::size_t BorrowingQueue::read(std::span<std::byte> out) {
  std::size_t done = 0;
  while (done < out.size() && readable() > 0) {
    const std::size_t most = std::min(out.size() - done, readable());
    std::size_t size = most;
    if (held_count_ > 0 && held(0).begin <= consumed()) {
      const Held& first = held(0);
      size = std::min<std::uint64_t>(most, first.end() - consumed());
      std::byte* to = out.data() + done;
      packet::for_each_piece(&first.packet->first(), consumed() - first.begin, size,
                             [&](const packet::Segment& segment, std::size_t at, std::size_t part) {
                               copy_by_vectors(to, segment.bytes().data() + at, part);
                               to += part;
                             });
      if (!first.packet->is_intact()) {
        spoil(consumed());
        break;
      }
    } else {
      if (held_count_ > 0) size = std::min<std::uint64_t>(size, held(0).begin - consumed());
      const auto from = placed_.front();
      size = std::min(size, from.size());
      std::memcpy(out.data() + done, from.data(), size);
    }
    consume(size);
    done += size;
  }
  if (done > 0) passes_.add(packet::Pass::kCopy, done);
  return done;
}

void BorrowingQueue::consume(std::size_t size) {
  placed_.consume(size);
  while (held_count_ > 0 && held(0).end() <= consumed()) drop_first();
}

}  // namespace tideline::api
