// SPDX-License-Identifier: Apache-2.0
// Runs code that is written against a Memory policy (memory.h) under every interleaving that x86's
// memory model (TSO) allows, and finds the one in which everybody sleeps. For tests.
//
// The bodies of a scenario are fibers. Each access to a Memory::Atomic or Plain is a step. Stores
// go to a store buffer per thread and reach memory later, in order; a fence, a read-modify-write
// and a system call (Bell) drain it. Before each step the explorer chooses: which thread steps, or
// which buffer drains by one. Depth first, it takes every choice; a state that was reached before
// is not followed again. A thread's local state is a function of the values it has read, so the
// hash of those, the buffers and the memory identify a state.
//
// Bodies must be deterministic, must be finite in every interleaving, and must hold nothing that
// needs a destructor: the stack of a fiber whose state is known already is dropped.
#pragma once

#include <ucontext.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

namespace tideline::ring::model {

class Explorer {
 public:
  struct Outcome {
    std::uint64_t executions = 0;
    std::uint64_t states = 0;
    std::string failure;  // empty: no interleaving failed
  };

  // A body per thread, and perhaps a check for when all have ended.
  struct Scenario {
    std::vector<std::function<void()>> bodies;
    std::function<std::string()> check;  // what is wrong; empty: nothing
  };

  // Explores all interleavings, at most `max_executions`; exceeding that is a failure too, for a
  // partial search proves nothing. `make` is called once per execution and resets the shared
  // objects, at the same addresses each time.
  static Outcome explore(const std::function<Scenario()>& make, std::uint64_t max_executions);

  // For ModelMemory and Bell below. Outside of an execution all accesses act at once.
  static Explorer* current();
  // Which body runs.
  std::size_t running() const { return running_; }
  std::uint64_t load(const std::uint64_t& location);
  void store(std::uint64_t& location, std::uint64_t value);
  std::uint64_t exchange(std::uint64_t& location, std::uint64_t value);
  void fence();
  // A step that blocks while `location` is zero, then zeroes it.
  void sleep_until_set(std::uint64_t& location);

 private:
  struct BufferedStore {
    std::uint64_t* location;
    std::uint64_t value;
  };
  struct Fiber {
    ucontext_t context{};
    std::unique_ptr<std::byte[]> stack;
    std::function<void()> body;
    std::vector<BufferedStore> buffer;
    const std::uint64_t* blocked_on = nullptr;
    std::uint64_t history = 0;  // hash of all values read
    bool done = false;
  };
  // A point where the search chose: `taken` of `options`.
  struct Choice {
    std::size_t taken;
    std::size_t options;
  };
  // What may happen next: a thread makes a step, or its oldest buffered store reaches memory.
  struct Option {
    std::size_t fiber;
    bool drains;
  };
  enum class End { kFinished, kPruned, kFailed };

  static void fiber_main();
  void start(Scenario& scenario);
  End run_once(Scenario scenario, std::string& failure);
  std::vector<Option> options() const;
  std::size_t choose(std::size_t options);
  bool advance();
  void step();
  void drain(Fiber& fiber, std::size_t count);
  void resume(std::size_t index);
  std::uint64_t state_hash() const;
  void observe(std::uint64_t value);
  void remember(std::uint64_t& location);
  bool runnable(const Fiber& fiber) const;

  ucontext_t scheduler_{};
  std::vector<Fiber> fibers_;
  std::size_t running_ = 0;
  std::vector<std::uint64_t*> locations_;  // every location stored to in this execution
  std::vector<Choice> path_;
  std::size_t depth_ = 0;
  std::unordered_set<std::uint64_t> visited_;
};

// The Memory policy of the explorer; values of up to 64 bits.
struct ModelMemory {
  template <typename T>
  class Atomic {
   public:
    constexpr explicit Atomic(T value) : value_(static_cast<std::uint64_t>(value)) {}
    T load(std::memory_order) const {
      return static_cast<T>(Explorer::current() != nullptr ? Explorer::current()->load(value_)
                                                           : value_);
    }
    void store(T value, std::memory_order) {
      if (Explorer::current() != nullptr) {
        Explorer::current()->store(value_, static_cast<std::uint64_t>(value));
      } else {
        value_ = static_cast<std::uint64_t>(value);
      }
    }

   private:
    std::uint64_t value_;
  };

  // Each access is a step as well: what the indices fail to guard is found.
  template <typename T>
  class Plain {
   public:
    T load() const { return cell_.load(std::memory_order_relaxed); }
    void store(T value) { cell_.store(value, std::memory_order_relaxed); }

   private:
    Atomic<T> cell_{T{}};
  };

  static void full_fence() { Explorer::current()->fence(); }
};

// A bell in the model: a system call on both sides.
class Bell {
 public:
  void ring() { Explorer::current()->exchange(rung_, 1); }
  void sleep() { Explorer::current()->sleep_until_set(rung_); }

 private:
  std::uint64_t rung_ = 0;
};

}  // namespace tideline::ring::model
