// SPDX-License-Identifier: Apache-2.0
// What each descriptor number of this process is. The byte table is what makes a passed-through
// call cheap: one load says "the kernel's". Any thread.
//
// A number is unknown until it is first used or made through an intercepted call; then the kernel
// is asked once (classify). Objects are pooled and never unmapped, so that a look-up may race with
// a close: it takes a reference and looks again.
#pragma once

#include <sys/single_threaded.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <new>
#include <utility>

namespace proofs::token {

enum class Kind : std::uint8_t {
  kUnknown = 0,
  kKernel,    // passes through
  kBound,     // a kernel socket that was bound to one of our addresses; word: the packed address
  kListener,  // a listener token; word: the packed address
  kStream,    // a connection token; word: Stream*
  kEpoll,     // an epoll instance that has watched a token; word: EpollSet*
  kInternal,  // the shim's own: the program cannot reach it
};

inline constexpr int kMaxFds = 65536;

struct FdTable {
  std::array<std::atomic<Kind>, kMaxFds> kinds;
  std::array<std::atomic<std::uint64_t>, kMaxFds> words;

  Kind kind(int fd) const {
    if (static_cast<unsigned>(fd) >= kMaxFds) return Kind::kKernel;
    return kinds[static_cast<unsigned>(fd)].load(std::memory_order_acquire);
  }
  std::uint64_t word(int fd) const {
    return words[static_cast<unsigned>(fd)].load(std::memory_order_acquire);
  }
  void set(int fd, Kind kind, std::uint64_t word = 0) {
    if (static_cast<unsigned>(fd) >= kMaxFds) return;
    words[static_cast<unsigned>(fd)].store(word, std::memory_order_release);
    kinds[static_cast<unsigned>(fd)].store(kind, std::memory_order_release);
  }
};

// DEVIATES: a global. A C ABI has no other place to keep what it knows about descriptors.
inline constinit FdTable fd_table{};

// Base of pooled objects: counts the descriptors and the calls under way. libc says whether the
// process has ever had a second thread; without one, calls need not be counted.
class Counted {
 public:
  void start() { references_.store(1, std::memory_order_release); }
  bool enter() {
    std::uint32_t seen = references_.load(std::memory_order_relaxed);
    do {
      if (seen == 0) return false;
    } while (!references_.compare_exchange_weak(seen, seen + 1));
    return true;
  }
  // True for the last.
  bool leave() { return references_.fetch_sub(1) == 1; }

 private:
  std::atomic<std::uint32_t> references_;
};

// Objects of one type, recycled for ever. T has `T* next_free` and `void release()`, called when
// the last reference has gone.
template <typename T>
class Pool {
 public:
  T* take() {
    const std::lock_guard guard(mutex_);
    if (free_ == nullptr) return new (std::nothrow) T();
    return std::exchange(free_, free_->next_free);
  }
  void give(T* object) {
    const std::lock_guard guard(mutex_);
    object->next_free = std::exchange(free_, object);
  }

 private:
  std::mutex mutex_;
  T* free_ = nullptr;
};

// A reference to what a descriptor is, held for one call.
template <typename T>
class Ref {
 public:
  Ref(int fd, Kind kind) {
    // NOLINTBEGIN(performance-no-int-to-ptr): a word is a pointer or an address, by kind
    auto* object = reinterpret_cast<T*>(fd_table.word(fd));
    if (object == nullptr) return;
    if (__libc_single_threaded) {
      object_ = object;
      return;
    }
    if (!object->enter()) return;
    object_ = object;
    counted_ = true;
    if (fd_table.kind(fd) != kind || reinterpret_cast<T*>(fd_table.word(fd)) != object) drop();
    // NOLINTEND(performance-no-int-to-ptr)
  }
  ~Ref() { drop(); }
  Ref(const Ref&) = delete;
  Ref& operator=(const Ref&) = delete;

  explicit operator bool() const { return object_ != nullptr; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }

 private:
  void drop() {
    if (counted_ && object_->leave()) object_->release();
    counted_ = false;
    object_ = nullptr;
  }

  T* object_ = nullptr;
  bool counted_ = false;
};

}  // namespace proofs::token
