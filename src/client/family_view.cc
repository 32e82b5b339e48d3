// SPDX-License-Identifier: Apache-2.0
#include "client/family_view.h"

#include <sys/mman.h>

#include <new>
#include <string>
#include <utility>

#include "queue/channel.h"

namespace tideline::client {

Result<std::unique_ptr<FamilyView>> FamilyView::open(std::uint32_t number, UniqueFd memory,
                                                     std::uint64_t size) {
  if (size < queue::kFifosBegin || size % queue::kPiece != 0) {
    return fail({.kind = ErrorKind::kPeer,
                 .what = "the front end offers " + std::to_string(size) + " bytes of memory"});
  }
  return std::unique_ptr<FamilyView>(new FamilyView(number, std::move(memory), size));
}

FamilyView::FamilyView(std::uint32_t number, UniqueFd memory, std::uint64_t size)
    : number_(number),
      memory_(std::move(memory)),
      size_(size),
      pages_(queue::kFifosBegin / kPagesAtOnce),
      pieces_(size / queue::kPiece) {}

FamilyView::~FamilyView() {
  for (std::byte* piece : pages_) {
    if (piece != nullptr) ::munmap(piece, kPagesAtOnce);
  }
  for (std::byte* piece : pieces_) {
    if (piece != nullptr) ::munmap(piece, queue::kPiece);
  }
}

std::byte* FamilyView::map(Piece& place, std::uint64_t offset, std::size_t size) {
  if (std::byte* known = place.load(std::memory_order_acquire)) return known;
  const std::scoped_lock lock(mutex_);
  if (std::byte* known = place.load(std::memory_order_relaxed)) return known;
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory_.get(),
                        static_cast<off_t>(offset));
  if (memory == MAP_FAILED) return nullptr;
  // It is the engine's business, and of no use in a core dump.
  ::madvise(memory, size, MADV_DONTDUMP);
  place.store(static_cast<std::byte*>(memory), std::memory_order_release);
  return static_cast<std::byte*>(memory);
}

std::span<std::byte> FamilyView::ring(const queue::FifoPlace& place) {
  const auto [offset, size] = place;
  if (size == 0 || offset < queue::kFifosBegin || offset > size_ || size > size_ - offset)
    return {};
  const std::uint64_t begin = offset % queue::kPiece;
  if (begin + size > queue::kPiece) return {};
  std::byte* piece = map(pieces_[offset / queue::kPiece], offset - begin, queue::kPiece);
  if (piece == nullptr) return {};
  return {piece + begin, size};
}

queue::SocketPage* FamilyView::page(std::uint32_t index) {
  if (index >= queue::kMostSockets) return nullptr;
  const std::uint64_t offset = std::uint64_t{index} * queue::kPageSize;
  const std::uint64_t begin = offset % kPagesAtOnce;
  std::byte* pages = map(pages_[offset / kPagesAtOnce], offset - begin, kPagesAtOnce);
  return pages == nullptr ? nullptr : reinterpret_cast<queue::SocketPage*>(pages + begin);
}

void FamilyView::after_fork_in_child() { new (&mutex_) std::mutex; }

}  // namespace tideline::client
