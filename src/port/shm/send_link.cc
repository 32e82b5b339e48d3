// SPDX-License-Identifier: Apache-2.0
#include "port/shm/send_link.h"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

namespace tideline::port::shm {

SendLink::SendLink(Parts parts, const Limits& limits, Arena& blocks, std::span<std::byte> arena)
    : parts_(std::move(parts)),
      limits_(limits),
      arena_(blocks),
      memory_(arena),
      ring_({parts_.ring.memory.at<Slot>(0), limits.ring_slots}),
      sent_(limits.ring_slots) {
  lent_.reserve(blocks.size() + kLendableSlots);
}

SendLink::~SendLink() {
  for (Sent& sent : sent_) give_back(sent);
  for (Lent& lent : lent_) give_back(lent.sent);
}

void SendLink::give_back(Sent& sent) {
  if (sent.block) arena_.give_back(*sent.block, held_);
  if (sent.packet != nullptr) --kept_;
  sent = {};
}

template <typename Visit>
void SendLink::for_each_out(const Visit& visit) {
  for (std::uint64_t at = reclaimed_; at < ring_.tail(); ++at) {
    visit(sent_[slot_of(at)], slot_of(at), sequence_at(at));
  }
  for (Lent& lent : lent_) visit(lent.sent, lent.slot, lent.sequence);
}

void SendLink::mark_withdrawn(std::uint32_t slot, std::uint32_t sequence) {
  if (slot >= kLendableSlots) return;
  Withdrawals& withdrawals = *parts_.ring.memory.at<Withdrawals>(limits_.ring_slots * kSlotBytes);
  withdrawals.sequence[slot].store(sequence, std::memory_order_relaxed);
}

void SendLink::revoke() {
  for_each_out([this](Sent& sent, std::uint32_t slot, std::uint32_t sequence) {
    if (sent.by_reference || sent.block) mark_withdrawn(slot, sequence);
  });
  // Before whatever is written to the memory now.
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

void SendLink::withdraw(std::span<const std::byte> memory, Instant before) {
  const auto is_meant = [&](const Sent& sent) {
    if (sent.packet == nullptr || sent.since >= before) return false;
    const packet::Segment* each = sent.packet->first().next();
    for (; each != nullptr; each = each->next()) {
      const auto bytes = each->bytes();
      if (bytes.data() < memory.data() + memory.size() &&
          memory.data() < bytes.data() + bytes.size()) {
        return true;
      }
    }
    return false;
  };
  for_each_out([&](Sent& sent, std::uint32_t slot, std::uint32_t sequence) {
    if (is_meant(sent)) mark_withdrawn(slot, sequence);
  });
  std::atomic_thread_fence(std::memory_order_seq_cst);
  for_each_out([&](Sent& sent, std::uint32_t, std::uint32_t) {
    if (!is_meant(sent)) return;
    sent.packet.reset();
    --kept_;
  });
}

Instant SendLink::oldest() const {
  Instant oldest = kNever;
  for (const Sent& sent : sent_) {
    if (sent.packet != nullptr) oldest = std::min(oldest, sent.since);
  }
  for (const Lent& lent : lent_) {
    if (lent.sent.packet != nullptr) oldest = std::min(oldest, lent.sent.since);
  }
  return oldest;
}

std::size_t SendLink::drop_returned() {
  const std::size_t before = kept_;
  if (before > 0) reclaim();
  return before - kept_;
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
  sent_[slot_of(ring_.tail())].block = place.block;
  if (place.block) {
    ring_.publish_reference(place.block->offset, length, offload);
  } else {
    ring_.publish_inline(length, offload);
  }
}

bool SendLink::refer(packet::PacketPtr& packet, const OffloadWords& offload, Instant now) {
  const std::size_t count = packet->segment_count() - 1;
  const auto head = packet->first().bytes();
  if (count == 0 || count > kMaxPieces || head.size() > head_room(count)) return false;
  std::array<Piece, kMaxPieces> pieces;
  std::size_t found = 0;
  const packet::Segment* each = packet->first().next();
  for (; each != nullptr; each = each->next()) {
    const auto bytes = each->bytes();
    if (!each->borrowed() || bytes.data() < memory_.data() ||
        bytes.data() + bytes.size() > memory_.data() + memory_.size()) {
      return false;
    }
    pieces[found++] = {.offset = static_cast<std::uint32_t>(bytes.data() - memory_.data()),
                       .length = static_cast<std::uint32_t>(bytes.size())};
  }
  const std::uint32_t slot = slot_of(ring_.tail());
  if (!make_room() || slot >= kLendableSlots || slot_is_lent_[slot] ||
      sequence_at(ring_.tail()) == 0) {
    return false;
  }
  ring_.publish_pieces(head, std::span(pieces).first(found), offload);
  sent_[slot] = {.packet = std::move(packet), .since = now, .by_reference = true};
  ++kept_;
  return true;
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
    const std::uint32_t slot = slot_of(reclaimed_);
    Sent& sent = sent_[slot];
    if (!sent.block && !sent.by_reference) continue;
    if (is_lent(slot, sequence_at(reclaimed_))) {
      lent_.push_back(
          {.sent = std::exchange(sent, {}), .slot = slot, .sequence = sequence_at(reclaimed_)});
      slot_is_lent_[slot] = true;
    } else {
      give_back(sent);
    }
  }
  return true;
}

void SendLink::reclaim_lent() {
  for (std::size_t i = 0; i < lent_.size();) {
    if (is_lent(lent_[i].slot, lent_[i].sequence)) {
      ++i;
      continue;
    }
    slot_is_lent_[lent_[i].slot] = false;
    give_back(lent_[i].sent);
    if (i + 1 < lent_.size()) lent_[i] = std::move(lent_.back());
    lent_.pop_back();
  }
}

}  // namespace tideline::port::shm
