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
  Capture(const Session& session, std::uint64_t count) : session_(session), count_(count) {}

  Instant next_deadline() const override { return kNever; }
  void run_timers(Instant /*now*/) override {}
  bool is_done() const override { return count_ > 0 && session_.captured() >= count_; }

 private:
  const Session& session_;
  std::uint64_t count_;
};

}  // namespace

int capture(const WireOptions& wire, const CaptureOptions& options) {
  WireOptions with_file = wire;
  with_file.capture = options.file;
  with_file.capture_limit = options.count;
  Session session(with_file, true);
  Capture capture(session, options.count);
  if (!wire.json) {
    fmt::print("ready: capturing {} to {}\n", wire.wire, options.file);
    std::fflush(stdout);
  }
  session.run(capture);
  if (wire.json) {
    auto json = begin_json("capture", true);
    json["frames"] = session.captured();
    json["file"] = options.file;
    json["drops"] = drops_of(session.worker());
    print_json(json);
  } else {
    fmt::print("{} frames captured\n", session.captured());
  }
  return kDone;
}

}  // namespace tideline::app
