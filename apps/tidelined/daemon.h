// SPDX-License-Identifier: Apache-2.0
// A front end from its start to its end: lock, wires, privileges, hosts; then it waits to be told
// to stop or to read its policy again. One thread, the first; hosts have theirs.
#pragma once

#include <map>
#include <memory>
#include <mutex>
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
  // Takes the name, and blocks the signals that run() takes. `own`: the user who starts it.
  static Result<std::unique_ptr<Daemon>> create(Config config, DaemonOptions options, uid_t own);

  // The rest of its life: until it is told to stop, or cannot start.
  Status run();

 private:
  struct Bells {
    ring::EventBell news;          // a host's state has changed
    ring::EventBell told_to_stop;  // by the control socket
  };

  Daemon(Config config, DaemonOptions options, uid_t own, UniqueFd signals, Bells bells,
         Place place);

  Status open_wires();
  Status listen();
  Status open_hosts(bool on_shared_segments);
  Status start_hosts();
  Status wait_until_ready();
  void announce();
  void serve();
  void stop();
  void wait_for_programs();
  engine::ClientPolicy rights_of(const ucred& peer);
  // Sleeps until a signal, news or the deadline. The signal, or 0.
  int wait(Instant deadline);
  void take_signal(int signal);
  void reload();

  Config config_;
  const DaemonOptions options_;
  const uid_t own_;
  const UniqueFd signals_;
  const Bells bells_;
  bool stopping_ = false;
  std::mutex policy_mutex_;
  std::shared_ptr<const Policy> policy_;
  Place place_;                                // its lock goes after the hosts
  std::map<std::string, UniqueFd> listening_;  // by the names of the hosts
  std::vector<std::unique_ptr<HostRunner>> hosts_;
};

}  // namespace tideline::daemon
