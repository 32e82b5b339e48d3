// SPDX-License-Identifier: Apache-2.0
// A family's memory as a process sees it: address space for all of it, and mappings of the pieces
// that are needed so far. docs/queue-pair.md. Thread: any.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "queue/socket_page.h"

namespace tideline::client {

class FamilyView {
 public:
  // Of `size` bytes, as the engine says.
  static Result<std::unique_ptr<FamilyView>> open(std::uint32_t number, UniqueFd memory,
                                                  std::uint64_t size);
  FamilyView(const FamilyView&) = delete;
  FamilyView& operator=(const FamilyView&) = delete;
  ~FamilyView();

  std::uint32_t number() const { return number_; }
  // Null: it is not within, or there is no memory.
  queue::SocketPage* page(std::uint32_t index);
  // Empty: it is not within, or there is no memory.
  std::span<std::byte> bytes(std::uint64_t offset, std::size_t size);

  void after_fork_in_child();

 private:
  FamilyView(std::uint32_t number, UniqueFd memory, std::byte* base, std::uint64_t size);

  bool map_piece(std::size_t piece);

  const std::uint32_t number_;
  const UniqueFd memory_;
  std::byte* const base_;
  const std::uint64_t size_;
  std::mutex mutex_;
  std::vector<bool> mapped_;  // by piece
};

}  // namespace tideline::client
