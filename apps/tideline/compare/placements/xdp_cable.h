// SPDX-License-Identifier: Apache-2.0
// A veth pair for two engines on AF_XDP, MTU 1500.
#pragma once

#include <string>

namespace tideline::app::compare {

class XdpCable {
 public:
  static constexpr const char* kServerWire = "xdp:tlx0";
  static constexpr const char* kClientWire = "xdp:tlx1";

  // What this machine lacks for it; empty if nothing.
  static std::string lacks();
  // Throws a Failure.
  void lay();
  void remove();  // if it was laid

 private:
  bool laid_ = false;
};

}  // namespace tideline::app::compare
