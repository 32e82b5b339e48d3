// SPDX-License-Identifier: Apache-2.0
#include "api/buffers.h"

#include <algorithm>
#include <bit>

namespace tideline::api {

std::size_t buffer_size(std::size_t wanted) {
  return std::bit_ceil(std::clamp(wanted, kLeastBuffer, kLargestBuffer));
}

std::size_t BufferPool::class_of(std::size_t size) {
  return static_cast<std::size_t>(std::countr_zero(size) - std::countr_zero(kLeastBuffer));
}

std::span<std::byte> BufferPool::take(std::size_t size) {
  auto& free = free_[class_of(size)];
  if (!free.empty()) {
    const std::span<std::byte> buffer = free.back();
    free.pop_back();
    return buffer;
  }
  if (size > left_) return {};
  left_ -= size;
  blocks_.push_back(std::make_unique_for_overwrite<std::byte[]>(size));
  return {blocks_.back().get(), size};
}

void BufferPool::give(std::span<std::byte> buffer) {
  if (!buffer.empty()) free_[class_of(buffer.size())].push_back(buffer);
}

}  // namespace tideline::api
