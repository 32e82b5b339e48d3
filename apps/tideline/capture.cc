// SPDX-License-Identifier: Apache-2.0
// `tideline capture`: writes the frames that arrive on a wire.
#include <fmt/format.h>

#include "commands.h"
#include "report.h"
#include "session.h"

namespace tideline::app {
namespace {

class Capture final : public engine::Task {
 public:
  Capture(engine::Worker& worker, std::uint64_t count) : worker_(worker), count_(count) {}

  Instant next_deadline() const override { return kNever; }
  void run_timers(Instant /*now*/) override {}
  bool is_done() const override { return count_ > 0 && frames() >= count_; }

  std::uint64_t frames() const { return worker_.function().stats().rx_frames + others(); }

 private:
  // Frames for other stations are captured too, and go no further.
  std::uint64_t others() const {
    return worker_.function().stats().dropped(nic::Drop::kRxOtherStation);
  }

  engine::Worker& worker_;
  std::uint64_t count_;
};

}  // namespace

int capture(const WireOptions& wire, const CaptureOptions& options) {
  WireOptions with_file = wire;
  with_file.capture = options.file;
  with_file.promiscuous = true;
  Session session(with_file);
  Capture capture(session.worker(), options.count);
  if (!wire.json) {
    fmt::print("ready: capturing {} to {}\n", wire.wire, options.file);
    std::fflush(stdout);
  }
  session.run(capture);
  if (wire.json) {
    auto json = begin_json("capture", true);
    json["frames"] = capture.frames();
    json["file"] = options.file;
    json["drops"] = drops_of(session.worker());
    print_json(json);
  } else {
    fmt::print("{} frames captured\n", capture.frames());
  }
  return kDone;
}

}  // namespace tideline::app
