// SPDX-License-Identifier: Apache-2.0
// How far a transfer is, on standard error: a bar on a terminal, otherwise a line now and then.
// Thread: the command's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/time.h"

namespace tideline::app {

// "1.5 GB".
std::string amount_text(double bytes);

class ProgressBar {
 public:
  // Without `lines`, nothing is shown but on a terminal.
  explicit ProgressBar(bool lines = false);

  // Shows it if it is time. Of some transfers the size is not known.
  void show(std::uint64_t have, std::optional<std::uint64_t> size);
  // Takes the bar away.
  void clear() const;

 private:
  void draw(std::uint64_t have, std::optional<std::uint64_t> size, double rate) const;
  static void say(std::uint64_t have, std::optional<std::uint64_t> size, double rate);

  bool terminal_;
  bool lines_;
  bool shown_ = false;
  Instant last_;
  std::uint64_t before_ = 0;
};

}  // namespace tideline::app
