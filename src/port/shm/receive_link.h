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

class ReceiveLink : public std::enable_shared_from_this<ReceiveLink> {
 public:
  // `index` is the receiver's, zeroed for this source.
  ReceiveLink(UniqueFd socket, Arrival arrival, IndexPage& index, std::uint32_t index_lag);
  ReceiveLink(const ReceiveLink&) = delete;
  ReceiveLink& operator=(const ReceiveLink&) = delete;

  // The member is done with the link: loans may end after that, but the index is not written any
  // more.
  void retire();

  int socket() const { return socket_.get(); }
  bool is_promiscuous() const { return promiscuous_; }
  RingConsumer& ring() { return ring_; }

  // The bytes of a frame; none if they lie outside of the source's arena.
  std::optional<std::span<const std::byte>> bytes_of(const RingConsumer::Frame& frame) const;
  // Takes the frame at the ring's head, whose bytes are `bytes`, off the ring.
  void pop(std::size_t length, bool lent);
  // Lends bytes of the frame at the ring's head, which is popped next. None if too many are out.
  std::optional<packet::Loan> lend(std::span<const std::byte> bytes);

  // Looks in vain at the ring since the last frame.
  std::uint32_t empty_looks = 0;
  // The source has ended; what it has sent is still received.
  bool hung_up = false;

 private:
  struct LoanSlot {
    std::shared_ptr<ReceiveLink> link;  // while it is out
    std::uint32_t slot = 0;
  };
  using LoanWords = std::array<std::atomic<std::uint32_t>, kLendableSlots>;

  static void give_back(void* context, std::span<const std::byte> memory);

  UniqueFd socket_;
  Mapping ring_memory_;
  Mapping arena_;
  RingConsumer ring_;
  std::uint32_t index_lag_;
  bool promiscuous_;
  LoanWords* words_;  // in the member's index page; null when retired
  std::uint32_t loans_ = 0;
  std::array<LoanSlot, kLendableSlots> slots_;
};

}  // namespace tideline::port::shm
