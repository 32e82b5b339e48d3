// SPDX-License-Identifier: Apache-2.0
// The memory of one family of processes: pages and FIFOs of their sockets. docs/queue-pair.md,
// "Three things". A sparse memfd that the programs map too; what is in use, and where, is known
// here alone. It lives as long as a channel or a socket of the family does.
//
// FIFOs come from a buddy allocator, lowest address first, so that what is in use lies close
// together. Of what is given back, the lowest bytes stay for the next; the kernel gets the rest.
//
// Thread: the worker's.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/mapping.h"
#include "queue/channel.h"
#include "queue/fifo_places.h"
#include "queue/socket_page.h"

namespace tideline::engine {

using queue::FifoPlace;

class FamilyMemory {
 public:
  static constexpr std::size_t kLeastFifo = std::size_t{16} << 10;
  static constexpr std::size_t kLargestFifo = std::size_t{16} << 20;
  // So many bytes of FIFOs, from the first on, stay when they are given back.
  static constexpr std::size_t kKept = std::size_t{8} << 20;

  struct Options {
    std::uint32_t number = 0;
    uid_t user = 0;
    std::size_t most_sockets = queue::kMostSockets;
    std::size_t most_memory = 0;  // bytes of FIFOs
  };
  static Result<std::shared_ptr<FamilyMemory>> create(const Options& options);
  FamilyMemory(const FamilyMemory&) = delete;
  FamilyMemory& operator=(const FamilyMemory&) = delete;

  std::uint32_t number() const { return options_.number; }
  uid_t user() const { return options_.user; }
  int fd() const { return fd_.get(); }
  std::uint64_t size() const { return mapping_.size(); }

  // A page of zeros, its index; 0: so many are in use.
  std::uint32_t take_page();
  void give_page(std::uint32_t index);
  queue::SocketPage& page(std::uint32_t index) const {
    return *mapping_.at<queue::SocketPage>(index * queue::kPageSize);
  }

  // At least `wanted` bytes, within the limits of a FIFO. Nothing: the quota, or the memory between
  // others, does not suffice.
  std::optional<FifoPlace> take_fifo(std::size_t wanted);
  void give_fifo(const FifoPlace& place);
  std::span<std::byte> bytes(const FifoPlace& place) const {
    return mapping_.bytes().subspan(place.offset, place.size);
  }

  std::size_t pages_in_use() const { return pages_in_use_; }
  std::size_t fifo_bytes() const { return fifo_bytes_; }
  // So much of the quota is in use that what is left is for those who have nothing yet.
  bool is_short() const { return fifo_bytes_ >= options_.most_memory / 4 * 3; }

 private:
  static constexpr std::size_t kOrders = 11;  // 16 KiB .. 16 MiB
  static_assert(kLeastFifo << (kOrders - 1) == kLargestFifo);

  FamilyMemory(const Options& options, UniqueFd fd, Mapping mapping);

  Options options_;
  UniqueFd fd_;
  Mapping mapping_;
  std::vector<std::uint32_t> free_pages_;  // given back
  std::uint32_t fresh_page_ = 1;           // this and those behind were never used
  std::size_t pages_in_use_ = 0;
  std::size_t fifo_bytes_ = 0;
  // By order: offsets behind kFifosBegin, in units of the least FIFO.
  std::array<std::set<std::uint64_t>, kOrders> free_;
};

}  // namespace tideline::engine
