// SPDX-License-Identifier: Apache-2.0
// The clock of this library, and who may move it. Virtual time stands still while anybody computes:
//
//   outside of calls                        in a blocking call, on a thread of its own
//   gettimeofday: a microsecond passes      sleeps in the kernel: may be passed by
//   usleep, netdev_receive: on to the       woken: time stands still until it has asked what time
//   next deadline of engine or sleeper      it is, for that is when the call has ended
//
// In real time it is CLOCK_MONOTONIC. Thread: any, unless a function says otherwise.
#pragma once

#include <poll.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "base/time.h"

namespace tideline::shim::packetdrill {

// Says why the script cannot go on, and ends the process with status 3: packetdrill would wait for
// ever.
[[noreturn]] void give_up(const char* reason);

class Timekeeper {
 public:
  // What happens in time beside sleepers.
  class Driven {
   public:
    virtual Instant next_deadline() = 0;
    // Does all that is due.
    virtual void drive() = 0;

   protected:
    ~Driven() = default;
  };

  // The calling thread is the script's, and time virtual from now on.
  void start_virtual(Driven& driven);
  void stop();
  bool is_virtual() const { return driven_ != nullptr; }

  Instant now() const;
  // A call of another thread than the script's begins; it ends when that thread reads the clock.
  void begin_call();
  // For gettimeofday: who reads it again and again sees it move.
  Instant read();

  // Sleeps until one of the descriptors has what it waits for, or the deadline: how many have. On
  // the script's thread time passes meanwhile.
  int sleep(std::span<pollfd> fds, Instant deadline);

  // Outside of calls. Lets time pass until `end`.
  void advance_to(Instant end);
  // To the next that happens, if that is no later than `limit`. False if it is: nothing was done.
  bool step(Instant limit);
  // Until all that other threads can do at this time is done.
  void settle();

 private:
  struct Sleeper {
    std::span<pollfd> fds;
    Instant deadline;
    int bell;
  };

  bool is_script() const { return std::this_thread::get_id() == script_; }
  Instant next_event();
  bool step_on(Instant limit);
  void set(Instant to) { now_.store(to.time_since_epoch().count(), std::memory_order_release); }

  Driven* driven_ = nullptr;
  std::thread::id script_;
  std::atomic<std::int64_t> now_{0};
  std::mutex moving_;  // who moves the clock
  std::mutex mutex_;   // the rest
  std::condition_variable changed_;
  std::vector<Sleeper*> sleepers_;
  int awake_ = 0;  // calls of other threads that do not sleep
};

// DEVIATES: a global. The engine asks monotonic_now() what time it is, and that is this one's now.
extern Timekeeper timekeeper;

}  // namespace tideline::shim::packetdrill
