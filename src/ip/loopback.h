// SPDX-License-Identifier: Apache-2.0
// Datagrams to addresses of our own: whole frames that wait here until the stack's timers run,
// which is at once. So who sends to himself is not called back from within. Bounded. Thread: the
// worker's that owns the host.
#pragma once

#include <array>
#include <cstddef>
#include <utility>

#include "base/time.h"
#include "packet/packet.h"

namespace tideline::ip {

class LoopbackQueue {
 public:
  static constexpr std::size_t kCapacity = 256;

  // False if it is full.
  bool put(packet::PacketPtr frame, Instant now) {
    if (size_ == kCapacity) return false;
    if (size_ == 0) since_ = now;
    frames_[(first_ + size_++) % kCapacity] = std::move(frame);
    return true;
  }
  // The oldest; there is one.
  packet::PacketPtr take() {
    packet::PacketPtr frame = std::move(frames_[first_]);
    first_ = (first_ + 1) % kCapacity;
    --size_;
    return frame;
  }

  std::size_t size() const { return size_; }
  Instant next_deadline() const { return size_ == 0 ? kNever : since_; }

 private:
  std::array<packet::PacketPtr, kCapacity> frames_;
  std::size_t first_ = 0;
  std::size_t size_ = 0;
  Instant since_{};
};

}  // namespace tideline::ip
