// SPDX-License-Identifier: Apache-2.0
// `tideline run -- PROGRAM`: starts an unmodified program with tideline's libraries in front of the
// system's. In placement `app` the engine starts in it at the first use of a device, or of a socket
// that may be tideline's; what the user says of the wire goes along in the environment. In
// placement `frontend` the program attaches to one that runs (`tideline up`).
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "run.h"

#include "commands.h"
#include "libraries.h"
#include "place.h"
#include "session.h"

namespace tideline::app {
namespace {

namespace fs = std::filesystem;

void set(const char* variable, const std::string& value) {
  if (!value.empty()) ::setenv(variable, value.c_str(), 1);
}

// In front of what the variable says already.
void prepend(const char* variable, const std::string& value) {
  const char* before = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): one thread
  set(variable, before == nullptr || *before == '\0' ? value : value + ":" + before);
}

}  // namespace

void set_wire_variables(const WireOptions& wire) {
  set("TIDELINE_WIRE", wire.wire);
  set("TIDELINE_IP", fmt::format("{}", fmt::join(wire.ip4, ",")));
  set("TIDELINE_IP6", fmt::format("{}", fmt::join(wire.ip6, ",")));
  set("TIDELINE_GATEWAY", fmt::format("{}", fmt::join(wire.gateways, ",")));
  set("TIDELINE_MTU", wire.mtu == 0 ? "" : std::to_string(wire.mtu));
  set("TIDELINE_MTU_PROBING", wire.mtu_probing);
  set("TIDELINE_IMPAIR", wire.impair);
  set("TIDELINE_SEED", wire.seed ? std::to_string(*wire.seed) : "");
  // The program may change its folder before it opens a device.
  set("TIDELINE_CAPTURE", wire.capture.empty() ? "" : fs::absolute(wire.capture).string());
}

namespace {

// Wire and addresses are the front end's.
void set_front_end_variables(const WireOptions& wire, const RunOptions& options) {
  const engine::AttachmentOptions none;
  if (wire.wire != none.wire || !wire.ip4.empty() || !wire.ip6.empty() || !wire.gateways.empty() ||
      wire.mtu != 0 || !wire.impair.empty() || !wire.capture.empty() ||
      wire.mtu_probing != none.mtu_probing) {
    throw Failure({.kind = ErrorKind::kUsage,
                   .what = "a front end has a wire and addresses of its own",
                   .remedy = "give them to `tideline up`, or leave --placement frontend out"});
  }
  set("TIDELINE_PLACEMENT", wire.placement);
  set("TIDELINE_FRONT_END", value_or_throw(daemon::find_socket(options.front_end, options.host)));
}

}  // namespace

int run_program(const WireOptions& wire, const RunOptions& options) {
  const fs::path libraries = library_folder();
  const bool in_front_end = wire.placement == "frontend";
  if (in_front_end) {
    set_front_end_variables(wire, options);
  } else {
    ::unsetenv("TIDELINE_PLACEMENT");
    set_wire_variables(wire);
  }
  set("TIDELINE_STATS", options.stats ? "1" : "");
  set("TIDELINE_STRICT", options.strict ? "1" : "");
  set("TIDELINE_LOCALHOST", options.localhost ? "1" : "");
  set("TIDELINE_TELL", "1");
  // The first has the engine of both.
  const std::string sockets = (libraries / kSocketsPreload).string();
  prepend("LD_PRELOAD", (libraries / kPreload).string() + ":" + sockets);
  prepend("LD_LIBRARY_PATH", (libraries / kDropIn).string());

  std::vector<char*> words;
  words.reserve(options.program.size() + 1);
  for (const std::string& word : options.program) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  ::execvp(words[0], words.data());
  throw Failure({.kind = ErrorKind::kUsage,
                 .what = fmt::format("cannot run {}: {}", words[0],
                                     std::strerror(errno))});  // NOLINT(concurrency-mt-unsafe)
}

}  // namespace tideline::app
