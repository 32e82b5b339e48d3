// SPDX-License-Identifier: Apache-2.0
// Who may use a front end, and for what: asked once for each program that attaches, with what the
// kernel says of it (SO_PEERCRED). The rules come from the configuration (config.h). A Policy does
// not change, so that any thread may ask; a reload makes another one.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "wire/ip_address.h"

namespace tideline::daemon {

// What a user's programs may do, each for itself.
struct Rights {
  bool admit = false;
  // That may be bound and sent from, IPv4 mapped; none: all that the host has.
  std::vector<wire::Ipv6Prefix> addresses{};
  std::uint16_t first_port = 1;  // that may be bound
  std::uint16_t last_port = 65535;
  std::size_t sockets = 65536;
  std::size_t memory = std::size_t{1} << 30;  // bytes

  friend bool operator==(const Rights&, const Rights&) = default;
};

// For one user, or for the members of one group.
struct Rule {
  std::optional<uid_t> user;
  std::optional<gid_t> group;
  std::vector<uid_t> members{};  // of the group, beside those whose own group it is
  Rights rights{};
};

struct PolicyConfig {
  std::vector<Rule> rules{};  // the first that fits decides
  Rights others{};            // without such a rule; root and the front end's own user are admitted
};

class Policy {
 public:
  // `own`: the user that has started the front end.
  Policy(PolicyConfig config, uid_t own) : config_(std::move(config)), own_(own) {}

  Rights rights_of(const ucred& peer) const;
  // Whether anybody but root and the front end's own user may be admitted.
  bool admits_others() const;

 private:
  PolicyConfig config_;
  uid_t own_;
};

}  // namespace tideline::daemon
