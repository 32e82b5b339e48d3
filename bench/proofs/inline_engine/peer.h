// SPDX-License-Identifier: Apache-2.0
// The other side of the channel: it listens at a meeting point, attaches programs, sends them
// frames and collects the answers. One thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/fd.h"
#include "base/mapping.h"
#include "proofs/inline_engine/channel.h"
#include "ring/bell.h"

namespace proofs::inline_engine {

// One attached program.
class Member {
 public:
  // Sends a frame with the present TSC. False if the ring is full.
  bool send(std::uint64_t id);
  std::optional<Frame> receive();
  // Sleeps until there is something to receive, or `timeout_ms`.
  void wait(int timeout_ms);

  // Whether the program, or its engine, is gone; waits for it for up to `timeout_ms`. By the
  // socket:
  bool hung_up(int timeout_ms) const;
  // by the process:
  bool exited(int timeout_ms) const;
  pid_t pid() const { return pid_; }

 private:
  friend class MeetingPoint;
  Member(tideline::Mapping memory, Channel& channel, tideline::ring::EventBell engine_bell,
         tideline::ring::EventBell bell)
      : memory_(std::move(memory)),
        channel_(&channel),
        engine_notifier_(channel.engine_flag),
        room_notifier_(channel.room_flag),
        out_(channel.engine_ring()),
        in_(channel.peer_ring()),
        engine_bell_(std::move(engine_bell)),
        bell_(std::move(bell)) {}

  tideline::Mapping memory_;
  Channel* channel_;
  tideline::ring::Notifier engine_notifier_;
  tideline::ring::Notifier room_notifier_;
  FrameProducer out_;
  FrameConsumer in_;
  tideline::ring::EventBell engine_bell_;  // wakes the engine's helper
  tideline::ring::EventBell bell_;         // wakes this side
  tideline::UniqueFd socket_;
  tideline::UniqueFd pidfd_;
  pid_t pid_ = -1;
};

class MeetingPoint {
 public:
  // Listens in a new directory below /tmp, which the destructor removes.
  static tideline::Result<MeetingPoint> create();
  MeetingPoint(MeetingPoint&& other) noexcept = default;
  MeetingPoint& operator=(MeetingPoint&&) = delete;
  ~MeetingPoint();

  const std::string& path() const { return path_; }
  // Attaches the next program.
  tideline::Result<Member> accept(int timeout_ms);

 private:
  MeetingPoint(std::string directory, tideline::UniqueFd listener)
      : directory_(std::move(directory)),
        path_(directory_ + "/engine"),
        listener_(std::move(listener)) {}

  std::string directory_;
  std::string path_;
  tideline::UniqueFd listener_;
};

}  // namespace proofs::inline_engine
