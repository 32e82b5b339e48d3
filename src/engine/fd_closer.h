// SPDX-License-Identifier: Apache-2.0
// Closes descriptors on a thread of its own: what a program has sent, or can send descriptors into,
// may be something whose last close takes long (a TCP socket that lingers, a file of FUSE), and an
// engine must not wait. Thread: any one.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace tideline::engine {

class FdCloser {
 public:
  static Result<std::unique_ptr<FdCloser>> start();
  FdCloser(const FdCloser&) = delete;
  FdCloser& operator=(const FdCloser&) = delete;
  // Does not wait: the thread ends when it has closed what it was given.
  ~FdCloser();

  void discard(UniqueFd fd);
  // Descriptors that are still open.
  std::size_t waiting() const { return state_->waiting.load(std::memory_order_relaxed); }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable come;
    std::vector<UniqueFd> queue;
    bool stop = false;
    std::atomic<std::size_t> waiting{0};
  };

  explicit FdCloser(std::shared_ptr<State> state) : state_(std::move(state)) {}
  static void* main(void* state);

  std::shared_ptr<State> state_;
};

}  // namespace tideline::engine
