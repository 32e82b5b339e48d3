// SPDX-License-Identifier: Apache-2.0
// What a stream has yet to send: bytes that were copied into its buffer, and pieces of the
// program's memory that it was lent, in the order of the stream. TCP reads it by offset
// (tcp/buffers.h).
//
//   stream   0 .. released_ ........................... end_
//                 | copied | lent | copied | lent |  copied |
//   pieces_       |--------|------|--------|------|           while anything is on loan
//   memory_       ^ ring of the copied bytes only, at `offset - lent before it`
//
// Thread: the engine's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tcp/buffers.h"

namespace tideline::api {

class SendQueue final : public tcp::SendBuffer {
 public:
  static constexpr std::size_t kMostLoans = 256;

  // Starts anew. The size is a power of two.
  void reset(std::span<std::byte> memory);
  std::span<std::byte> memory() const { return memory_; }

  // How many bytes can be copied in now, and the first piece of that room.
  std::size_t room() const { return memory_.size() - static_cast<std::size_t>(copied_ - freed_); }
  std::span<std::byte> space() const;
  // So many bytes, at most space(), were put there.
  void wrote(std::size_t size);
  // `memory` stays as it is until released(). False: too much is on loan, in pieces or in bytes: as
  // many as the ring holds; the last piece may exceed that.
  bool lend(std::span<const std::byte> memory);

  std::uint64_t released() const { return released_; }
  bool has_loans() const { return loans_ > 0; }

  std::uint64_t end() const override { return end_; }
  std::span<const std::byte> at(std::uint64_t offset, std::size_t most) const override;
  void release(std::uint64_t offset) override;

 private:
  // Of the stream. `memory` is null where the bytes lie in the ring.
  struct Piece {
    std::uint64_t begin;
    std::uint64_t end;
    const std::byte* memory;
    std::uint64_t lent_before;
  };

  const Piece& piece(std::size_t index) const { return pieces_[(first_ + index) % pieces_.size()]; }
  void add(const Piece& piece);
  // The ring's part from the byte number `copied` on.
  std::span<std::byte> ring(std::uint64_t copied, std::size_t most) const;

  std::span<std::byte> memory_;
  std::uint64_t end_ = 0;
  std::uint64_t released_ = 0;
  std::uint64_t copied_ = 0;  // bytes ever put into the ring
  std::uint64_t freed_ = 0;   // of these, given back
  std::uint64_t lent_ = 0;    // bytes ever lent
  // A ring, made at the first loan.
  std::vector<Piece> pieces_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  std::size_t loans_ = 0;
  std::uint64_t on_loan_ = 0;  // bytes
};

}  // namespace tideline::api
