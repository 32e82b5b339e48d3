// SPDX-License-Identifier: Apache-2.0
#include "shim/sockets/spawn.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <optional>
#include <span>
#include <utility>

#include "shim/sockets/handover.h"
#include "shim/sockets/libc.h"

namespace tideline::shim::sockets {
namespace {

using Actions = std::vector<SpawnAction>;
using enum SpawnAction::Kind;

// DEVIATES: lies in the list's reserved room, which the C library sets to zero and never uses. So
// it needs no table, and goes along if the program moves the list.
struct Note {
  static constexpr std::uint64_t kMagic = 0x746c'7370'6177'6e21;
  std::uint64_t magic;
  Actions* actions;
};
static_assert(sizeof(Note) <= sizeof(posix_spawn_file_actions_t::__pad));

Actions* actions_of(const posix_spawn_file_actions_t& list) {
  Note note{};
  std::memcpy(&note, &list.__pad, sizeof(note));
  return note.magic == Note::kMagic ? note.actions : nullptr;
}

void put_note(posix_spawn_file_actions_t& list, const Note& note) {
  std::memcpy(&list.__pad, &note, sizeof(note));
}

// Nothing: it has something that was not seen, and cannot be repeated.
std::optional<std::span<const SpawnAction>> known_actions(const posix_spawn_file_actions_t* list) {
  if (list == nullptr || list->__used == 0) return std::span<const SpawnAction>{};
  const Actions* const actions = actions_of(*list);
  if (actions == nullptr || std::cmp_not_equal(actions->size(), list->__used)) return std::nullopt;
  return *actions;
}

std::vector<int> sources_of(std::span<const SpawnAction> actions) {
  std::vector<int> numbers;
  for (const SpawnAction& each : actions) {
    if (each.kind == kDup2) numbers.push_back(each.fd);
  }
  return numbers;
}

std::vector<int> numbers_in(std::span<const SpawnAction> actions) {
  std::vector<int> numbers;
  for (const SpawnAction& each : actions) {
    if (each.kind == kCloseFrom) continue;
    for (const int fd : {each.fd, each.to}) {
      if (fd >= 0) numbers.push_back(fd);
    }
  }
  return numbers;
}

// The list that the child gets.
class Repeated {
 public:
  Repeated() : good_(libc().posix_spawn_file_actions_init(&list_) == 0), made_(good_) {}
  ~Repeated() {
    if (made_) libc().posix_spawn_file_actions_destroy(&list_);
  }
  Repeated(const Repeated&) = delete;
  Repeated& operator=(const Repeated&) = delete;

  // False: there was no memory.
  bool fill(std::span<const SpawnAction> actions, std::span<const int> tokens) {
    std::vector<int> opened;
    for (const SpawnAction& each : actions) {
      if (each.kind == kCloseFrom) {
        close_from(each.fd, opened, tokens);
      } else {
        repeat(each);
      }
      if (each.kind == kDup2) opened.push_back(each.to);
      if (each.kind == kOpen) opened.push_back(each.fd);
    }
    // A number onto itself: close-on-exec no more.
    for (const int token : tokens) {
      took(libc().posix_spawn_file_actions_adddup2(&list_, token, token));
    }
    return good_;
  }
  const posix_spawn_file_actions_t* get() const { return &list_; }

 private:
  void took(int error) { good_ = good_ && error == 0; }

  void repeat(const SpawnAction& action) {
    switch (action.kind) {
      case kClose:
        return took(libc().posix_spawn_file_actions_addclose(&list_, action.fd));
      case kDup2:
        return took(libc().posix_spawn_file_actions_adddup2(&list_, action.fd, action.to));
      case kOpen:
        return took(libc().posix_spawn_file_actions_addopen(&list_, action.fd, action.path.c_str(),
                                                            action.flags, action.mode));
      case kChangeFolder:
        return took(libc().posix_spawn_file_actions_addchdir_np(&list_, action.path.c_str()));
      case kChangeFolderTo:
        return took(libc().posix_spawn_file_actions_addfchdir_np(&list_, action.fd));
      case kTerminal:
        return took(libc().posix_spawn_file_actions_addtcsetpgrp_np(&list_, action.fd));
      case kCloseFrom:
        return;
    }
  }

  // One by one, but for the tokens. What another thread opens meanwhile is not seen.
  void close_from(int first, std::span<const int> opened, std::span<const int> tokens) {
    std::vector<int> numbers = open_numbers();
    numbers.insert(numbers.end(), opened.begin(), opened.end());
    for (const int fd : numbers) {
      if (fd < first || std::ranges::find(tokens, fd) != tokens.end()) continue;
      took(libc().posix_spawn_file_actions_addclose(&list_, fd));
    }
  }

  posix_spawn_file_actions_t list_;
  bool good_;
  bool made_;
};

}  // namespace

void begin_actions(posix_spawn_file_actions_t& actions) {
  auto* const kept = new (std::nothrow) Actions;
  if (kept != nullptr) put_note(actions, {.magic = Note::kMagic, .actions = kept});
}

void end_actions(posix_spawn_file_actions_t& actions) {
  delete actions_of(actions);
  put_note(actions, {});
}

void note_action(posix_spawn_file_actions_t& actions, SpawnAction action) {
  if (Actions* const kept = actions_of(actions)) kept->push_back(std::move(action));
}

int spawn(SpawnCall* call, pid_t* child, const char* program,
          const posix_spawn_file_actions_t* actions, const posix_spawnattr_t* attributes,
          char* const* words, char* const* environment) {
  const auto wanted = known_actions(actions);
  if (!wanted) return call(child, program, actions, attributes, words, environment);
  const std::vector<int> also = sources_of(*wanted);
  Handover handover(environment, also);
  Repeated repeated;
  if (handover.is_empty() || !handover.avoid(numbers_in(*wanted)) ||
      !repeated.fill(*wanted, handover.tokens())) {
    return call(child, program, actions, attributes, words, environment);
  }
  return call(child, program, repeated.get(), attributes, words, handover.environment());
}

}  // namespace tideline::shim::sockets
