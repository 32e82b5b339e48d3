// SPDX-License-Identifier: Apache-2.0
// An epoll instance that watches tokens. The kernel's instance keeps watching the kernel's
// descriptors, and with them this instance's doorbell; the tokens' readiness is found in user
// space, through hints, so that a wait costs what is ready and not what is watched. Level, edge and
// one-shot. Any thread.
//
// A listener token needs none of this: connections queue in the kernel, which watches it as it is.
// Not supported: an instance inside another; sharing one with a forked child is served by looking
// every millisecond.
#pragma once

#include <signal.h>
#include <sys/epoll.h>

#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "proofs/token/shim/fd_table.h"
#include "proofs/token/shim/process.h"

namespace proofs::token {

class Stream;

class EpollSet : public Counted {
 public:
  static EpollSet* at(std::uint64_t word) {
    return reinterpret_cast<EpollSet*>(word);  // NOLINT(performance-no-int-to-ptr): a table word
  }
  // Makes `epfd`, the kernel's so far, one of ours. Null: no bell was to be had.
  static EpollSet* open(int epfd);
  void release();

  // epoll_ctl on a token; 0 or a negative errno.
  int control(int epfd, int operation, int fd, const epoll_event* event);
  // epoll_pwait; the number of events or a negative errno.
  int wait(int epfd, std::span<epoll_event> events, int timeout_ms, const sigset_t* mask);

  // `fd` is being closed: no set watches it any more.
  static void forget_everywhere(int fd);
  static void before_fork();
  static void after_fork(bool in_child);

  EpollSet* next_free = nullptr;

 private:
  struct Item {
    int fd = -1;  // -1: a free place
    Stream* stream = nullptr;
    std::uint32_t events = 0;
    epoll_data_t data{};
    int slot = -1;
    bool candidate = false;  // in candidates_
    bool hinted = false;     // something happened since it was last reported: an edge
    bool disabled = false;   // one-shot, fired
  };

  int add(int epfd, int fd, const epoll_event& event);
  int remove(int epfd, std::size_t index);
  void suggest(std::size_t index);
  void gather();
  std::size_t collect(std::span<epoll_event> events);
  int poll_kernel(int epfd, std::span<epoll_event> events, int timeout_ms, const sigset_t* mask);
  bool prepare_sleep();
  void after_sleep();
  Bell& bell() const { return process.board().bells[bell_.number]; }
  std::uint64_t tag(std::uint32_t low) const;

  std::mutex mutex_;
  OwnBell bell_;
  std::uint32_t sleepers_ = 0;
  std::vector<Item> items_;
  std::vector<std::uint32_t> free_items_;
  std::vector<std::int32_t> index_of_;  // by descriptor, -1: not here
  std::vector<std::uint32_t> candidates_;
  std::uint64_t kernel_polled_ = 0;  // when, in TSC ticks
  bool foreign_ = false;             // made before a fork, by the parent: no bell, looks by time
  bool must_look_again_ = false;     // a token had no slot for our bell
  EpollSet* next_live_ = nullptr;
};

}  // namespace proofs::token
