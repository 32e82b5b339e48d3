// SPDX-License-Identifier: Apache-2.0
// What a stream has yet to send: bytes that were copied into its buffer, and pieces of the
// program's memory that it was lent, in the order of the stream. TCP reads it by offset
// (tcp/buffers.h).
//
//   stream   0 .. released_ ........................... end_
//                 | copied | lent | copied | lent |  copied |
//   pieces_       |--------|------|--------|------|           while anything is on loan
//   chunks_       ^ the copied bytes only, at `offset - lent before it`
//
// Thread: the engine's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tcp/buffers.h"
#include "tcp/chunks.h"

namespace tideline::api {

class SendQueue final : public tcp::SendBuffer {
 public:
  static constexpr std::size_t kMostLoans = 256;

  // What it holds before TCP asks for more, and at least of `most`.
  static constexpr std::size_t kFirstLimit = std::size_t{512} << 10;
  static constexpr std::size_t kLeastLimit = std::size_t{64} << 10;

  explicit SendQueue(tcp::ChunkPool& pool) : chunks_(pool, tcp::ChunkPool::Use::kSend) {}

  // Starts anew; holds `most` bytes at most.
  void reset(std::size_t most);

  // How many bytes can be copied in now, if there is memory.
  std::size_t room() const {
    const std::uint64_t held = copied_ - freed_;
    return held < limit_ ? static_cast<std::size_t>(limit_ - held) : 0;
  }
  // The first piece of that room. Empty although there is room: memory lacks.
  std::span<std::byte> space();
  // Memory lacks, and nothing that could be acknowledged will give any back.
  bool is_starved() const { return room() > 0 && chunks_.held() == 0; }
  // So many bytes, at most space(), were put there.
  void wrote(std::size_t size);
  // `memory` stays as it is until released(). False: too much is on loan, in pieces or in bytes: as
  // many as may be copied; the last piece may exceed that.
  bool lend(std::span<const std::byte> memory);

  std::uint64_t released() const { return released_; }
  bool has_loans() const { return loans_ > 0; }

  std::uint64_t end() const override { return end_; }
  std::span<const std::byte> at(std::uint64_t offset, std::size_t most) const override;
  void release(std::uint64_t offset) override;
  void want(std::uint64_t bytes) override;

 private:
  // Of the stream. `memory` is null where the bytes were copied.
  struct Piece {
    std::uint64_t begin;
    std::uint64_t end;
    const std::byte* memory;
    std::uint64_t lent_before;
  };

  const Piece& piece(std::size_t index) const { return pieces_[(first_ + index) % pieces_.size()]; }
  void add(const Piece& piece);
  // The copied bytes from number `copied` on.
  std::span<std::byte> copies(std::uint64_t copied, std::size_t most) const;

  tcp::Chunks chunks_;
  std::uint64_t limit_ = 0;
  std::uint64_t most_ = 0;
  bool is_offered_ = false;  // space() is being filled
  std::uint64_t end_ = 0;
  std::uint64_t released_ = 0;
  std::uint64_t copied_ = 0;  // bytes ever copied in
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
