// SPDX-License-Identifier: Apache-2.0
#include "shim/sockets/popen.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <mutex>
#include <new>
#include <string_view>
#include <utility>

#include "base/fd.h"
#include "shim/sockets/handover.h"
#include "shim/sockets/libc.h"
#include "shim/sockets/spawn.h"

namespace tideline::shim::sockets {
namespace {

// A stream that popen() has given out.
struct Pipe {
  FILE* stream;
  int fd;
  ino_t inode;  // of its pipe: the number may be something else by now
  pid_t child;  // 0: it is the C library's
  Pipe* next;
};

constinit std::mutex mutex;
constinit Pipe* pipes = nullptr;

ino_t inode_of(int fd) {
  struct stat about{};
  return ::fstat(fd, &about) == 0 ? about.st_ino : 0;
}

void add_pipe(FILE* stream, pid_t child) {
  if (stream == nullptr) return;
  const int fd = libc().fileno(stream);
  auto* const added = new (std::nothrow)
      Pipe{.stream = stream, .fd = fd, .inode = inode_of(fd), .child = child, .next = nullptr};
  if (added == nullptr) return;
  const std::scoped_lock lock(mutex);
  added->next = std::exchange(pipes, added);
}

// Its child; 0: it is the C library's.
pid_t remove_pipe(const FILE* stream) {
  const std::scoped_lock lock(mutex);
  Pipe** link = &pipes;
  while (*link != nullptr && (*link)->stream != stream) link = &(*link)->next;
  const std::unique_ptr<Pipe> found(*link);
  if (found == nullptr) return 0;
  *link = found->next;
  return found->child;
}

bool has_own_pipe() {
  const std::scoped_lock lock(mutex);
  for (const Pipe* each = pipes; each != nullptr; each = each->next) {
    if (each->child != 0) return true;
  }
  return false;
}

int wait_for_child(pid_t child) {
  int status = -1;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  return status;
}

int spawn_shell(pid_t* child, const char* command, const posix_spawn_file_actions_t* actions,
                const posix_spawnattr_t* attributes) {
  std::array<char, 3> name{"sh"};
  std::array<char, 3> option{"-c"};
  char* const words[] = {name.data(), option.data(), const_cast<char*>(command), nullptr};
  return spawn(libc().posix_spawn, child, "/bin/sh", actions, attributes, words, environ);
}

// The child of a popen() has no stream of another.
void close_other_pipes(posix_spawn_file_actions_t& actions, int kept) {
  const std::scoped_lock lock(mutex);
  for (const Pipe* each = pipes; each != nullptr; each = each->next) {
    if (each->fd == kept || inode_of(each->fd) != each->inode) continue;
    ::posix_spawn_file_actions_addclose(&actions, each->fd);
  }
}

// With errno.
FILE* open_pipe(const char* command, bool reads, bool close_on_exec) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return nullptr;
  UniqueFd ours(ends[reads ? 0 : 1]);
  const UniqueFd theirs(ends[reads ? 1 : 0]);
  FILE* const stream = libc().fdopen(ours.get(), reads ? "r" : "w");
  if (stream == nullptr) return nullptr;
  const int number = ours.release();
  const int target = reads ? STDOUT_FILENO : STDIN_FILENO;
  posix_spawn_file_actions_t actions;
  int error = ::posix_spawn_file_actions_init(&actions);
  pid_t child = 0;
  if (error == 0) {
    ::posix_spawn_file_actions_adddup2(&actions, theirs.get(), target);
    close_other_pipes(actions, target);
    error = spawn_shell(&child, command, &actions, nullptr);
    ::posix_spawn_file_actions_destroy(&actions);
  }
  if (error != 0) {
    ::fclose(stream);
    errno = error;
    return nullptr;
  }
  if (!close_on_exec) libc().fcntl(number, F_SETFD, 0);
  add_pipe(stream, child);
  return stream;
}

struct Commands {
  std::mutex mutex;
  int running = 0;
  struct sigaction interrupt{};  // the program's
  struct sigaction quit{};
};
constinit Commands commands;

// While commands run: the terminal's signals are theirs. They may run on several threads.
class SignalsPutAside {
 public:
  SignalsPutAside() {
    ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancels_);
    const std::scoped_lock lock(commands.mutex);
    if (commands.running++ == 0) {
      struct sigaction ignored{};
      ignored.sa_handler = SIG_IGN;
      libc().sigaction(SIGINT, &ignored, &commands.interrupt);
      libc().sigaction(SIGQUIT, &ignored, &commands.quit);
    }
    sigset_t child;
    ::sigemptyset(&child);
    ::sigaddset(&child, SIGCHLD);
    ::pthread_sigmask(SIG_BLOCK, &child, &mask_);
    ::sigemptyset(&defaults_);
    if (commands.interrupt.sa_handler != SIG_IGN) ::sigaddset(&defaults_, SIGINT);
    if (commands.quit.sa_handler != SIG_IGN) ::sigaddset(&defaults_, SIGQUIT);
  }
  ~SignalsPutAside() {
    {
      const std::scoped_lock lock(commands.mutex);
      if (--commands.running == 0) {
        libc().sigaction(SIGINT, &commands.interrupt, nullptr);
        libc().sigaction(SIGQUIT, &commands.quit, nullptr);
      }
    }
    ::pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
    ::pthread_setcancelstate(cancels_, nullptr);
  }
  SignalsPutAside(const SignalsPutAside&) = delete;
  SignalsPutAside& operator=(const SignalsPutAside&) = delete;

