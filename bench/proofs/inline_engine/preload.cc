// SPDX-License-Identifier: Apache-2.0
// The preload library of the proof: an engine inside unmodified programs. It starts at the first
// internet socket, runs inline whenever the program asks epoll without waiting, and keeps its
// descriptors out of the program's reach. The sockets themselves stay the kernel's.
//
// TIDELINE_PROOF_ENGINE names the peer's socket; without it everything passes through. The calls
// run in any thread, in signal handlers and between vfork and exec: they take no lock but to start.
#include <dlfcn.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "proofs/inline_engine/runtime.h"

namespace proofs::inline_engine {
namespace {

// The next definition of a function. Found again at each call until dlsym can be used at all.
template <typename Function>
class Next {
 public:
  explicit constexpr Next(const char* name) : name_(name) {}

  template <typename... Args>
  int operator()(Args... args) {
    Function* function = function_.load(std::memory_order_relaxed);
    if (function == nullptr) {
      function = reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name_));
      function_.store(function, std::memory_order_relaxed);
    }
    return function(args...);
  }

 private:
  const char* name_;
  std::atomic<Function*> function_{nullptr};
};

constinit Next<int(int)> next_close("close");
constinit Next<int(unsigned, unsigned, int)> next_close_range("close_range");
constinit Next<int(int, int)> next_dup2("dup2");
constinit Next<int(int, int, int)> next_dup3("dup3");
constinit Next<int(int, int, int)> next_socket("socket");
constinit Next<int(int, epoll_event*, int, int)> next_epoll_wait("epoll_wait");

// The engine of this process; never freed, for threads may use it until the process is gone.
constinit std::atomic<Runtime*> the_runtime{nullptr};
pthread_mutex_t start_mutex = PTHREAD_MUTEX_INITIALIZER;
HighFds::List numbers_at_fork{};

// Around fork: nobody is inside start_engine, and the child drops the numbers that it got. The
// child's own Control page is already wiped, so they are noted before.
void before_fork() noexcept {
  ::pthread_mutex_lock(&start_mutex);
  if (Runtime* runtime = the_runtime.load()) numbers_at_fork = runtime->fds().list();
}
void after_fork_in_parent() noexcept { ::pthread_mutex_unlock(&start_mutex); }
void after_fork_in_child() noexcept {
  for (const int fd : std::exchange(numbers_at_fork, {})) {
    if (fd != 0) ::syscall(SYS_close, fd);
  }
  ::pthread_mutex_unlock(&start_mutex);
}

Runtime* start_engine(const char* meeting_point) {
  ::pthread_mutex_lock(&start_mutex);
  Runtime* runtime = the_runtime.load();
  if (runtime == nullptr) {
    if (auto started = Runtime::start({.meeting_point = meeting_point})) {
      runtime = started->release();
      the_runtime.store(runtime);
      ::pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
    }
  }
  ::pthread_mutex_unlock(&start_mutex);
  return runtime;
}

// 0, or the errno of a socket call that needs the engine.
int use_engine() {
  const char* meeting_point = std::getenv("TIDELINE_PROOF_ENGINE");
  if (meeting_point == nullptr) return 0;
  Runtime* runtime = the_runtime.load(std::memory_order_acquire);
  if (runtime == nullptr) runtime = start_engine(meeting_point);
  if (runtime == nullptr) return ENETDOWN;
  if (runtime->poll() != Entry::kClosed) return 0;
  return runtime->state() == GateState::kForked ? EOPNOTSUPP : ENETDOWN;
}

HighFds* engine_fds() {
  Runtime* runtime = the_runtime.load(std::memory_order_acquire);
  return runtime == nullptr ? nullptr : &runtime->fds();
}

bool is_engines(int fd) {
  const HighFds* fds = engine_fds();
  return fds != nullptr && fds->covers(fd);
}

int close_all_but_engines(unsigned first, unsigned last, int flags) {
  const HighFds* fds = engine_fds();
  if (fds == nullptr || first > last) return next_close_range(first, last, flags);
  return fds->for_gaps(first, last, [flags](unsigned gap_first, unsigned gap_last) {
    return next_close_range(gap_first, gap_last, flags);
  });
}

}  // namespace
}  // namespace proofs::inline_engine

namespace engine = proofs::inline_engine;

// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the C library's are reserved.
extern "C" {

[[gnu::visibility("default")]] int socket(int domain, int type, int protocol) noexcept {
  if (domain == AF_INET || domain == AF_INET6) {
    if (const int error = engine::use_engine(); error != 0) {
      errno = error;
      return -1;
    }
  }
  return engine::next_socket(domain, type, protocol);
}

[[gnu::visibility("default")]] int epoll_wait(int epfd, epoll_event* events, int maxevents,
                                              int timeout) {
  engine::Runtime* runtime = engine::the_runtime.load(std::memory_order_acquire);
  if (runtime != nullptr && timeout == 0) runtime->poll();
  return engine::next_epoll_wait(epfd, events, maxevents, timeout);
}

[[gnu::visibility("default")]] int close(int fd) {
  if (engine::is_engines(fd)) {
    errno = EBADF;
    return -1;
  }
  return engine::next_close(fd);
}

[[gnu::visibility("default")]] int close_range(unsigned first, unsigned last, int flags) noexcept {
  return engine::close_all_but_engines(first, last, flags);
}

[[gnu::visibility("default")]] void closefrom(int first) noexcept {
  engine::close_all_but_engines(first < 0 ? 0 : static_cast<unsigned>(first), ~0U, 0);
}

[[gnu::visibility("default")]] int dup2(int from, int to) noexcept {
  if (from != to && engine::is_engines(to)) engine::engine_fds()->evict(to);
  return engine::next_dup2(from, to);
}

[[gnu::visibility("default")]] int dup3(int from, int to, int flags) noexcept {
  if (engine::is_engines(to)) engine::engine_fds()->evict(to);
  return engine::next_dup3(from, to, flags);
}

}  // extern "C"
// NOLINTEND(readability-inconsistent-declaration-parameter-name)
