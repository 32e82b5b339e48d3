// SPDX-License-Identifier: Apache-2.0
// Placement `frontend` on a wire with Linux as the other end: the server uses a daemon on a TAP
// device, the client is the kernel's.
#include "compare/placements/front_ends.h"
#include "compare/placements/placements.h"
#include "machine.h"

namespace tideline::app::compare {
namespace {

constexpr About kAboutFrontendTap{
    .name = "frontend-tap",
    .title = "frontend, TAP",
    .text =
        "tideline's engine in a daemon that the server uses, a TAP device, and Linux's TCP/IP "
        "under the client.",
    .no_rdma = "the kernel at the other end has no RDMA device"};

class FrontendTap : public Placement {
 public:
  const About& about() const override { return kAboutFrontendTap; }
  std::string lacks() const override { return tap_lacks(); }
  void begin(const Cores& cores) override {
    front_ends_.start("one",
                      {"--wire", "tap:tl0,peer=" + std::string(kClient) + "/24", "--ip",
                       std::string(kServer) + "/24"},
                      cores.daemon);
  }
  void end() override { front_ends_.end(); }  // the device goes with it
  Words server(const Words& program) const override { return at_front_end("one", program); }
  Words client(const Words& program) const override { return program; }
  std::vector<pid_t> daemons() const override { return front_ends_.pids(); }

 private:
  FrontEnds front_ends_;
};

}  // namespace

std::unique_ptr<Placement> make_frontend_tap() { return std::make_unique<FrontendTap>(); }

}  // namespace tideline::app::compare
