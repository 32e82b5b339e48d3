// SPDX-License-Identifier: Apache-2.0
// A FIFO as a program sees it: the rings that it has now, and the indices. It is made for one look
// and keeps nothing, for the engine may move the FIFO at any moment, and other processes may be at
// it. docs/queue-pair.md, "Data".
//
// Thread: any; whoever moves bytes holds the socket's lock `sending` or `receiving`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "queue/fifo_places.h"
#include "ring/byte_fifo.h"

namespace tideline::queue {

// A family's memory, mapped where its owner has it.
class FifoMemory {
 public:
  // Empty: it is not within, or cannot be mapped.
  virtual std::span<std::byte> ring(const FifoPlace& place) = 0;

 protected:
  ~FifoMemory() = default;
};

class FifoView {
 public:
  FifoView(FifoMemory& memory, const FifoPlaces& places, ring::FifoIndices& indices)
      : memory_(memory), places_(places), indices_(indices) {}

  // Of the ring that began last; 0: there is none.
  std::size_t size() const;
  bool is_mapped() const;

  // Writer.
  std::uint64_t written() const { return indices_.written.load(std::memory_order_relaxed); }
  std::size_t writable() const;
  // As much of that as the reader wants.
  std::size_t wanted() const { return indices_.wanted_of(writable()); }
  bool is_hungry() const { return indices_.is_hungry(); }
  void set_written(std::uint64_t end) { indices_.written.store(end, std::memory_order_release); }
  // Reader.
  std::uint64_t consumed() const { return indices_.consumed.load(std::memory_order_relaxed); }
  std::size_t readable() const;
  void set_consumed(std::uint64_t end) { indices_.consumed.store(end, std::memory_order_release); }

  // The bytes from `offset` on, as many as lie in one piece but at most `most`. Empty: they cannot
  // be mapped.
  std::span<std::byte> piece(std::uint64_t offset, std::size_t most) const;
  // As many bytes as can be mapped. The indices stay.
  std::size_t copy_in(std::uint64_t offset, std::span<const std::byte> from) const;
  std::size_t copy_out(std::uint64_t offset, std::span<std::byte> to) const;

  // Whole: copies, then moves the index. How many bytes fitted, or there were.
  std::size_t write(std::span<const std::byte> from);
  std::size_t read(std::span<std::byte> to);

 private:
  FifoMemory& memory_;
  const FifoPlaces& places_;
  ring::FifoIndices& indices_;
};

}  // namespace tideline::queue
