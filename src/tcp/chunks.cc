// SPDX-License-Identifier: Apache-2.0
#include "tcp/chunks.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.h"

namespace tideline::tcp {
namespace {

constexpr std::size_t kLeastSlots = 4;

std::span<std::byte> rest_of(std::byte* chunk, std::uint64_t offset) {
  return std::span(chunk, ChunkPool::kChunk).subspan(offset % ChunkPool::kChunk);
}

}  // namespace

std::span<std::byte> Chunks::at(std::uint64_t offset) const {
  const std::uint64_t number = offset / ChunkPool::kChunk;
  if (number - first_ >= slots_.size()) return {};
  std::byte* chunk = slots_[slot_of(number)];
  if (chunk == nullptr) return {};
  return rest_of(chunk, offset);
}

std::span<std::byte> Chunks::make(std::uint64_t offset) {
  const std::uint64_t number = offset / ChunkPool::kChunk;
  CHECK(number >= first_, "chunk {} is before {}", number, first_);
  if (number - first_ >= slots_.size()) make_slots(number);
  std::byte*& chunk = slots_[slot_of(number)];
  if (chunk == nullptr) {
    // By its place: what lies behind a hole must not keep the hole from being filled.
    chunk = pool_.take(use_, std::min(held_, static_cast<std::size_t>(number - first_)));
    if (chunk == nullptr) return {};
    ++held_;
  }
  return rest_of(chunk, offset);
}

void Chunks::make_slots(std::uint64_t number) {
  const auto wanted = static_cast<std::size_t>(number - first_ + 1);
  std::vector<std::byte*> wider(std::bit_ceil(std::max(wanted, kLeastSlots)));
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const std::uint64_t each = first_ + i;
    wider[each & (wider.size() - 1)] = slots_[slot_of(each)];
  }
  slots_ = std::move(wider);
}

void Chunks::give(std::uint64_t number) {
  std::byte*& chunk = slots_[slot_of(number)];
  if (chunk == nullptr) return;
  pool_.give(std::exchange(chunk, nullptr));
  --held_;
}

void Chunks::drop_before(std::uint64_t offset) {
  const std::uint64_t number = offset / ChunkPool::kChunk;
  if (number <= first_) return;
  if (number - first_ >= slots_.size()) {
    clear();
  } else {
    for (std::uint64_t each = first_; each < number; ++each) give(each);
  }
  first_ = number;
}

void Chunks::clear() {
  for (std::uint64_t each = first_; held_ > 0; ++each) give(each);
}

void Chunks::reset() {
  clear();
  first_ = 0;
}

}  // namespace tideline::tcp
