// SPDX-License-Identifier: Apache-2.0
#include "shim/sockets/process.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <utility>

#include "shim/sockets/bootstrap.h"
#include "shim/sockets/epoll_set.h"
#include "shim/sockets/file.h"
#include "shim/sockets/handover.h"
#include "shim/sockets/popen.h"
#include "shim/sockets/signals.h"
#include "shim/sockets/stdio.h"

namespace tideline::shim::sockets {
namespace {

thread_local bool starting = false;

bool is_set(const char* variable) {
  const char* value = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): at load only
  return value != nullptr && *value != '\0';
}

}  // namespace

constinit Process process;

bool Process::is_starting() const { return starting; }

client::Sockets* Process::join() {
  if (starting || forked_) return nullptr;
  const std::scoped_lock lock(mutex_);
  if (client::Sockets* found = sockets_.load(std::memory_order_relaxed)) return found;
  if (failed_) return nullptr;
  const int before = errno;
  starting = true;
  const auto joined = join_engine();
  starting = false;
  errno = before;
  if (!joined) {
    failed_ = true;
    std::fprintf(stderr, "tideline: %s: sockets stay with the kernel\n",
                 joined.error().message().c_str());
    return nullptr;
  }
  std::atexit(&Process::finish_at_exit);
  sockets_.store(*joined, std::memory_order_release);
  return *joined;
}

void Process::tell_forked() {
  if (std::exchange(forked_told_, true)) return;
  std::fprintf(stderr,
               "tideline: pid %d was forked off a program whose network stack is in it: sockets of "
               "that stack are not the child's (placement app)\n",
               ::getpid());
}

void Process::tell_exhausted(int error) {
  const int before = errno;
  rlimit limit{};
  if (error == EMFILE && !descriptors_told_.exchange(true)) {
    ::getrlimit(RLIMIT_NOFILE, &limit);
    std::fprintf(stderr,
                 "tideline: pid %d: no descriptor is left for a socket: RLIMIT_NOFILE is %llu, at "
                 "most %llu (ulimit -n, ulimit -Hn)\n",
                 ::getpid(), static_cast<unsigned long long>(limit.rlim_cur),
                 static_cast<unsigned long long>(limit.rlim_max));
  }
  if (error == ENOBUFS && !quota_told_.exchange(true)) {
    std::fprintf(stderr,
                 "tideline: pid %d: no room for another socket: sockets, buffers, connections or "
                 "ports are used up; `tideline status` shows how many there may be\n",
                 ::getpid());
  }
  errno = before;
}

std::unique_ptr<client::Waiter> Process::take_waiter() {
  client::Sockets* found = running();
  if (found == nullptr || forked_) return nullptr;
  auto taken = found->take_waiter();
  return taken ? std::move(*taken) : nullptr;
}

void Process::give_waiter(std::unique_ptr<client::Waiter> waiter) {
  running()->give_waiter(std::move(waiter));
}

// What exit() leaves unsent would be lost with the engine.
void Process::finish_at_exit() {
  if (process.forked_) return;
  flush_streams();
  constexpr Duration kLongest = std::chrono::seconds(30);
  process.running()->finish(kLongest);
  if (process.stats_) process.report();
  report_engine(process.stats_);
}

// Also of a program that needed no engine.
void Process::report_at_exit() {
  if (process.running() == nullptr) process.report();
}

void Process::report() const {
  const auto of = [&](Count what) {
    return static_cast<unsigned long long>(
        counts_[static_cast<std::size_t>(what)].load(std::memory_order_relaxed));
  };
  std::fprintf(
      stderr,
      "tideline: pid %d: sockets ours=%llu both=%llu accepted=%llu kernel=%llu refused=%llu "
      "other_families=%llu copied_bytes=%llu\n",
      ::getpid(), of(Count::kOurs), of(Count::kBoth), of(Count::kAccepted), of(Count::kPassed),
      of(Count::kRefused), of(Count::kOther),
      static_cast<unsigned long long>(running() == nullptr ? 0 : running()->copied_bytes()));
}

void Process::before_fork() {
  if (process.running() != nullptr && !process.forked_) process.running()->before_fork();
}

void Process::after_fork_in_parent() {
  if (process.running() != nullptr && !process.forked_) process.running()->after_fork_in_parent();
}

void Process::after_fork_in_child() {
  new (&process.mutex_) std::mutex;
  signals_after_fork_in_child();
  File::after_fork_in_child();
  EpollSet::after_fork_in_child();
  popen_after_fork_in_child();
  if (process.running() == nullptr || process.forked_) return;
  process.forked_ = !process.running()->after_fork_in_child();
}

void start_process() {
  process.strict_ = is_set("TIDELINE_STRICT");
  process.localhost_ = is_set("TIDELINE_LOCALHOST");
  process.stats_ = is_set("TIDELINE_STATS");
  if (process.stats_) std::atexit(&Process::report_at_exit);
  ::pthread_atfork(&Process::before_fork, &Process::after_fork_in_parent,
                   &Process::after_fork_in_child);
}

namespace {

__attribute__((constructor)) void start_at_load() {
  start_process();
  adopt_at_load();
}

}  // namespace

}  // namespace tideline::shim::sockets
