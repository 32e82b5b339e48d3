// SPDX-License-Identifier: Apache-2.0
// Linux: the kernel's TCP/IP in two network namespaces, a veth pair between them. The congestion
// control is CUBIC, as tideline's.
#include "compare/placements/placements.h"
#include "session.h"

namespace tideline::app::compare {
namespace {

constexpr About kAboutLinux{
    .name = "linux",
    .title = "Linux, veth",
    .text =
        "The kernel's TCP/IP (CUBIC) in two network namespaces, a veth pair "
        "between them.",
    .no_rdma = "Linux has no RDMA device without hardware or a module"};

Words in_far(const Words& command) {
  Words words{"ip", "netns", "exec", "far"};
  words.insert(words.end(), command.begin(), command.end());
  return words;
}

void set_up(const char* link, const char* address, bool far) {
  const auto run = [far](const Words& command) { run_command(far ? in_far(command) : command); };
  run({"ip", "link", "set", link, "up"});
  run({"ip", "address", "add", std::string(address) + "/24", "dev", link});
  run({"ip", "route", "replace", "192.0.2.0/24", "dev", link, "congctl", "cubic"});
}

class Linux : public Placement {
 public:
  const About& about() const override { return kAboutLinux; }
  std::string lacks() const override {
    return is_installed("ip") ? "" : "there is no program ip; install iproute2";
  }
  void begin(const Cores& /*cores*/) override {
    run_command({"ip", "netns", "add", "far"});
    made_ = true;
    run_command(
        {"ip", "link", "add", "tlv0", "type", "veth", "peer", "name", "tlv1", "netns", "far"});
    set_up("tlv0", kServer, false);
    set_up("tlv1", kClient, true);
  }
  void end() override {
    if (!made_) return;
    made_ = false;
    // The pair goes with either end; the far one only once its namespace does, which takes a while.
    try {
      run_command({"ip", "link", "delete", "tlv0"});
    } catch (const Failure&) {  // it was not made
    }
    run_command({"ip", "netns", "delete", "far"});
  }
  Words server(const Words& program) const override { return program; }
  Words client(const Words& program) const override { return in_far(program); }

 private:
  bool made_ = false;
};

}  // namespace

std::unique_ptr<Placement> make_linux() { return std::make_unique<Linux>(); }

}  // namespace tideline::app::compare
