// SPDX-License-Identifier: Apache-2.0
// The memory of a program behind a queue pair, as RDMA touches it. Two ways, by the address:
//
//   its heap       memory that the engine has made and the program maps: a plain copy
//   anywhere else  by /proc/PID/mem, which the program has opened for us. That is its memory and
//                  no other's, whoever has the number next, and nothing after exec(). Only of a
//                  program of our own user: behind its pages may be what makes us wait (a file of
//                  FUSE), and he may end us anyway
//
// What cannot be reached is a false, never a signal: the thread has its fault signals unblocked and
// the handlers of base/fault_handler.h installed. Thread: the worker's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/fd.h"
#include "base/mapping.h"
#include "rdma/memory_access.h"

namespace tideline::engine {

class ClientMemory final : public rdma::MemoryAccess {
 public:
  // What the program has sent as its memory; false: it is something else.
  static bool is_memory(int fd);
  void set_memory(UniqueFd fd) { memory_fd_ = std::move(fd); }
  bool has_memory() const { return static_cast<bool>(memory_fd_); }
  // For who closes it.
  UniqueFd take_memory() { return std::move(memory_fd_); }

  // Makes the heap, once. Its descriptor, which stays ours.
  Result<int> make_heap(std::size_t size);
  std::size_t heap_size() const { return heap_.size(); }
  // Where the program has mapped it.
  void set_heap_address(std::uint64_t address) { heap_address_ = address; }

  // Whether the rest is in reach: the program has said that `word` lies at `address`.
  bool probe(std::uint64_t address, std::uint64_t word);
  // Whether any of it can be.
  bool is_reachable(std::uint64_t address, std::uint64_t length) const {
    return reachable_ || in_heap(address, length) != nullptr;
  }

  // rdma::MemoryAccess. Atomics outside the heap are so among this engine's alone.
  bool load(std::uint64_t address, std::span<std::byte> to) override;
  bool store(std::uint64_t address, std::span<const std::byte> from) override;
  std::optional<std::uint64_t> compare_swap(std::uint64_t address, std::uint64_t compare,
                                            std::uint64_t swap) override;
  std::optional<std::uint64_t> fetch_add(std::uint64_t address, std::uint64_t add) override;

 private:
  // Null: it does not lie there as a whole.
  std::byte* in_heap(std::uint64_t address, std::uint64_t length) const {
    const std::uint64_t offset = address - heap_address_;
    const bool within = offset < heap_.size() && length <= heap_.size() - offset;
    return within ? heap_.data() + offset : nullptr;
  }
  bool read_process(std::uint64_t address, std::span<std::byte> to) const;
  bool write_process(std::uint64_t address, std::span<const std::byte> from) const;

  UniqueFd memory_fd_;
  bool reachable_ = false;
  UniqueFd heap_fd_;
  Mapping heap_;
  std::uint64_t heap_address_ = 0;
};

}  // namespace tideline::engine
