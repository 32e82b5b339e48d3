// SPDX-License-Identifier: Apache-2.0
#include "ring/model/explorer.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace tideline::ring::model {
namespace {

constexpr std::size_t kStackSize = std::size_t{64} << 10;

// The explorer whose fibers run on this thread: what ModelMemory's static functions act on.
thread_local Explorer* running_explorer = nullptr;

// One round of a 64-bit finaliser (splitmix64).
std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
  std::uint64_t z = hash ^ (value + 0x9e3779b97f4a7c15 + (hash << 6) + (hash >> 2));
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

Explorer* Explorer::current() { return running_explorer; }

Explorer::Outcome Explorer::explore(const std::function<Scenario()>& make,
                                    std::uint64_t max_executions) {
  Explorer explorer;
  Outcome outcome;
  do {
    if (outcome.executions == max_executions) {
      outcome.failure = fmt::format("not explored within {} executions", max_executions);
      break;
    }
    ++outcome.executions;
    if (explorer.run_once(make(), outcome.failure) == End::kFailed) break;
  } while (explorer.advance());
  outcome.states = explorer.visited_.size();
  return outcome;
}

// Moves the search to the next path: the deepest choice that has an option left.
bool Explorer::advance() {
  while (!path_.empty() && path_.back().taken + 1 == path_.back().options) path_.pop_back();
  if (path_.empty()) return false;
  ++path_.back().taken;
  return true;
}

std::size_t Explorer::choose(std::size_t options) {
  if (depth_ == path_.size()) path_.push_back({.taken = 0, .options = options});
  const Choice& choice = path_[depth_++];
  CHECK(choice.options == options, "the scenario is not deterministic");
  return choice.taken;
}

Explorer::End Explorer::run_once(Scenario scenario, std::string& failure) {
  depth_ = 0;
  locations_.clear();
  fibers_.resize(scenario.bodies.size());
  for (std::size_t i = 0; i < fibers_.size(); ++i) {
    Fiber& fiber = fibers_[i];
    if (!fiber.stack) fiber.stack = std::make_unique<std::byte[]>(kStackSize);
    fiber.body = std::move(scenario.bodies[i]);
    fiber.buffer.clear();
    fiber.blocked_on = nullptr;
    fiber.history = 0;
    fiber.done = false;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStackSize;
    fiber.context.uc_link = &scheduler_;
    makecontext(&fiber.context, &Explorer::fiber_main, 0);
  }
  // Up to its first access a body touches nothing shared: no choice there.
  for (std::size_t i = 0; i < fibers_.size(); ++i) resume(i);

  for (;;) {
    // Beyond the path that is being replayed, a known state ends the execution.
    if (depth_ == path_.size() && !visited_.insert(state_hash()).second) return End::kPruned;

    std::vector<std::pair<std::size_t, bool>> options;  // which fiber; true: it drains one store
    for (std::size_t i = 0; i < fibers_.size(); ++i) {
      if (runnable(fibers_[i])) options.emplace_back(i, false);
      if (!fibers_[i].buffer.empty()) options.emplace_back(i, true);
    }
    if (options.empty()) {
      if (!std::ranges::all_of(fibers_, &Fiber::done)) {
        failure = fmt::format("everybody sleeps after {} steps: a wake-up was lost", depth_);
        return End::kFailed;
      }
      failure = scenario.check ? scenario.check() : std::string();
      return failure.empty() ? End::kFinished : End::kFailed;
    }
    const auto [index, drains] = options[choose(options.size())];
    if (drains) {
      drain(fibers_[index], 1);
    } else {
      resume(index);
    }
  }
}

void Explorer::fiber_main() {
  Explorer& explorer = *running_explorer;
  Fiber& self = explorer.fibers_[explorer.running_];
  self.body();
  self.done = true;
}

void Explorer::resume(std::size_t index) {
  running_ = index;
  running_explorer = this;
  swapcontext(&scheduler_, &fibers_[index].context);
  running_explorer = nullptr;
}

// Hands control back before an access: the access itself happens when the search picks this thread
// again.
void Explorer::step() { swapcontext(&fibers_[running_].context, &scheduler_); }

bool Explorer::runnable(const Fiber& fiber) const {
  return !fiber.done && (fiber.blocked_on == nullptr || *fiber.blocked_on != 0);
}

void Explorer::drain(Fiber& fiber, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) *fiber.buffer[i].location = fiber.buffer[i].value;
  fiber.buffer.erase(fiber.buffer.begin(),
                     fiber.buffer.begin() + static_cast<std::ptrdiff_t>(count));
}

void Explorer::observe(std::uint64_t value) {
  std::uint64_t& history = fibers_[running_].history;
  history = mix(history, value);
}

void Explorer::remember(std::uint64_t& location) {
  if (std::ranges::find(locations_, &location) == locations_.end()) locations_.push_back(&location);
}

// Values that are read count as observed; every access counts as a step, so that program counters
// differ.
std::uint64_t Explorer::load(const std::uint64_t& location) {
  step();
  std::uint64_t value = location;
  for (const BufferedStore& store : fibers_[running_].buffer) {
    if (store.location == &location) value = store.value;
  }
  observe(value);
  return value;
}

void Explorer::store(std::uint64_t& location, std::uint64_t value) {
  step();
  remember(location);
  fibers_[running_].buffer.push_back({.location = &location, .value = value});
  observe(0);
}

std::uint64_t Explorer::exchange(std::uint64_t& location, std::uint64_t value) {
  step();
  Fiber& self = fibers_[running_];
  drain(self, self.buffer.size());
  remember(location);
  const std::uint64_t old = std::exchange(location, value);
  observe(old);
  return old;
}

void Explorer::fence() {
  step();
  Fiber& self = fibers_[running_];
  drain(self, self.buffer.size());
  observe(0);
}

void Explorer::sleep_until_set(std::uint64_t& location) {
  step();
  Fiber& self = fibers_[running_];
  drain(self, self.buffer.size());
  remember(location);
  self.blocked_on = &location;
  step();
  self.blocked_on = nullptr;
  location = 0;
  observe(1);
}

std::uint64_t Explorer::state_hash() const {
  std::uint64_t hash = 0;
  for (const Fiber& fiber : fibers_) {
    hash = mix(hash, fiber.history);
    hash = mix(hash, fiber.done ? 1 : 0);
    hash = mix(hash, fiber.blocked_on != nullptr ? 1 : 0);
    hash = mix(hash, fiber.buffer.size());
  }
  std::uint64_t memory =
      0;  // a sum: the order in which locations were first stored to does not matter
  for (const std::uint64_t* location : locations_) {
    memory += mix(reinterpret_cast<std::uintptr_t>(location), *location);
  }
  return mix(hash, memory);
}

}  // namespace tideline::ring::model
