// SPDX-License-Identifier: Apache-2.0
// Placement `app` on AF_XDP: each program has its own engine on one end of a veth pair, MTU 1500.
#include "compare/placements/placements.h"
#include "compare/placements/xdp_cable.h"

namespace tideline::app::compare {
namespace {

constexpr About kAboutAppXdp{
    .name = "app-xdp",
    .title = "app, AF_XDP",
    .text =
        "tideline's engine inside each of the two programs, AF_XDP on a veth "
        "pair between them, frames of 1500 bytes."};

class AppXdp : public Placement {
 public:
  const About& about() const override { return kAboutAppXdp; }
  std::string lacks() const override { return XdpCable::lacks(); }
  void begin(const Cores& /*cores*/) override { cable_.lay(); }
  void end() override { cable_.remove(); }
  Words server(const Words& program) const override {
    return tideline_run({"--wire", XdpCable::kServerWire, "--ip", std::string(kServer) + "/24"},
                        program);
  }
  Words client(const Words& program) const override {
    return tideline_run({"--wire", XdpCable::kClientWire, "--ip", std::string(kClient) + "/24"},
                        program);
  }

 private:
  XdpCable cable_;
};

}  // namespace

std::unique_ptr<Placement> make_app_xdp() { return std::make_unique<AppXdp>(); }

}  // namespace tideline::app::compare
