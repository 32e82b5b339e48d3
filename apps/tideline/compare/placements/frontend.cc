// SPDX-License-Identifier: Apache-2.0
// Placement `frontend`: the engine is in a daemon, which programs use by queue pairs. One daemon
// for both programs, whose traffic then never leaves its host, through TCP or past it; or one each,
// a segment between them.
#include <fmt/format.h>

#include "base/clock.h"
#include "compare/placements/placements.h"
#include "machine.h"
#include "session.h"

namespace tideline::app::compare {
namespace {

constexpr About kOne{.name = "frontend",
                     .title = "frontend, one daemon",
                     .text =
                         "tideline's engine in a daemon that both programs use, as processes of "
                         "one host."};
constexpr About kBypass{.name = "frontend-bypass",
                        .title = "frontend, local bypass",
                        .text =
                            "One daemon for both, in which bytes go from program to program "
                            "without TCP.",
                        .no_rdma = "local bypass is for sockets"};
constexpr About kTwo{.name = "frontends",
                     .title = "frontend, two daemons",
                     .text =
                         "tideline's engine in a daemon for each of the two programs, shared "
                         "memory between the daemons."};

class Frontend : public Placement {
 public:
  explicit Frontend(const About& about) : about_(about) {}

  const About& about() const override { return about_; }
  std::string lacks() const override { return shm_lacks(); }
  void begin(const Cores& cores) override {
    start("one", kServer, cores.daemon);
    if (&about_ == &kTwo) start("two", kClient, cores.second_daemon);
  }
  void end() override {
    const Instant limit = monotonic_now() + std::chrono::seconds(10);
    for (const auto& daemon : daemons_) daemon->end(limit);
    daemons_.clear();
  }
  Words server(const Words& program) const override { return at("one", program); }
  Words client(const Words& program) const override {
    return at(&about_ == &kTwo ? "two" : "one", program);
  }
  std::vector<pid_t> daemons() const override {
    std::vector<pid_t> pids;
    pids.reserve(daemons_.size());
    for (const auto& daemon : daemons_) pids.push_back(daemon->pid());
    return pids;
  }

 private:
  static Words at(const char* name, const Words& program) {
    return tideline_run({"--placement", "frontend", "--name", name}, program);
  }
  void start(const char* name, const char* address, int core) {
    Words words{own_program("tidelined"),    "--name", name, "--wire", "shm:compare", "--ip",
                std::string(address) + "/24"};
    if (&about_ != &kBypass) words.emplace_back("--no-local-bypass");
    daemons_.push_back(std::make_unique<Child>(words, core));
    Child& daemon = *daemons_.back();
    const Instant limit = monotonic_now() + std::chrono::seconds(20);
    while ((daemon.said() + daemon.errors()).find("ready") == std::string::npos) {
      if (daemon.has_ended() || monotonic_now() > limit) {
        throw Failure({.kind = ErrorKind::kEnvironment,
                       .what = fmt::format("tidelined does not start: {}", daemon.errors())});
      }
      ::usleep(2000);
    }
  }

  const About& about_;
  std::vector<std::unique_ptr<Child>> daemons_;
};

}  // namespace

std::unique_ptr<Placement> make_frontend() { return std::make_unique<Frontend>(kOne); }
std::unique_ptr<Placement> make_frontends() { return std::make_unique<Frontend>(kTwo); }
std::unique_ptr<Placement> make_bypass() { return std::make_unique<Frontend>(kBypass); }

}  // namespace tideline::app::compare
