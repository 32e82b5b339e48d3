// SPDX-License-Identifier: Apache-2.0
// A runtime and its peer in one process, for measuring what the runtime costs.
#pragma once

#include <memory>
#include <optional>
#include <thread>

#include "base/check.h"
#include "proofs/inline_engine/peer.h"
#include "proofs/inline_engine/runtime.h"

namespace proofs::inline_engine {

class Pair {
 public:
  explicit Pair(RuntimeOptions options) {
    tideline::Result<MeetingPoint> point = MeetingPoint::create();
    CHECK(point, "{}", point.error().message());
    options.meeting_point = point->path();
    tideline::Result<std::unique_ptr<Runtime>> started;
    {
      const std::jthread program([&] { started = Runtime::start(options); });
      tideline::Result<Member> member = point->accept(kPatienceMs);
      CHECK(member, "{}", member.error().message());
      member_.emplace(std::move(*member));
    }
    CHECK(started, "{}", started.error().message());
    runtime_ = std::move(*started);
  }

  Runtime& runtime() const { return *runtime_; }
  void send_frame() const { member_->send(0); }
  void discard_answers() const {
    while (member_->receive()) {
    }
  }

 private:
  static constexpr int kPatienceMs = 10'000;

  // The peer's end must outlive the runtime, which would otherwise see it hang up.
  mutable std::optional<Member> member_;
  std::unique_ptr<Runtime> runtime_;
};

}  // namespace proofs::inline_engine
