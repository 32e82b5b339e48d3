// SPDX-License-Identifier: Apache-2.0
// A fixed number of objects of one kind. The address space is taken at construction, pages when an
// object is first used; freed objects are used again first. Objects do not move. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

#include "base/check.h"

namespace tideline::tcp {

template <typename T>
class Slab {
 public:
  static_assert(std::is_trivially_destructible_v<T>, "objects that remain are not destroyed");

  explicit Slab(std::size_t capacity)
      : capacity_(capacity), memory_(std::allocator<T>().allocate(capacity)) {
    free_.reserve(capacity);
  }
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;
  ~Slab() { std::allocator<T>().deallocate(memory_, capacity_); }

  std::size_t size() const { return used_ - free_.size(); }
  std::size_t capacity() const { return capacity_; }

  // Value-initialised; null if all are in use.
  T* take() {
    std::uint32_t index = 0;
    if (!free_.empty()) {
      index = free_.back();
      free_.pop_back();
    } else if (used_ < capacity_) {
      index = used_++;
    } else {
      return nullptr;
    }
    return std::construct_at(memory_ + index);
  }
  void give(T* object) { free_.push_back(index_of(*object)); }

  std::uint32_t index_of(const T& object) const {
    return static_cast<std::uint32_t>(&object - memory_);
  }
  // Whether `index` was ever taken; at(index) is readable then, also after it was given back.
  bool was_used(std::uint32_t index) const { return index < used_; }
  T& at(std::uint32_t index) { return memory_[index]; }
  const T& at(std::uint32_t index) const { return memory_[index]; }

 private:
  std::size_t capacity_;
  T* memory_;
  std::uint32_t used_ = 0;  // the first that were ever taken
  std::vector<std::uint32_t> free_;
};

}  // namespace tideline::tcp
