// SPDX-License-Identifier: Apache-2.0
// The one file of this shim that knows how an engine is made: the wire, a worker with a host on it,
// the RDMA device beside the host, all in the program's own process (placement `app`).
#include "shim/verbs/engine.h"

#include <pthread.h>
#include <sys/random.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <optional>

#include "base/fault_handler.h"
#include "engine/app_engine.h"
#include "engine/wire_options.h"

namespace tideline::shim::verbs {
namespace {

// Keys that nobody can guess: from the kernel, a batch at a time.
class RandomKeys final : public rdma::KeySource {
 public:
  std::uint32_t next_key() override {
    if (used_ == keys_.size()) {
      std::size_t filled = 0;
      while (filled < sizeof(keys_)) {
        const ssize_t got = ::getrandom(reinterpret_cast<std::byte*>(keys_.data()) + filled,
                                        sizeof(keys_) - filled, 0);
        if (got > 0) filled += static_cast<std::size_t>(got);
      }
      used_ = 0;
    }
    return keys_[used_++];
  }

 private:
  std::array<std::uint32_t, 64> keys_{};
  std::size_t used_ = 64;
};
