// SPDX-License-Identifier: Apache-2.0
#include "shm/naive.h"

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <mutex>
#include <vector>

#include "base/bits.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/mapping.h"
#include "common/process.h"

namespace bench::shm {
namespace {

using tideline::Duration;

constexpr std::size_t kSlots = 256;
constexpr int kBatch = 64;  // frames between two looks at the clock

// A bounded deque of frames, its lock shared between processes.
struct Queue {
  pthread_mutex_t mutex;
  std::uint64_t head;
  std::uint64_t tail;
  std::atomic<bool> stop;

  void lock() { pthread_mutex_lock(&mutex); }
  void unlock() { pthread_mutex_unlock(&mutex); }
};

class LockedQueue {
 public:
  explicit LockedQueue(std::size_t length)
      : length_(length),
        memory_(*tideline::Mapping::anonymous_shared(
            tideline::align_up(tideline::kPageSize + kSlots * length, tideline::kPageSize))),
        queue_(new(memory_.data()) Queue{}) {
    pthread_mutexattr_t attributes{};
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    CHECK(pthread_mutex_init(&queue_->mutex, &attributes) == 0);
  }

  bool push(const std::byte* frame) {
    const std::lock_guard guard(*queue_);
    if (queue_->tail - queue_->head == kSlots) return false;
    std::memcpy(slot(queue_->tail), frame, length_);
    ++queue_->tail;
    return true;
  }
  bool pop(std::byte* frame) {
    const std::lock_guard guard(*queue_);
    if (queue_->tail == queue_->head) return false;
    std::memcpy(frame, slot(queue_->head), length_);
    ++queue_->head;
    return true;
  }
  std::atomic<bool>& stop() { return queue_->stop; }

 private:
  std::byte* slot(std::uint64_t position) {
    return memory_.data() + tideline::kPageSize + position % kSlots * length_;
  }

  std::size_t length_;
  tideline::Mapping memory_;
  Queue* queue_;
};

}  // namespace

double locked_queue_rate(std::size_t length, Duration duration) {
  LockedQueue queue(length);
  Child producer = Child::run([&] {
    pin_to_core(0);
    const std::vector<std::byte> frame(length, std::byte{1});
    while (!queue.stop().load(std::memory_order_relaxed)) {
      if (!queue.push(frame.data())) tideline::cpu_relax();
    }
    return 0;
  });
  pin_to_core(1);
  std::vector<std::byte> frame(length);
  const auto pop_until = [&](std::uint64_t deadline) {
    std::uint64_t frames = 0;
    while (tideline::tsc_now() < deadline) {
      for (int i = 0; i < kBatch; ++i) frames += queue.pop(frame.data()) ? 1 : 0;
    }
    return frames;
  };
  const std::uint64_t ticks = tideline::tsc_ticks(duration);
  pop_until(tideline::tsc_now() + ticks / 4);
  const std::uint64_t start = tideline::tsc_now();
  const std::uint64_t frames = pop_until(start + ticks);
  const double seconds = static_cast<double>(tideline::tsc_now() - start) / tideline::tsc_hz();
  queue.stop() = true;
  unpin();
  CHECK(producer.succeeded());
  return static_cast<double>(frames) / seconds;
}

LatencySamples socketpair_round_trips(std::size_t length, std::uint64_t count, Duration at_most) {
  std::array<int, 2> ends{};
  CHECK(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
  tideline::UniqueFd near(ends[0]);
  tideline::UniqueFd far(ends[1]);
  Child echo = Child::run([&] {
    pin_to_core(1);
    near.reset();
    std::vector<std::byte> frame(length);
    for (;;) {
      const ssize_t size = ::recv(far.get(), frame.data(), frame.size(), MSG_DONTWAIT);
      if (size == 0) return 0;
      if (size > 0) ::send(far.get(), frame.data(), static_cast<std::size_t>(size), MSG_NOSIGNAL);
    }
  });
  far.reset();
  pin_to_core(0);
  std::vector<std::byte> frame(length);
  LatencySamples samples(count);
  const std::uint64_t deadline = tideline::tsc_now() + tideline::tsc_ticks(at_most);
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t start = tideline::tsc_now();
    if (start > deadline) break;
    CHECK(::send(near.get(), frame.data(), length, MSG_NOSIGNAL) > 0);
    while (::recv(near.get(), frame.data(), length, MSG_DONTWAIT) < 0) {
    }
    samples.add_ticks(tideline::tsc_now() - start);
  }
  near.reset();
  unpin();
  CHECK(echo.succeeded());
  return samples;
}

}  // namespace bench::shm