  // As the command is to have them.
  const sigset_t& mask() const { return mask_; }
  const sigset_t& defaults() const { return defaults_; }

 private:
  int cancels_ = 0;
  sigset_t mask_{};
  sigset_t defaults_{};
};
// DEVIATES: is no cancellation point.
int run_command(const char* command) {
  const SignalsPutAside aside;
  posix_spawnattr_t attributes;
  if (::posix_spawnattr_init(&attributes) != 0) return -1;
  ::posix_spawnattr_setsigmask(&attributes, &aside.mask());
  ::posix_spawnattr_setsigdefault(&attributes, &aside.defaults());
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  pid_t child = 0;
  const int error = spawn_shell(&child, command, nullptr, &attributes);
  ::posix_spawnattr_destroy(&attributes);
  constexpr int kNoShell = 127 << 8;  // as a status of wait()
  if (error == 0) return wait_for_child(child);
  errno = error;
  return kNoShell;
}

}  // namespace

// Another thread may have held them.
void popen_after_fork_in_child() {
  new (&mutex) std::mutex;
  new (&commands.mutex) std::mutex;
}

}  // namespace tideline::shim::sockets

using namespace tideline::shim::sockets;  // NOLINT(google-build-using-namespace): the C face of it

#pragma GCC visibility push(default)
extern "C" {

FILE* popen(const char* command, const char* mode) {
  if (!has_inheritable() && !has_own_pipe()) {
    FILE* const stream = libc().popen(command, mode);
    add_pipe(stream, 0);
    return stream;
  }
  const std::string_view wanted(mode);
  const bool reads = wanted.starts_with('r');
  if ((!reads && !wanted.starts_with('w')) ||
      wanted.find_first_not_of("e", 1) != std::string_view::npos) {
    errno = EINVAL;
    return nullptr;
  }
  return open_pipe(command, reads, wanted.size() > 1);
}

int pclose(FILE* stream) {
  const pid_t child = remove_pipe(stream);
  if (child == 0) return libc().pclose(stream);
  ::fclose(stream);
  return wait_for_child(child);
}

int system(const char* command) {
  if (command == nullptr || !has_inheritable()) return libc().system(command);
  return run_command(command);
}

}  // extern "C"
#pragma GCC visibility pop
