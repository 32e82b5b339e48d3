// SPDX-License-Identifier: Apache-2.0
#include "engine/family_memory.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

#include "base/bits.h"
#include "base/memfd.h"

namespace tideline::engine {
namespace {

constexpr std::size_t kMostQuota = std::size_t{1} << 40;

std::size_t order_of(std::size_t size) {
  return static_cast<std::size_t>(std::countr_zero(size / FamilyMemory::kLeastFifo));
}

}  // namespace

Result<std::shared_ptr<FamilyMemory>> FamilyMemory::create(const Options& options) {
  const std::size_t quota = std::clamp(options.most_memory, kLargestFifo, kMostQuota);
  const std::size_t fifos = align_up(quota, queue::kPiece);
  const std::size_t size = queue::kFifosBegin + fifos;
  auto fd = create_memfd("tideline-family", size, PageKind::kNormal);
  if (!fd) return fail(std::move(fd.error()));
  auto mapping = Mapping::map(fd->get(), size, Access::kReadWrite);
  if (!mapping) return fail(std::move(mapping.error()));
  if (Status s = seal_memfd(fd->get(), Sharing::kReadWrite); !s) return fail(std::move(s.error()));
  ::madvise(mapping->data(), size, MADV_DONTDUMP);
  return std::shared_ptr<FamilyMemory>(
      new FamilyMemory(options, std::move(*fd), std::move(*mapping)));
}

FamilyMemory::FamilyMemory(const Options& options, UniqueFd fd, Mapping mapping)
    : options_(options), fd_(std::move(fd)), mapping_(std::move(mapping)) {
  options_.most_sockets = std::min<std::size_t>(options.most_sockets, queue::kMostSockets - 1);
  const std::uint64_t units = (mapping_.size() - queue::kFifosBegin) / kLeastFifo;
  for (std::uint64_t at = 0; at < units; at += kLargestFifo / kLeastFifo) {
    free_.back().insert(free_.back().end(), at);
  }
}

std::uint32_t FamilyMemory::take_page() {
  if (pages_in_use_ == options_.most_sockets) return 0;
  std::uint32_t index = fresh_page_;
  if (free_pages_.empty()) {
    ++fresh_page_;
  } else {
    index = free_pages_.back();
    free_pages_.pop_back();
  }
  ++pages_in_use_;
  new (&page(index)) queue::SocketPage;
  return index;
}

void FamilyMemory::give_page(std::uint32_t index) {
  --pages_in_use_;
  free_pages_.push_back(index);
}

std::optional<FifoPlace> FamilyMemory::take_fifo(std::size_t wanted) {
  const std::size_t size = std::bit_ceil(std::clamp(wanted, kLeastFifo, kLargestFifo));
  if (fifo_bytes_ + size > std::max(options_.most_memory, kLeastFifo)) return std::nullopt;
  const std::size_t order = order_of(size);
  std::size_t from = order;
  while (from < kOrders && free_[from].empty()) ++from;
  if (from == kOrders) return std::nullopt;
  const std::uint64_t at = *free_[from].begin();
  free_[from].erase(free_[from].begin());
  // The halves that are not needed.
  for (; from > order; --from) free_[from - 1].insert(at + (std::uint64_t{1} << (from - 1)));
  fifo_bytes_ += size;
  return FifoPlace{.offset = queue::kFifosBegin + at * kLeastFifo,
                   .size = static_cast<std::uint32_t>(size)};
}

void FamilyMemory::give_fifo(const FifoPlace& place) {
  if (place.size == 0) return;
  fifo_bytes_ -= place.size;
  if (place.offset + place.size > queue::kFifosBegin + kKept) {
    // Without it the pages stay, and are used again: no harm.
    [[maybe_unused]] const int punched =
        ::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    static_cast<off_t>(place.offset), place.size);
  }
  std::uint64_t at = (place.offset - queue::kFifosBegin) / kLeastFifo;
  std::size_t order = order_of(place.size);
  for (; order + 1 < kOrders; ++order) {
    const auto buddy = free_[order].find(at ^ (std::uint64_t{1} << order));
    if (buddy == free_[order].end()) break;
    at &= ~(std::uint64_t{1} << order);
    free_[order].erase(buddy);
  }
  free_[order].insert(at);
}

}  // namespace tideline::engine
