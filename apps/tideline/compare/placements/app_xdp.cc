// SPDX-License-Identifier: Apache-2.0
// Placement `app` on AF_XDP: each program has its own engine on one end of a veth pair, MTU 1500.
#include "compare/placements/placements.h"
#include "machine.h"
#include "session.h"

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
  std::string lacks() const override {
    for (const char* program : {"ip", "ethtool"}) {
      if (!is_installed(program)) return "it needs the programs ip and ethtool";
    }
    return xdp_lacks();
  }
  void begin(const Cores& /*cores*/) override {
    run_command({"ip", "link", "add", "tlx0", "type", "veth", "peer", "name", "tlx1"});
    made_ = true;
    for (const char* link : {"tlx0", "tlx1"}) {
      run_command({"ethtool", "-K", link, "tx", "off"});
      // Otherwise the kernel's link-local address is the one that the engine derives.
      run_command({"ip", "link", "set", link, "addrgenmode", "none"});
      run_command({"ip", "link", "set", link, "up"});
    }
  }
  void end() override {
    if (made_) run_command({"ip", "link", "delete", "tlx0"});
    made_ = false;
  }
  Words server(const Words& program) const override {
    return tideline_run({"--wire", "xdp:tlx0", "--ip", std::string(kServer) + "/24"}, program);
  }
  Words client(const Words& program) const override {
    return tideline_run({"--wire", "xdp:tlx1", "--ip", std::string(kClient) + "/24"}, program);
  }

 private:
  bool made_ = false;
};

}  // namespace

std::unique_ptr<Placement> make_app_xdp() { return std::make_unique<AppXdp>(); }

}  // namespace tideline::app::compare
