// SPDX-License-Identifier: Apache-2.0
#include "shim/packetdrill/timekeeper.h"

#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "base/clock.h"
#include "base/fd.h"
#include "shim/packetdrill/kernel.h"

namespace tideline {

// The engine's clock (base/clock.h), in this library.
Instant monotonic_now() { return shim::packetdrill::timekeeper.now(); }

}  // namespace tideline

namespace tideline::shim::packetdrill {
namespace {

// So that nothing that counts from zero has wrapped or is unset.
constexpr Instant kBeginning{std::chrono::hours(10)};
// Of real time, for another thread to take up what it was woken for.
constexpr auto kStuck = std::chrono::seconds(5);

// The call of this thread that the clock waits for.
thread_local bool in_call = false;

int look(std::span<pollfd> fds) {
  constexpr timespec kNow{};
  const int found = kernel().ppoll(fds.data(), fds.size(), &kNow, nullptr);
  return std::max(found, 0);
}

}  // namespace

Timekeeper timekeeper;

void give_up(const char* reason) {
  std::fflush(nullptr);  // what packetdrill has said so far
  std::fprintf(stderr, "tideline: packetdrill: %s\n", reason);
  ::_exit(3);
}

void Timekeeper::start_virtual(Driven& driven) {
  tsc_hz();  // is measured in real time, once
  script_ = std::this_thread::get_id();
  set(kBeginning);
  driven_ = &driven;
}

void Timekeeper::stop() { driven_ = nullptr; }

Instant Timekeeper::now() const {
  if (is_virtual()) return Instant(Duration(now_.load(std::memory_order_acquire)));
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return Instant(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

void Timekeeper::begin_call() {
  if (!is_virtual() || is_script() || in_call) return;
  in_call = true;
  const std::scoped_lock lock(mutex_);
  ++awake_;
}

Instant Timekeeper::read() {
  if (!is_virtual()) return now();
  if (!in_call) {
    advance_to(now() + std::chrono::microseconds(1));
    return now();
  }
  const Instant at = now();
  in_call = false;
  const std::scoped_lock lock(mutex_);
  --awake_;
  changed_.notify_all();
  return at;
}

int Timekeeper::sleep(std::span<pollfd> fds, Instant deadline) {
  if (is_script()) {
    for (;;) {
      settle();
      const int ready = look(fds);
      if (ready > 0 || now() >= deadline) return ready;
      if (!step(deadline) && deadline == kNever) give_up("the script waits for what never comes");
      if (next_event() > deadline) advance_to(deadline);
    }
  }
  driven_->drive();  // what it has left to do
  if (const int ready = look(fds); ready > 0 || now() >= deadline) return ready;
  const UniqueFd bell(::eventfd(0, EFD_CLOEXEC));
  std::vector<pollfd> all(fds.begin(), fds.end());
  all.push_back({.fd = bell.get(), .events = POLLIN, .revents = 0});
  Sleeper self{.fds = fds, .deadline = deadline, .bell = bell.get()};
  {
    const std::scoped_lock lock(mutex_);
    sleepers_.push_back(&self);
    --awake_;
    changed_.notify_all();
  }
  kernel().ppoll(all.data(), all.size(), nullptr, nullptr);
  {
    const std::scoped_lock lock(mutex_);
    std::erase(sleepers_, &self);
    ++awake_;
    changed_.notify_all();
  }
  return look(fds);
}

// Until all that other threads can do at this time is done.
void Timekeeper::settle() {
  std::unique_lock lock(mutex_);
  const auto end = std::chrono::steady_clock::now() + kStuck;
  const auto is_quiet = [this] {
    bool quiet = awake_ == 0;
    for (Sleeper* sleeper : sleepers_) {
      const bool due = sleeper->deadline <= now();
      if (due) ::eventfd_write(sleeper->bell, 1);
      std::vector<pollfd> fds(sleeper->fds.begin(), sleeper->fds.end());
      if (due || look(fds) > 0) quiet = false;
    }
    return quiet;
  };
  while (!is_quiet()) {
    if (changed_.wait_until(lock, end) == std::cv_status::timeout) {
      give_up("a blocking call does not go on");
    }
  }
}

Instant Timekeeper::next_event() {
  Instant next = driven_->next_deadline();
  const std::scoped_lock lock(mutex_);
  for (const Sleeper* sleeper : sleepers_) next = std::min(next, sleeper->deadline);
  return next;
}

bool Timekeeper::step(Instant limit) {
  const std::scoped_lock lock(moving_);
  return step_on(limit);
}

bool Timekeeper::step_on(Instant limit) {
  settle();
  const Instant next = next_event();
  if (next == kNever || next > limit) return false;
  // What was due and is not done yet waits for a later time.
  set(std::max(next, now() + Duration(1)));
  driven_->drive();
  settle();
  return true;
}

void Timekeeper::advance_to(Instant end) {
  const std::scoped_lock lock(moving_);
  while (step_on(end)) {
  }
  set(std::max(end, now()));
  driven_->drive();
  settle();
}

}  // namespace tideline::shim::packetdrill
