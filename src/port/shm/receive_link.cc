// SPDX-License-Identifier: Apache-2.0
#include "port/shm/receive_link.h"

#include <utility>

#include "port/shm/arena.h"
#include "port/shm/member.h"

namespace tideline::port::shm {
namespace {

// Frames of one source on loan at a time. More are copied, so that a holder who keeps them does not
// use up the source's blocks. What lies elsewhere is the source's own to bound.
constexpr std::uint32_t kMostBlocks = 16;
constexpr std::uint32_t kMostLoans = 128;

}  // namespace

ReceiveLink::ReceiveLink(UniqueFd socket, Arrival arrival, IndexPage& index,
                         std::uint32_t index_lag, std::uint64_t& told)
    : socket_(std::move(socket)),
      ring_memory_(std::move(arrival.ring)),
      arena_(std::move(arrival.arena)),
      withdrawals_(ring_memory_.at<const Withdrawals>(arrival.hello.ring_slots * kSlotBytes)),
      ring_({ring_memory_.at<Slot>(0), arrival.hello.ring_slots},
            &index.of_source[arrival.hello.source].consumed, index_lag),
      index_lag_(index_lag),
      promiscuous_(arrival.hello.promiscuous != 0),
      words_(&index.loans[arrival.hello.source]),
      told_(told),
      bit_(std::uint64_t{1} << arrival.hello.source) {
  for (std::uint32_t slot = 0; slot < slots_.size(); ++slot) slots_[slot].slot = slot;
}

void ReceiveLink::retire() {
  words_ = nullptr;
  socket_.reset();
}

std::optional<std::span<const std::byte>> ReceiveLink::in_arena(std::uint64_t offset,
                                                                std::size_t length) const {
  const std::size_t size = arena_.size();
  if (length > kMaxFrame || length > size || offset > size - length) return std::nullopt;
  return std::span<const std::byte>(arena_.bytes()).subspan(offset, length);
}

bool ReceiveLink::locate(const RingConsumer::Frame& frame, Arrived& arrived) const {
  std::size_t head = frame.length;
  for (std::size_t i = 0; i < frame.piece_count; ++i) {
    const auto piece = in_arena(frame.pieces[i].offset, frame.pieces[i].length);
    if (!piece || piece->empty() || piece->size() > head) return false;
    head -= piece->size();
    arrived.pieces[i] = *piece;
  }
  arrived.piece_count = frame.piece_count;
  if (frame.is_inline()) {
    if (frame.length > kMaxFrame || head > head_room(frame.piece_count)) return false;
    arrived.bytes = {frame.inline_frame, head};
    return true;
  }
  const auto bytes = in_arena(frame.offset, frame.length);
  if (!bytes) return false;
  arrived.bytes = *bytes;
  return true;
}

void ReceiveLink::pop(std::size_t length, bool lent) {
  // A large block goes back at once, for it fills the cache; a lent one when the loan ends.
  const bool at_once = Arena::class_for(length) == BlockClass::kLarge && !lent;
  ring_.pop(at_once ? index_lag_ : 1);
}

std::optional<packet::Loan> ReceiveLink::lend(std::span<const std::byte> bytes, bool is_block) {
  const std::size_t slot = ring_.slot_index();
  const std::uint32_t sequence = sequence_at(ring_.head());
  if (slot >= kLendableSlots || sequence == 0) return std::nullopt;
  LoanSlot& lent = slots_[slot];
  const bool is_first = lent.link == nullptr;
  // A slot that is in use for another frame is so for one of an earlier round of the ring.
  if (!is_first && lent.sequence != sequence) return std::nullopt;
  if (is_first) {
    if (loans_ >= kMostLoans || (is_block && blocks_lent_ >= kMostBlocks)) return std::nullopt;
    lent.is_block = is_block;
    blocks_lent_ += is_block ? 1 : 0;
    (*words_)[slot].store(sequence, std::memory_order_relaxed);
    lent.link = shared_from_this();
    lent.sequence = sequence;
    ++loans_;
  }
  ++lent.parts;
  return packet::Loan{
      .memory = bytes, .release = give_back, .context = &lent, .stands = loan_stands};
}

bool ReceiveLink::stands(std::size_t slot, std::uint32_t sequence) const {
  if (slot >= kLendableSlots || sequence == 0) return true;
  // The bytes were read before this.
  std::atomic_thread_fence(std::memory_order_acquire);
  return withdrawals_->sequence[slot].load(std::memory_order_relaxed) != sequence;
}

bool ReceiveLink::loan_stands(const void* context) {
  const LoanSlot& lent = *static_cast<const LoanSlot*>(context);
  return lent.link->stands(lent.slot, lent.sequence);
}

void ReceiveLink::give_back(void* context, std::span<const std::byte> /*memory*/) {
  LoanSlot& lent = *static_cast<LoanSlot*>(context);
  if (--lent.parts > 0) return;
  const std::shared_ptr<ReceiveLink> link = std::move(lent.link);
  --link->loans_;
  link->blocks_lent_ -= lent.is_block ? 1 : 0;
  if (link->words_ == nullptr) return;
  // Release: all reads of the block come before.
  (*link->words_)[lent.slot].store(0, std::memory_order_release);
  link->ring_.tell();
  if (!lent.is_block) link->told_ |= link->bit_;
}

}  // namespace tideline::port::shm
