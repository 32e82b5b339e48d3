// SPDX-License-Identifier: Apache-2.0
// Who may use a front end, and for what: asked once for each program that attaches, with what the
// kernel says of it (SO_PEERCRED). The rules come from the configuration (config.h). A Policy does
// not change, so that any thread may ask; a reload makes another one.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <optional>
#include <utility>
#include <vector>

#include "engine/client_policy.h"

namespace tideline::daemon {

// For one user, or for the members of one group.
struct Rule {
  std::optional<uid_t> user;
  std::optional<gid_t> group;
  std::vector<uid_t> members{};  // of the group, beside those whose own group it is
  engine::ClientPolicy rights{};
};

struct PolicyConfig {
  std::vector<Rule> rules{};      // the first that fits decides
  engine::ClientPolicy others{};  // without such a rule; root and the front end's own user may
};

class Policy {
 public:
  // `own`: the user that has started the front end.
  Policy(PolicyConfig config, uid_t own) : config_(std::move(config)), own_(own) {}

  // With a reason, if the peer is not admitted.
  engine::ClientPolicy rights_of(const ucred& peer) const;
  // Whether anybody but root and the front end's own user may be admitted.
  bool admits_others() const;

 private:
  PolicyConfig config_;
  uid_t own_;
};

}  // namespace tideline::daemon
