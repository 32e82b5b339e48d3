// SPDX-License-Identifier: Apache-2.0
// posix_spawn() with sockets of ours: a Handover for a child that the C library makes past every
// interception. Its file actions come first, and what they do to numbers they do to kernel halves;
// the tokens must survive them, so the actions are kept as they are added, and added once more for
// a call. Thread: any.
#pragma once

#include <spawn.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace tideline::shim::sockets {

struct SpawnAction {
  enum class Kind : std::uint8_t {
    kClose,
    kDup2,  // from `fd` to `to`
    kOpen,
    kChangeFolder,
    kChangeFolderTo,  // `fd`
    kCloseFrom,
    kTerminal,
  };
  Kind kind;
  int fd = -1;
  int to = -1;
  std::string path;
  int flags = 0;
  mode_t mode = 0;
};

// A list that was just initialised, and one that is about to be destroyed.
void begin_actions(posix_spawn_file_actions_t& actions);
void end_actions(posix_spawn_file_actions_t& actions);
// Was added to the list.
void note_action(posix_spawn_file_actions_t& actions, SpawnAction action);

using SpawnCall = int(pid_t*, const char*, const posix_spawn_file_actions_t*,
                      const posix_spawnattr_t*, char* const*, char* const*);

// The call, with what goes along.
int spawn(SpawnCall* call, pid_t* child, const char* program,
          const posix_spawn_file_actions_t* actions, const posix_spawnattr_t* attributes,
          char* const* words, char* const* environment);

}  // namespace tideline::shim::sockets
