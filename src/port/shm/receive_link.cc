// SPDX-License-Identifier: Apache-2.0
#include "port/shm/receive_link.h"

#include <utility>

#include "port/shm/arena.h"

namespace tideline::port::shm {
namespace {

// Frames of one source on loan at a time. More are copied, so that a holder who keeps them does not
// use up the source's blocks.
constexpr std::uint32_t kMostLoans = 16;

}  // namespace

ReceiveLink::ReceiveLink(UniqueFd socket, Arrival arrival, IndexPage& index,
                         std::uint32_t index_lag)
    : socket_(std::move(socket)),
      ring_memory_(std::move(arrival.ring)),
      arena_(std::move(arrival.arena)),
      ring_({ring_memory_.at<Slot>(0), arrival.hello.ring_slots},
            &index.of_source[arrival.hello.source].consumed, index_lag),
      index_lag_(index_lag),
      promiscuous_(arrival.hello.promiscuous != 0),
      words_(&index.loans[arrival.hello.source]) {
  for (std::uint32_t slot = 0; slot < slots_.size(); ++slot) slots_[slot].slot = slot;
}

void ReceiveLink::retire() {
  words_ = nullptr;
  socket_.reset();
}

std::optional<std::span<const std::byte>> ReceiveLink::bytes_of(
    const RingConsumer::Frame& frame) const {
  if (frame.is_inline()) return std::span(frame.inline_frame, frame.length);
  const std::size_t size = arena_.size();
  if (frame.length > kMaxFrame || frame.length > size || frame.offset > size - frame.length) {
    return std::nullopt;
  }
  return std::span<const std::byte>(arena_.bytes()).subspan(frame.offset, frame.length);
}

void ReceiveLink::pop(std::size_t length, bool lent) {
  // A large block goes back at once, for it fills the cache; a lent one when the loan ends.
  const bool at_once = Arena::class_for(length) == BlockClass::kLarge && !lent;
  ring_.pop(at_once ? index_lag_ : 1);
}

std::optional<packet::Loan> ReceiveLink::lend(std::span<const std::byte> bytes) {
  const std::size_t slot = ring_.slot_index();
  const std::uint32_t sequence = sequence_at(ring_.head());
  // A word that is in use belongs to a loan of an earlier round of the ring.
  if (loans_ >= kMostLoans || slot >= kLendableSlots || sequence == 0 ||
      (*words_)[slot].load(std::memory_order_relaxed) != 0) {
    return std::nullopt;
  }
  (*words_)[slot].store(sequence, std::memory_order_relaxed);
  ++loans_;
  slots_[slot].link = shared_from_this();
  return packet::Loan{.memory = bytes, .release = give_back, .context = &slots_[slot]};
}

void ReceiveLink::give_back(void* context, std::span<const std::byte> /*memory*/) {
  LoanSlot& lent = *static_cast<LoanSlot*>(context);
  const std::shared_ptr<ReceiveLink> link = std::move(lent.link);
  --link->loans_;
  if (link->words_ == nullptr) return;
  // Release: all reads of the block come before.
  (*link->words_)[lent.slot].store(0, std::memory_order_release);
  link->ring_.tell();
}

}  // namespace tideline::port::shm
