// SPDX-License-Identifier: Apache-2.0
// posix_spawn() and the lists of what its child does to descriptors. Called by the program, on any
// thread.
#include "shim/sockets/libc.h"
#include "shim/sockets/spawn.h"

using namespace tideline::shim::sockets;  // NOLINT(google-build-using-namespace): the C face of it

namespace {

using Action = SpawnAction::Kind;

int added(int error, posix_spawn_file_actions_t* actions, SpawnAction action) {
  if (error == 0) note_action(*actions, std::move(action));
  return error;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

int posix_spawn_file_actions_init(posix_spawn_file_actions_t* actions) noexcept {
  const int error = libc().posix_spawn_file_actions_init(actions);
  if (error == 0) begin_actions(*actions);
  return error;
}

int posix_spawn_file_actions_destroy(posix_spawn_file_actions_t* actions) noexcept {
  end_actions(*actions);
  return libc().posix_spawn_file_actions_destroy(actions);
}

int posix_spawn_file_actions_addclose(posix_spawn_file_actions_t* actions, int fd) noexcept {
  return added(libc().posix_spawn_file_actions_addclose(actions, fd), actions,
               {.kind = Action::kClose, .fd = fd, .path = {}});
}

int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t* actions, int fd, int to) noexcept {
  return added(libc().posix_spawn_file_actions_adddup2(actions, fd, to), actions,
               {.kind = Action::kDup2, .fd = fd, .to = to, .path = {}});
}

int posix_spawn_file_actions_addopen(posix_spawn_file_actions_t* actions, int fd, const char* path,
                                     int flags, mode_t mode) noexcept {
  return added(libc().posix_spawn_file_actions_addopen(actions, fd, path, flags, mode), actions,
               {.kind = Action::kOpen, .fd = fd, .path = path, .flags = flags, .mode = mode});
}

int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t* actions,
                                         const char* path) noexcept {
  return added(libc().posix_spawn_file_actions_addchdir_np(actions, path), actions,
               {.kind = Action::kChangeFolder, .path = path});
}

int posix_spawn_file_actions_addfchdir_np(posix_spawn_file_actions_t* actions, int fd) noexcept {
  return added(libc().posix_spawn_file_actions_addfchdir_np(actions, fd), actions,
               {.kind = Action::kChangeFolderTo, .fd = fd, .path = {}});
}

int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t* actions,
                                             int first) noexcept {
  return added(libc().posix_spawn_file_actions_addclosefrom_np(actions, first), actions,
               {.kind = Action::kCloseFrom, .fd = first, .path = {}});
}

int posix_spawn_file_actions_addtcsetpgrp_np(posix_spawn_file_actions_t* actions, int fd) noexcept {
  return added(libc().posix_spawn_file_actions_addtcsetpgrp_np(actions, fd), actions,
               {.kind = Action::kTerminal, .fd = fd, .path = {}});
}

int posix_spawn(pid_t* child, const char* path, const posix_spawn_file_actions_t* actions,
                const posix_spawnattr_t* attributes, char* const* words, char* const* environment) {
  return spawn(libc().posix_spawn, child, path, actions, attributes, words, environment);
}

int posix_spawnp(pid_t* child, const char* file, const posix_spawn_file_actions_t* actions,
                 const posix_spawnattr_t* attributes, char* const* words,
                 char* const* environment) {
  return spawn(libc().posix_spawnp, child, file, actions, attributes, words, environment);
}

}  // extern "C"
#pragma GCC visibility pop
