// SPDX-License-Identifier: Apache-2.0
// A thread for what a file's disk makes wait, so that the engine goes on meanwhile: pieces go in,
// and come out done, in the same order. Thread: the engine's, but for the work itself.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/error.h"

namespace tideline::app::copy {

// A window, and how much of it is the file's.
struct Piece {
  std::uint32_t window = 0;
  std::uint32_t length = 0;
};

class Disk {
 public:
  using Work = std::function<Result<Piece>(Piece)>;

  // `work` is called on the thread, and `tell` after each piece.
  Disk(Work work, std::function<void()> tell)
      : work_(std::move(work)), tell_(std::move(tell)), thread_([this] { run(); }) {}
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;
  // Waits for the piece that is being worked on; the others are forgotten.
  ~Disk() {
    {
      const std::scoped_lock lock(mutex_);
      stop_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  void give(Piece piece) {
    {
      const std::scoped_lock lock(mutex_);
      todo_.push_back(piece);
    }
    wake_.notify_one();
  }
  std::optional<Result<Piece>> take() {
    const std::scoped_lock lock(mutex_);
    if (done_.empty()) return std::nullopt;
    std::optional<Result<Piece>> first = std::move(done_.front());
    done_.pop_front();
    return first;
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return stop_ || !todo_.empty(); });
      if (stop_) return;
      const Piece piece = todo_.front();
      todo_.pop_front();
      lock.unlock();
      Result<Piece> result = work_(piece);
      lock.lock();
      done_.push_back(std::move(result));
      lock.unlock();
      tell_();
      lock.lock();
    }
  }

  Work work_;
  std::function<void()> tell_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Piece> todo_;
  std::deque<Result<Piece>> done_;
  bool stop_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace tideline::app::copy
