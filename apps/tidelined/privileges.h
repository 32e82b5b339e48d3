// SPDX-License-Identifier: Apache-2.0
// Gives up what was needed to open the wires. Called by the only thread that there is yet:
// capabilities are a thread's, and threads inherit them. capabilities(7), credentials(7).
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "config.h"

namespace tideline::daemon {

// As the name service has them; numbers are names, too.
class MachineAccounts final : public Accounts {
 public:
  std::optional<uid_t> user(const std::string& name) const override;
  std::optional<Group> group(const std::string& name) const override;
};

struct RunAs {
  uid_t user = 0;
  gid_t group = 0;
  std::vector<gid_t> groups{};  // beside it
};

// Nothing if the configuration names no user. Fails if there is no such user or group, or if this
// process may not become it.
Result<std::optional<RunAs>> run_as(const Config& config);

// Becomes the user, if there is one, and in any case gives up all capabilities and the way to get
// new ones (no_new_privs); then looks whether that is so.
Status drop_privileges(const std::optional<RunAs>& as);

}  // namespace tideline::daemon
