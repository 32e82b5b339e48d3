// SPDX-License-Identifier: Apache-2.0
// Placement `frontend` without a wire of the kernel's: the engine is in a daemon, which programs
// use by queue pairs. One daemon for both programs, whose traffic then never leaves its host,
// through TCP or past it; or one each, a segment between them.
#include "compare/placements/front_ends.h"
#include "compare/placements/placements.h"
#include "machine.h"

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
                        .no_rdma = "local bypass is for sockets",
                        .quick = false};
constexpr About kTwo{.name = "frontends",
                     .title = "frontend, shm",
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
  void end() override { front_ends_.end(); }
  Words server(const Words& program) const override { return at_front_end("one", program); }
  Words client(const Words& program) const override {
    return at_front_end(&about_ == &kTwo ? "two" : "one", program);
  }
  std::vector<pid_t> daemons() const override { return front_ends_.pids(); }

 private:
  void start(const char* name, const char* address, int core) {
    Words options{"--wire", "shm:compare", "--ip", std::string(address) + "/24"};
    if (&about_ != &kBypass) options.emplace_back("--no-local-bypass");
    front_ends_.start(name, options, core);
  }

  const About& about_;
  FrontEnds front_ends_;
};

}  // namespace

std::unique_ptr<Placement> make_frontend() { return std::make_unique<Frontend>(kOne); }
std::unique_ptr<Placement> make_frontends() { return std::make_unique<Frontend>(kTwo); }
std::unique_ptr<Placement> make_bypass() { return std::make_unique<Frontend>(kBypass); }

}  // namespace tideline::app::compare
