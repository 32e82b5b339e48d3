// SPDX-License-Identifier: Apache-2.0
#include "common/cli.h"

#include <CLI/CLI.hpp>
#include <cstdlib>

namespace bench {

Options parse_options(int argc, char** argv, const std::string& description) {
  CLI::App app(description);
  Options options;
  app.add_flag("--quick", options.quick, "seconds instead of minutes, with more noise");
  app.add_option("--seed", options.seed, "seed of the random choices")->capture_default_str();
  app.add_option("--json", options.json, "also write the results to this file");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error) == 0 ? 0 : 2);
  }
  return options;
}

}  // namespace bench
