// SPDX-License-Identifier: Apache-2.0
// A front end from its start to its end: lock, wires, privileges, hosts; then it waits to be told
// to stop or to read its policy again. One thread, the first; hosts have theirs.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/time.h"
#include "config.h"
#include "host.h"
#include "place.h"
#include "policy.h"
#include "ring/bell.h"

namespace tideline::daemon {

struct DaemonOptions {
  std::string config_path{};  // empty: there is no file to read again
  bool background = false;    // once ready, the log goes to the file `log` in the front end's place
  Duration duration{};        // 0: without limit
};

class Daemon {
 public:
  // Blocks the signals that it takes. `news` outlives the hosts.
  Daemon(Config config, DaemonOptions options, uid_t own);

  // Until it is told to stop: the whole life of the front end.
  Status run();

 private:
  Status open();
  Status open_hosts(bool on_shared_segments);
  Status start_hosts();
  Status wait_until_ready();
  void announce();
  void serve();
  void stop();
  // Sleeps until a signal, news or the deadline. The signal, or 0.
  int wait(Instant deadline);
  void take_signal(int signal);
  void reload();

  Config config_;
  const DaemonOptions options_;
  const uid_t own_;
  UniqueFd signals_;
  std::optional<ring::EventBell> news_;
  std::optional<ring::EventBell> told_to_stop_;  // by the control socket
  bool stopping_ = false;
  std::mutex policy_mutex_;
  std::shared_ptr<const Policy> policy_;
  std::optional<Place> place_;  // its lock goes last
  std::vector<std::unique_ptr<HostRunner>> hosts_;
};

}  // namespace tideline::daemon
