// SPDX-License-Identifier: Apache-2.0
// What a stream has received and its owner has not yet consumed, and what came behind a hole. It
// holds memory only where bytes are, and promises the peer more room as the owner's pace asks for
// it. Thread: the engine's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tcp/buffers.h"
#include "tcp/chunks.h"

namespace tideline::tcp {

class ReceiveQueue final : public ReceiveBuffer {
 public:
  static constexpr std::size_t kFirstWindow = std::size_t{256} << 10;

  explicit ReceiveQueue(ChunkPool& pool) : chunks_(pool, ChunkPool::Use::kReceive) {}

  // Begins anew; never promises more than `most` bytes at a time, and at least 64 KiB.
  void reset(std::size_t most);

  std::uint64_t published() const { return published_; }
  std::size_t readable() const { return static_cast<std::size_t>(published_ - consumed_); }
  // The first bytes, as many as lie in one piece; they stay until they are consumed.
  std::span<const std::byte> front() const;
  void consume(std::size_t size);  // at most readable()

  // put() in two steps: memory for `size` bytes at `offset`, or false; and the copy into it.
  bool reserve(std::uint64_t offset, std::size_t size);
  void place(std::uint64_t offset, const packet::Packet& payload);

  std::uint64_t limit() const override;
  std::uint64_t consumed() const override { return consumed_; }
  [[nodiscard]] bool put(std::uint64_t offset, packet::PacketPtr payload,
                         packet::PassCounter& passes) override;
  void publish(std::uint64_t end) override { published_ = end; }
  void want(std::uint64_t window) override;

 private:
  Chunks chunks_;
  std::uint64_t published_ = 0;
  std::uint64_t consumed_ = 0;
  std::uint64_t put_end_ = 0;  // of all that was put
  std::uint64_t window_ = 0;
  std::uint64_t most_ = 0;
  mutable std::uint64_t granted_ = 0;  // the highest limit() so far
};

}  // namespace tideline::tcp
