// SPDX-License-Identifier: Apache-2.0
#include "queue/fifo_view.h"

#include <algorithm>
#include <cstring>

namespace tideline::queue {

std::size_t FifoView::size() const {
  return FifoPlace::of(places_.rings[places_.newest()].place.load(std::memory_order_relaxed)).size;
}

bool FifoView::is_mapped() const {
  const auto& newest = places_.rings[places_.newest()];
  return !memory_.ring(FifoPlace::of(newest.place.load(std::memory_order_relaxed))).empty();
}

// The engine's index first: what it makes possible is shown before it.
std::size_t FifoView::writable() const {
  const std::uint64_t consumed = indices_.consumed.load(std::memory_order_acquire);
  const FifoPlaces::Ring& newest = places_.rings[places_.newest()];
  const std::uint64_t from = newest.from.load(std::memory_order_relaxed);
  if (from == FifoPlaces::kUnused) return 0;
  const std::uint64_t limit =
      std::max(from, consumed) + FifoPlace::of(newest.place.load(std::memory_order_relaxed)).size;
  return limit - std::min(limit, written());
}

std::size_t FifoView::readable() const {
  const std::uint64_t written = indices_.written.load(std::memory_order_acquire);
  return written - std::min(written, consumed());
}

std::span<std::byte> FifoView::piece(std::uint64_t offset, std::size_t most) const {
  const unsigned newest = places_.newest();
  const std::uint64_t from = places_.rings[newest].from.load(std::memory_order_relaxed);
  const unsigned ring = offset >= from ? newest : newest ^ 1;
  if (ring != newest) most = std::min<std::uint64_t>(most, from - offset);
  const std::span<std::byte> memory =
      memory_.ring(FifoPlace::of(places_.rings[ring].place.load(std::memory_order_relaxed)));
  if (memory.empty()) return {};
  const std::size_t begin = offset & (memory.size() - 1);
  return memory.subspan(begin, std::min(most, memory.size() - begin));
}

std::size_t FifoView::copy_in(std::uint64_t offset, std::span<const std::byte> from) const {
  std::size_t done = 0;
  while (done < from.size()) {
    const auto to = piece(offset + done, from.size() - done);
    if (to.empty()) break;
    std::memcpy(to.data(), from.data() + done, to.size());
    done += to.size();
  }
  return done;
}

std::size_t FifoView::copy_out(std::uint64_t offset, std::span<std::byte> to) const {
  std::size_t done = 0;
  while (done < to.size()) {
    const auto from = piece(offset + done, to.size() - done);
    if (from.empty()) break;
    std::memcpy(to.data() + done, from.data(), from.size());
    done += from.size();
  }
  return done;
}

std::size_t FifoView::write(std::span<const std::byte> from) {
  const std::uint64_t at = written();
  const std::size_t done = copy_in(at, from.first(std::min(from.size(), writable())));
  set_written(at + done);
  return done;
}

std::size_t FifoView::read(std::span<std::byte> to) {
  const std::uint64_t at = consumed();
  const std::size_t done = copy_out(at, to.first(std::min(to.size(), readable())));
  set_consumed(at + done);
  return done;
}

}  // namespace tideline::queue
