// SPDX-License-Identifier: Apache-2.0
// Placement `app` on shared memory: each program has its own engine, a segment between them.
#include "compare/placements/placements.h"
#include "machine.h"

namespace tideline::app::compare {
namespace {

constexpr About kAboutApp{.name = "app",
                          .title = "app, shm",
                          .text =
                              "tideline's engine inside each of the two programs, shared memory "
                              "between them."};

Words on_segment(const char* address, const Words& program) {
  return tideline_run({"--wire", "shm:compare", "--ip", std::string(address) + "/24"}, program);
}

class App : public Placement {
 public:
  const About& about() const override { return kAboutApp; }
  std::string lacks() const override { return shm_lacks(); }
  void begin(const Cores& /*cores*/) override {}
  void end() override {}
  Words server(const Words& program) const override { return on_segment(kServer, program); }
  Words client(const Words& program) const override { return on_segment(kClient, program); }
};

}  // namespace

std::unique_ptr<Placement> make_app() { return std::make_unique<App>(); }

}  // namespace tideline::app::compare
