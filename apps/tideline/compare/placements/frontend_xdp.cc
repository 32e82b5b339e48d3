// SPDX-License-Identifier: Apache-2.0
// Placement `frontend` on AF_XDP: each program uses a daemon on one end of a veth pair, MTU 1500.
#include "compare/placements/front_ends.h"
#include "compare/placements/placements.h"
#include "compare/placements/xdp_cable.h"

namespace tideline::app::compare {
namespace {

constexpr About kAboutFrontendXdp{
    .name = "frontend-xdp",
    .title = "frontend, AF_XDP",
    .text =
        "tideline's engine in a daemon for each of the two programs, AF_XDP on a veth pair "
        "between the daemons, frames of 1500 bytes."};

class FrontendXdp : public Placement {
 public:
  const About& about() const override { return kAboutFrontendXdp; }
  std::string lacks() const override { return XdpCable::lacks(); }
  void begin(const Cores& cores) override {
    cable_.lay();
    front_ends_.start("one",
                      {"--wire", XdpCable::kServerWire, "--ip", std::string(kServer) + "/24"},
                      cores.daemon);
    front_ends_.start("two",
                      {"--wire", XdpCable::kClientWire, "--ip", std::string(kClient) + "/24"},
                      cores.second_daemon);
  }
  void end() override {
    front_ends_.end();
    cable_.remove();
  }
  Words server(const Words& program) const override { return at_front_end("one", program); }
  Words client(const Words& program) const override { return at_front_end("two", program); }
  std::vector<pid_t> daemons() const override { return front_ends_.pids(); }

 private:
  FrontEnds front_ends_;
  XdpCable cable_;
};

}  // namespace

std::unique_ptr<Placement> make_frontend_xdp() { return std::make_unique<FrontendXdp>(); }

}  // namespace tideline::app::compare
