// SPDX-License-Identifier: Apache-2.0
// What each descriptor number of this process is. The byte table is what makes a passed-through
// call cheap: one load says "the kernel's". Thread: any.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <new>
#include <utility>

namespace tideline::shim::sockets {

enum class Kind : std::uint8_t {
  kKernel = 0,  // passes through
  kSocket,      // File*
  kEpoll,       // EpollSet*: an instance that has watched a socket
};

inline constexpr int kMaxFds = 65536;

struct FdTable {
  std::array<std::atomic<Kind>, kMaxFds> kinds;
  std::array<std::atomic<void*>, kMaxFds> objects;

  static bool holds(int fd) { return static_cast<unsigned>(fd) < kMaxFds; }
  Kind kind(int fd) const {
    return holds(fd) ? kinds[static_cast<unsigned>(fd)].load(std::memory_order_acquire)
                     : Kind::kKernel;
  }
  void* object(int fd) const {
    return objects[static_cast<unsigned>(fd)].load(std::memory_order_acquire);
  }
  void set(int fd, Kind kind, void* object) {
    objects[static_cast<unsigned>(fd)].store(object, std::memory_order_release);
    kinds[static_cast<unsigned>(fd)].store(kind, std::memory_order_release);
  }
  // Whoever gets an object back has taken it out, alone.
  void* clear(int fd) {
    kinds[static_cast<unsigned>(fd)].store(Kind::kKernel, std::memory_order_release);
    return objects[static_cast<unsigned>(fd)].exchange(nullptr, std::memory_order_acq_rel);
  }
};

// DEVIATES: a global. A C ABI has no other place to keep what it knows about descriptors.
inline constinit FdTable fd_table{};

inline bool passes_through(int fd) { return fd_table.kind(fd) == Kind::kKernel; }

// Base of pooled objects: counts descriptors and calls under way.
class Counted {
 public:
  void start() { references_.store(1, std::memory_order_release); }
  // False if it is gone.
  bool enter() {
    std::uint32_t seen = references_.load(std::memory_order_relaxed);
    do {
      if (seen == 0) return false;
    } while (!references_.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel));
    return true;
  }
  // True for the last.
  bool leave() { return references_.fetch_sub(1, std::memory_order_acq_rel) == 1; }

 private:
  std::atomic<std::uint32_t> references_{0};
};

// Objects of one type, used again for ever. T has `T* next_free`.
template <typename T>
class Pool {
 public:
  T* take() {
    const std::scoped_lock lock(mutex_);
    if (free_ == nullptr) return new (std::nothrow) T();
    return std::exchange(free_, free_->next_free);
  }
  void give(T* object) {
    const std::scoped_lock lock(mutex_);
    object->next_free = std::exchange(free_, object);
  }
  // In a forked child, whose parent's other threads may have held it.
  void unlock_after_fork() { new (&mutex_) std::mutex; }

 private:
  std::mutex mutex_;
  T* free_ = nullptr;
};

// A reference to what a descriptor is, held for one call. T has `release()` for the last.
template <typename T, Kind kKind>
class Ref {
 public:
  explicit Ref(int fd) {
    if (fd_table.kind(fd) != kKind) return;
    auto* object = static_cast<T*>(fd_table.object(fd));
    if (object == nullptr || !object->enter()) return;
    object_ = object;
    // It may have been closed, and used again, in between.
    if (fd_table.kind(fd) != kKind || fd_table.object(fd) != object) drop();
  }
  ~Ref() { drop(); }
  Ref(const Ref&) = delete;
  Ref& operator=(const Ref&) = delete;

  explicit operator bool() const { return object_ != nullptr; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }

 private:
  void drop() {
    if (object_ != nullptr && object_->leave()) object_->release();
    object_ = nullptr;
  }

  T* object_ = nullptr;
};

}  // namespace tideline::shim::sockets
