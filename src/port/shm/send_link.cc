// SPDX-License-Identifier: Apache-2.0
#include "port/shm/send_link.h"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

namespace tideline::port::shm {
namespace {

constexpr std::uint64_t bit(unsigned slot) { return std::uint64_t{1} << slot; }

}  // namespace

SendLink::SendLink(Parts parts, const Limits& limits, Arena& blocks, std::span<std::byte> arena)
    : parts_(std::move(parts)),
      limits_(limits),
      arena_(blocks),
      memory_(arena),
      ring_({parts_.ring.memory.at<Slot>(0), limits.ring_slots}),
      blocks_(limits.ring_slots) {
  lent_.reserve(blocks.size());
}

SendLink::~SendLink() {
  for (const std::optional<Block>& block : blocks_) {
    if (block) arena_.give_back(*block, held_);
  }
  for (const Lent& lent : lent_) arena_.give_back(lent.block, held_);
}

void SendLink::accept(Acceptance acceptance, unsigned own) {
  const IndexPage& index = *acceptance.index.at<IndexPage>(0);
  ring_.use_index(&index.of_source[own].consumed);
  loans_ = index.loans[own].data();
  answer_.emplace(std::move(acceptance), ring::Notifier(index.wake));
}

std::expected<Place, Event> SendLink::prepare(std::size_t length) {
  if (!make_room()) {
    return std::unexpected(ring_.is_refused() ? Event::kRefusedIndex : Event::kDropRingFull);
  }
  if (length <= kInlineBytes) return Place{ring_.body().first(length), std::nullopt};
  const auto kind = static_cast<std::size_t>(Arena::class_for(length));
  if (held_[kind] >= limits_.blocks_in_flight[kind]) reclaim();
  std::optional<Block> block = arena_.take(length, held_);
  if (!block && reclaim()) block = arena_.take(length, held_);
  if (ring_.is_refused()) {
    if (block) arena_.give_back(*block, held_);
    return std::unexpected(Event::kRefusedIndex);
  }
  if (!block) return std::unexpected(Event::kDropNoBlock);
  return Place{memory_.subspan(block->offset, length), block};
}

std::size_t SendLink::room(std::size_t wanted) {
  const auto known = [this] { return std::min(ring_.room(), arena_.room(held_)); };
  if (known() < wanted) reclaim();
  return known();
}

void SendLink::commit(const Place& place, const OffloadWords& offload) {
  const auto length = static_cast<std::uint32_t>(place.bytes.size());
  blocks_[ring_.tail() & (limits_.ring_slots - 1)] = place.block;
  if (place.block) {
    ring_.publish_reference(place.block->offset, length, offload);
  } else {
    ring_.publish_inline(length, offload);
  }
}

void SendLink::announce(unsigned own) {
  if (!answer_) return;
  // The fence in there comes between the frames and the look at hint and flag; the destination has
  // one between clearing the hint, or saying that it sleeps, and its last look at the ring.
  const bool ring = answer_->notifier.should_ring();
  std::atomic<std::uint64_t>& hints = answer_->pages.hints.at<HintPage>(0)->sources;
  if ((hints.load(std::memory_order_relaxed) & bit(own)) == 0) {
    hints.fetch_or(bit(own), std::memory_order_relaxed);
  }
  if (!ring) return;
  // A full socket is not waited for: the bells in it wake as well.
  const std::byte bell{1};
  [[maybe_unused]] const auto sent = ::send(socket(), &bell, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool SendLink::is_lent(std::uint32_t slot, std::uint32_t sequence) const {
  // Acquire: the destination's reads of the block happen before it gives the loan back.
  return loans_ != nullptr && slot < kLendableSlots &&
         loans_[slot].load(std::memory_order_acquire) == sequence;
}

// Takes back the blocks of all frames that the destination has consumed, but for those that it
// still reads. False if its index is false.
bool SendLink::reclaim() {
  if (!ring_.refresh()) return false;
  reclaim_lent();
  for (; reclaimed_ < ring_.consumed(); ++reclaimed_) {
    const auto slot = static_cast<std::uint32_t>(reclaimed_ & (limits_.ring_slots - 1));
    std::optional<Block>& block = blocks_[slot];
    if (!block) continue;
    if (is_lent(slot, sequence_at(reclaimed_))) {
      lent_.push_back({.block = *block, .slot = slot, .sequence = sequence_at(reclaimed_)});
    } else {
      arena_.give_back(*block, held_);
    }
    block.reset();
  }
  return true;
}

void SendLink::reclaim_lent() {
  for (std::size_t i = 0; i < lent_.size();) {
    if (is_lent(lent_[i].slot, lent_[i].sequence)) {
      ++i;
      continue;
    }
    arena_.give_back(lent_[i].block, held_);
    lent_[i] = lent_.back();
    lent_.pop_back();
  }
}

}  // namespace tideline::port::shm
