// SPDX-License-Identifier: Apache-2.0
// What a member has of one source: its ring and its arena, mapped read-only. One thread.
//
// A frame's block goes back to the source when the frame is popped, unless it was lent: then when
// the loan ends. The link lives until its last loan has ended, also when the source is gone or the
// member is: whoever holds the frame still reads the mapping.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/fd.h"
#include "base/mapping.h"
#include "packet/packet.h"
#include "port/shm/handshake.h"
#include "port/shm/ring.h"

namespace tideline::port::shm {

struct Arrived;

class ReceiveLink : public std::enable_shared_from_this<ReceiveLink> {
 public:
  // `index` is the receiver's, zeroed for this source; `told` its Member::flush's, where the
  // source's bit is set when references of its are let go of.
  ReceiveLink(UniqueFd socket, Arrival arrival, IndexPage& index, std::uint32_t index_lag,
              std::uint64_t& told);
  ReceiveLink(const ReceiveLink&) = delete;
  ReceiveLink& operator=(const ReceiveLink&) = delete;

  // The member is done with the link: loans may end after that, but the index is not written any
  // more.
  void retire();

  int socket() const { return socket_.get(); }
  bool is_promiscuous() const { return promiscuous_; }
  RingConsumer& ring() { return ring_; }

  // Where the bytes of the ring's frame lie. False if that is outside of the source's arena.
  bool locate(const RingConsumer::Frame& frame, Arrived& arrived) const;
  // Whether the source has not taken back the memory of the frame at the ring's head.
  bool head_stands() const { return stands(ring_.slot_index(), sequence_at(ring_.head())); }
  // Takes the frame at the ring's head, whose bytes are `bytes`, off the ring.
  void pop(std::size_t length, bool lent);
  // Lends bytes of the frame at the ring's head, which is popped next: several parts of it one by
  // one. `is_block`: they lie in one of the source's blocks. None if too many are out.
  std::optional<packet::Loan> lend(std::span<const std::byte> bytes, bool is_block);

  // Looks in vain at the ring since the last frame.
  std::uint32_t empty_looks = 0;
  // The source has ended; what it has sent is still received.
  bool hung_up = false;

 private:
  struct LoanSlot {
    std::shared_ptr<ReceiveLink> link;  // while it is out
    std::uint32_t slot = 0;
    std::uint32_t sequence = 0;
    std::uint32_t parts = 0;  // that are out
    bool is_block = false;
  };
  using LoanWords = std::array<std::atomic<std::uint32_t>, kLendableSlots>;

  static void give_back(void* context, std::span<const std::byte> memory);
  static bool loan_stands(const void* context);
  std::optional<std::span<const std::byte>> in_arena(std::uint64_t offset,
                                                     std::size_t length) const;
  bool stands(std::size_t slot, std::uint32_t sequence) const;

  UniqueFd socket_;
  Mapping ring_memory_;
  Mapping arena_;
  const Withdrawals* withdrawals_;  // of the source, behind the ring
  RingConsumer ring_;
  std::uint32_t index_lag_;
  bool promiscuous_;
  LoanWords* words_;  // in the member's index page; null when retired
  std::uint64_t& told_;
  std::uint64_t bit_;
  std::uint32_t loans_ = 0;
  std::uint32_t blocks_lent_ = 0;  // of these
  std::array<LoanSlot, kLendableSlots> slots_;
};

}  // namespace tideline::port::shm
