// SPDX-License-Identifier: Apache-2.0
// What an engine and its peer share: a ring of frames and a wake flag in each direction. Producer
// and consumer of a ring are one thread at a time; on the engine's side the holder of the gate
// (ring/gate.h) is both.
//
//   peer --to_engine--> engine --to_peer--> peer
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <new>

#include "base/bits.h"
#include "ring/spsc_ring.h"
#include "ring/wake_flag.h"

namespace proofs::inline_engine {

inline constexpr std::size_t kRingFrames = 1024;

// Who ran the engine when it answered.
enum class Server : std::uint32_t { kNobody, kProgram, kHelper };

struct Frame {
  std::uint64_t id = 0;
  std::uint64_t sent_tsc = 0;
  std::uint64_t served_tsc = 0;  // in answers
  Server server = Server::kNobody;
};

using FrameRing = tideline::ring::SpscRing<Frame>;
using FrameProducer = tideline::ring::SpscProducer<Frame>;
using FrameConsumer = tideline::ring::SpscConsumer<Frame>;

struct Channel {
  using RingMemory = std::array<std::byte, FrameRing::bytes(kRingFrames)>;

  tideline::ring::WakeFlag engine_flag;
  tideline::ring::WakeFlag peer_flag;
  // Armed by a holder that finds the ring to the peer full: the peer rings the engine's bell once
  // it has made room.
  tideline::ring::WakeFlag room_flag;
  alignas(tideline::kCacheLine) RingMemory to_engine;
  alignas(tideline::kCacheLine) RingMemory to_peer;

  // Lays out an empty channel in `memory`.
  static Channel& create(std::byte* memory) {
    auto* channel = ::new (static_cast<void*>(memory)) Channel;
    FrameRing::create(channel->to_engine.data(), kRingFrames);
    FrameRing::create(channel->to_peer.data(), kRingFrames);
    return *channel;
  }
  FrameRing engine_ring() { return FrameRing::attach(to_engine.data(), kRingFrames); }
  FrameRing peer_ring() { return FrameRing::attach(to_peer.data(), kRingFrames); }
};

}  // namespace proofs::inline_engine
