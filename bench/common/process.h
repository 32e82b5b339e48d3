// SPDX-License-Identifier: Apache-2.0
// Child processes of a benchmark, and where they run.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>

namespace bench {

// How many cores this process was given (taskset, a container's cpuset), whether pinned now or not.
int usable_cores();

// Binds the calling thread to one of the given cores (0, 1, ..), or to all of them again. Aborts if
// there is no such core or the kernel refuses: a figure of an unbound thread would be a wrong
// figure.
void pin_to_core(int core);
void unpin();

// A forked child that runs `body` and exits with what it returns. The destructor kills (SIGKILL)
// and reaps a child that still runs, so a failing benchmark leaves none behind; the child dies with
// its parent, too (PR_SET_PDEATHSIG). Fork before starting threads. SIGCHLD gets its default action
// back: nobody else may reap these children.
class Child {
 public:
  static Child run(const std::function<int()>& body);

  Child(Child&& other) noexcept;
  Child& operator=(Child&&) = delete;
  Child(const Child&) = delete;
  ~Child();

  pid_t pid() const { return pid_; }
  void signal(int number) const;
  // Waits for the end; the wait status as of waitpid(2).
  int wait();
  // The wait status if the child has ended.
  std::optional<int> poll();
  // Waits, and tells whether it exited with 0.
  bool succeeded();

 private:
  explicit Child(pid_t pid) : pid_(pid) {}

  pid_t pid_ = -1;  // -1 once reaped
};

}  // namespace bench
