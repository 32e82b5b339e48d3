// SPDX-License-Identifier: Apache-2.0
// Where front ends are: `.frontend` in a user's place (port/shm/meeting_point.h), with NAME.lock,
// which the front end of that name locks while it lives (an OFD lock, so the kernel frees it
// however it ends), and NAME/, its sockets: HOST.sock, where programs attach, and .control/, where
// `tideline status` and `tideline down` ask. The folder .frontend belongs to who starts front ends,
// NAME/ to the user whom the front end becomes. One thread.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace tideline::daemon {

class Place {
 public:
  // Makes the folders and takes the lock. Fails with kEnvironment if a front end of this name runs.
  // Removes sockets that one has left which was killed.
  static Result<Place> take(const std::string& name);

  const std::string& path() const { return path_; }  // of NAME/
  int directory() const { return directory_.get(); }
  // Passes NAME/ to the user that this process becomes.
  Status hand_over(uid_t user, gid_t group) const;
  // Listens where programs attach: at `path`, or, if it is empty, at HOST.sock in NAME/. Any user
  // may connect; the policy decides.
  Result<UniqueFd> listen(const std::string& host, const std::string& path);
  // Nobody finds them any more. What another user's directory has stays, if this process may not.
  void remove_sockets();
  // Lets other users pass, who cannot read or write anything by that.
  Status open_to_others() const;

 private:
  Place(std::string path, UniqueFd above, UniqueFd lock, UniqueFd directory)
      : path_(std::move(path)),
        above_(std::move(above)),
        lock_(std::move(lock)),
        directory_(std::move(directory)) {}

  std::string path_;
  UniqueFd above_;  // .frontend
  UniqueFd lock_;
  UniqueFd directory_;
  std::vector<std::string> sockets_{};  // paths
};

// Of a front end of this name, if there is one: the process, and the directory of its sockets.
struct Running {
  int pid = 0;
  std::string path;  // of NAME/
  std::string lock;  // the path of its lock
};
// Looks in all of this user's places.
std::optional<Running> find_running(const std::string& name);
// Where programs attach to a front end's host: to the host `host`; if it is empty to the one that
// is named "default", or is alone. `name` may be the path of such a socket instead.
Result<std::string> find_socket(const std::string& name, const std::string& host);
// Whether the lock is held. A lock that cannot be read is: it is another user's.
bool is_running(const std::string& lock);

}  // namespace tideline::daemon
