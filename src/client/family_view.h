// SPDX-License-Identifier: Apache-2.0
// A family's memory as a process sees it: the pieces that are needed so far, mapped where there is
// room, for programs bound their address space. docs/queue-pair.md. Thread: any.
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
#include "queue/fifo_view.h"
#include "queue/socket_page.h"

namespace tideline::client {

class FamilyView final : public queue::FifoMemory {
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
  std::span<std::byte> ring(const queue::FifoPlace& place) override;

  void after_fork_in_child();

 private:
  // Of the pages, which few processes need many of; FIFOs are mapped in pieces of queue::kPiece.
  static constexpr std::size_t kPagesAtOnce = std::size_t{256} << 10;

  FamilyView(std::uint32_t number, UniqueFd memory, std::uint64_t size);

  using Piece = std::atomic<std::byte*>;

  std::byte* map(Piece& place, std::uint64_t offset, std::size_t size);

  const std::uint32_t number_;
  const UniqueFd memory_;
  const std::uint64_t size_;
  std::mutex mutex_;
  // Null: not mapped yet.
  std::vector<Piece> pages_;
  std::vector<Piece> pieces_;
};

}  // namespace tideline::client
