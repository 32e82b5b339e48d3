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
  void* base = ::mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) {
    return fail_errno("cannot reserve addresses for sockets", "raise the limit (ulimit -v)");
  }
  return std::unique_ptr<FamilyView>(
      new FamilyView(number, std::move(memory), static_cast<std::byte*>(base), size));
}

FamilyView::FamilyView(std::uint32_t number, UniqueFd memory, std::byte* base, std::uint64_t size)
    : number_(number),
      memory_(std::move(memory)),
      base_(base),
      size_(size),
      mapped_(size / queue::kPiece) {}

FamilyView::~FamilyView() { ::munmap(base_, size_); }

bool FamilyView::map_piece(std::size_t piece) {
  const std::scoped_lock lock(mutex_);
  if (mapped_[piece]) return true;
  const std::size_t at = piece * queue::kPiece;
  if (::mmap(base_ + at, queue::kPiece, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
             memory_.get(), static_cast<off_t>(at)) == MAP_FAILED) {
    return false;
  }
  // Other programs' data is none of a core dump's.
  ::madvise(base_ + at, queue::kPiece, MADV_DONTDUMP);
  mapped_[piece] = true;
  return true;
}

std::span<std::byte> FamilyView::bytes(std::uint64_t offset, std::size_t size) {
  if (size == 0 || size > size_ || offset > size_ - size) return {};
  const std::size_t last = (offset + size - 1) / queue::kPiece;
  for (std::size_t piece = offset / queue::kPiece; piece <= last; ++piece) {
    if (!map_piece(piece)) return {};
  }
  return {base_ + offset, size};
}

queue::SocketPage* FamilyView::page(std::uint32_t index) {
  if (index >= queue::kMostSockets) return nullptr;
  const auto found = bytes(std::uint64_t{index} * queue::kPageSize, queue::kPageSize);
  return found.empty() ? nullptr : reinterpret_cast<queue::SocketPage*>(found.data());
}

void FamilyView::after_fork_in_child() { new (&mutex_) std::mutex; }

}  // namespace tideline::client
