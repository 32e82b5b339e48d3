// SPDX-License-Identifier: Apache-2.0
// Placement `app` on a wire with Linux as the other end: the server has its own engine on a TAP
// device, the client is the kernel's.
#include "compare/placements/placements.h"
#include "machine.h"

namespace tideline::app::compare {
namespace {

constexpr About kAboutAppTap{.name = "app-tap",
                             .title = "app, TAP",
                             .text =
                                 "tideline's engine inside the server, a TAP device, and Linux's "
                                 "TCP/IP under the client.",
                             .no_rdma = "the kernel at the other end has no RDMA device"};

class AppTap : public Placement {
 public:
  const About& about() const override { return kAboutAppTap; }
  std::string lacks() const override { return tap_lacks(); }
  void begin(const Cores& /*cores*/) override {}
  void end() override {}  // the device goes with the server
  Words server(const Words& program) const override {
    return tideline_run({"--wire", "tap:tl0,peer=" + std::string(kClient) + "/24", "--ip",
                         std::string(kServer) + "/24"},
                        program);
  }
  Words client(const Words& program) const override { return program; }
};

}  // namespace

std::unique_ptr<Placement> make_app_tap() { return std::make_unique<AppTap>(); }

}  // namespace tideline::app::compare
