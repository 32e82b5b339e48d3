// SPDX-License-Identifier: Apache-2.0
// Divides the memory that peers of a wire can read (port::Port::shared_memory) among send buffers
// and regions of the program. What does not fit lies in private memory and is copied to the wire.
// Thread: the engine's.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace tideline::api {

class SharedHeap {
 public:
  static constexpr std::size_t kGrain = std::size_t{64} << 10;

  SharedHeap() = default;
  explicit SharedHeap(std::span<std::byte> memory)
      : memory_(memory), taken_(memory.size() / kGrain), free_(taken_.size()) {}

  // Empty: there is no room in one piece.
  std::span<std::byte> take(std::size_t size);
  // False: it is not from here.
  bool give(std::span<std::byte> piece);

 private:
  std::span<std::byte> memory_;
  std::vector<bool> taken_;  // by grain
  std::size_t free_ = 0;
};

}  // namespace tideline::api
