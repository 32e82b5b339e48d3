// SPDX-License-Identifier: Apache-2.0
// Configurations of tidelined: what is taken keeps to its bounds, and what is refused is refused
// with a place and a remedy.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/check.h"
#include "config.h"

using namespace tideline;
using namespace tideline::daemon;

namespace {

class FewAccounts final : public Accounts {
 public:
  std::optional<uid_t> user(const std::string& name) const override {
    return name == "u" ? std::optional<uid_t>(7) : std::nullopt;
  }
  std::optional<Group> group(const std::string& name) const override {
    return name == "g" ? std::optional(Group{.id = 8, .members = {9}}) : std::nullopt;
  }
};

void check_rights(const engine::ClientPolicy& rights) {
  CHECK(rights.first_port > 0 && rights.first_port <= rights.last_port);
  CHECK(rights.most_sockets > 0 && rights.most_sockets < 65536);
  for (const auto& prefix : rights.addresses) CHECK(prefix.length <= 128);
}

void check_config(const Config& config) {
  CHECK(check_name(config.name, "a front end"));
  CHECK(!config.hosts.empty() && config.hosts.size() <= 64);
  CHECK(config.stop_timeout >= Duration() && config.stop_timeout <= std::chrono::hours(1));
  for (const HostConfig& host : config.hosts) {
    CHECK(check_name(host.name, "a host"));
    CHECK(host.socket.size() < 108 && (host.socket.empty() || host.socket.front() == '/'));
    CHECK(host.socket.find('\0') == std::string::npos);
    CHECK(host.attachment.mtu == 0 || host.attachment.mtu >= 1280);
  }
  check_rights(config.policy.others);
  for (const Rule& rule : config.policy.rules) {
    CHECK(rule.user.has_value() != rule.group.has_value());
    check_rights(rule.rights);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  // Behind a host that is right, most of the text is looked at.
  for (const std::string_view before : {"", "[[host]]\n"}) {
    const auto config = parse_config(std::string(before) + std::string(text), "f", FewAccounts());
    if (config) {
      check_config(*config);
    } else {
      CHECK(config.error().what.starts_with("f:") && !config.error().remedy.empty(), "{}",
            config.error().message());
    }
  }
  return 0;
}
