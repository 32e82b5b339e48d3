// SPDX-License-Identifier: Apache-2.0
// Memory of stream buffers: blocks of a power of two, kept for the next stream when one is gone,
// the last used first, for its lines are warm. malloc is called only where no block of the size is
// free. Thread: the engine's.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace tideline::api {

inline constexpr std::size_t kLeastBuffer = std::size_t{64} << 10;
inline constexpr std::size_t kLargestBuffer = std::size_t{64} << 20;

// What a stream gets that asks for `wanted` bytes.
std::size_t buffer_size(std::size_t wanted);

class BufferPool {
 public:
  // At most `limit` bytes.
  explicit BufferPool(std::size_t limit) : left_(limit) {}

  // `size` is one of buffer_size(). Empty: the limit is reached.
  std::span<std::byte> take(std::size_t size);
  void give(std::span<std::byte> buffer);

 private:
  static constexpr std::size_t kClasses = 11;  // 64 KiB .. 64 MiB

  static std::size_t class_of(std::size_t size);

  std::size_t left_;
  std::vector<std::unique_ptr<std::byte[]>> blocks_;
  std::array<std::vector<std::span<std::byte>>, kClasses> free_;
};

}  // namespace tideline::api
