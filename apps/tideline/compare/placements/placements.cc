// SPDX-License-Identifier: Apache-2.0
#include "compare/placements/placements.h"

#include <filesystem>

namespace tideline::app::compare {
namespace {

const std::filesystem::path& own_folder() {
  static const std::filesystem::path folder =
      std::filesystem::read_symlink("/proc/self/exe").parent_path();
  return folder;
}

}  // namespace

std::vector<std::unique_ptr<Placement>> all_placements() {
  // Before there is another mount namespace: in a chroot, its link does not lead here.
  own_folder();
  std::vector<std::unique_ptr<Placement>> all;
  // The first is what the others are held against.
  for (const auto make : {make_linux, make_app, make_frontends, make_frontend, make_bypass,
                          make_app_tap, make_frontend_tap, make_app_xdp, make_frontend_xdp}) {
    all.push_back(make());
  }
  return all;
}

std::string own_program(const char* name) { return own_folder() / name; }

Words tideline_run(const Words& options, const Words& program) {
  Words words{own_program("tideline"), "run", "--stats"};
  words.insert(words.end(), options.begin(), options.end());
  words.emplace_back("--");
  words.insert(words.end(), program.begin(), program.end());
  return words;
}

}  // namespace tideline::app::compare
