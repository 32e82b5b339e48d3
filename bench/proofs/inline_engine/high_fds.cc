// SPDX-License-Identifier: Apache-2.0
#include "proofs/inline_engine/high_fds.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/fd.h"

#ifndef F_DUPFD_QUERY
#define F_DUPFD_QUERY 1027
#endif

namespace proofs::inline_engine {
namespace {

// The kernel's own calls: inside the preload library close() would come back to HighFds.
void close_number(int fd) { ::syscall(SYS_close, fd); }

int duplicate_from(int fd, rlim_t base) {
  return ::fcntl(fd, F_DUPFD_CLOEXEC, static_cast<int>(base));
}

}  // namespace

NumberPlan plan_numbers(const rlimit& limits) {
  const rlim_t soft = limits.rlim_cur;
  const rlim_t hard = limits.rlim_max;
  if (soft > kHighestBase + kReservedNumbers) return {kHighestBase, soft, soft};
  if (soft + kReservedNumbers <= hard) return {soft, soft + kReservedNumbers, soft};
  // No room above: the program's limit shrinks by what the engine takes.
  const rlim_t base = hard > 2 * kReservedNumbers ? hard - kReservedNumbers : hard / 2;
  return {base, hard, base};
}

bool same_file(int a, int b) {
  const int same = ::fcntl(a, F_DUPFD_QUERY, b);
  if (same >= 0) return same == 1;
  if (errno != EINVAL) return false;
  const long order = ::syscall(SYS_kcmp, ::getpid(), ::getpid(), KCMP_FILE, a, b);
  if (order >= 0) return order == 0;
  return errno != EBADF;
}

tideline::Status HighFds::put(EngineFile file, int fd) {
  const tideline::UniqueFd owned(fd);
  rlimit limits{};
  if (::getrlimit(RLIMIT_NOFILE, &limits) != 0) return tideline::fail_errno("cannot read limits");
  const NumberPlan plan = plan_numbers(limits);
  rlimit changed{.rlim_cur = plan.soft_while, .rlim_max = limits.rlim_max};
  if (plan.soft_while != limits.rlim_cur) ::setrlimit(RLIMIT_NOFILE, &changed);
  const int use = duplicate_from(fd, plan.base);
  const int witness = use < 0 ? -1 : duplicate_from(fd, plan.base);
  const int error = errno;
  changed.rlim_cur = plan.soft_after;
  if (plan.soft_after != plan.soft_while) ::setrlimit(RLIMIT_NOFILE, &changed);
  if (witness < 0) {
    if (use >= 0) close_number(use);
    errno = error;
    return tideline::fail_errno("no high descriptor numbers are left for the engine",
                                "raise the hard limit of open files");
  }
  lock();
  Numbers& numbers = numbers_[static_cast<std::uint32_t>(file)];
  numbers.use.store(use, std::memory_order_relaxed);
  numbers.witness.store(witness, std::memory_order_relaxed);
  note_lowest();
  unlock();
  return {};
}

bool HighFds::ring(EngineFile file) {
  lock();
  const Numbers& numbers = numbers_[static_cast<std::uint32_t>(file)];
  const int use = numbers.use.load(std::memory_order_relaxed);
  const int witness = numbers.witness.load(std::memory_order_relaxed);
  const bool ours = use != 0 && same_file(use, witness);
  bool rung = false;
  if (ours) {
    const std::uint64_t one = 1;
    // EAGAIN: the counter is full, so the sleeper has been told already.
    rung = ::write(use, &one, sizeof(one)) == sizeof(one) || errno == EAGAIN;
  }
  unlock();
  return rung;
}

HighFds::List HighFds::list() const {
  List list{};
  for (std::uint32_t i = 0; i < kEngineFiles; ++i) {
    list[std::size_t{2} * i] = numbers_[i].use.load(std::memory_order_relaxed);
    list[std::size_t{2} * i + 1] = numbers_[i].witness.load(std::memory_order_relaxed);
  }
  return list;
}

bool HighFds::covers_slowly(int fd) const {
  const List numbers = list();
  return fd != 0 && std::ranges::find(numbers, fd) != numbers.end();
}

std::uint64_t HighFds::next_number(std::uint64_t first) const {
  std::uint64_t next = kNoNumber;
  for (const int fd : list()) {
    const auto number = static_cast<std::uint64_t>(fd);
    if (number != 0 && number >= first) next = std::min(next, number);
  }
  return next;
}

void HighFds::evict(int number) {
  lock();
  for (Numbers& numbers : numbers_) {
    for (std::atomic<int>* held : {&numbers.use, &numbers.witness}) {
      if (held->load(std::memory_order_relaxed) != number) continue;
      // Higher than all, or anywhere from the lowest: both are out of the program's way. If the
      // table is full, the file is lost here, noticed at its next use and fetched again.
      int moved = duplicate_from(number, static_cast<rlim_t>(number) + 1);
      if (moved < 0) moved = duplicate_from(number, static_cast<rlim_t>(lowest()));
      if (moved < 0) continue;
      held->store(moved, std::memory_order_relaxed);
      close_number(number);
    }
  }
  note_lowest();
  unlock();
}

void HighFds::close_all() {
  for (Numbers& numbers : numbers_) {
    for (std::atomic<int>* held : {&numbers.use, &numbers.witness}) {
      if (const int fd = held->exchange(0); fd != 0) close_number(fd);
    }
  }
}

void HighFds::lock() {
  while (busy_.exchange(true, std::memory_order_acquire)) ::sched_yield();
}

void HighFds::note_lowest() {
  lowest_.store(static_cast<int>(std::min<std::uint64_t>(next_number(1), INT32_MAX)),
                std::memory_order_relaxed);
}

}  // namespace proofs::inline_engine
