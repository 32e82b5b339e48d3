// SPDX-License-Identifier: Apache-2.0
// An epoll instance that watches sockets of ours. The kernel's instance keeps watching the kernel's
// descriptors and kernel halves, and with them this set's doorbell; our sockets' readiness is found
// in user space, through hints, so that a wait costs what is ready and not what is watched. Level,
// edge and one-shot; EPOLLEXCLUSIVE is taken as level. docs/adr/0005. Thread: any.
#pragma once

#include <signal.h>
#include <sys/epoll.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "client/sockets.h"
#include "client/waiter.h"
#include "shim/sockets/fd_table.h"
#include "shim/sockets/wait.h"

namespace tideline::shim::sockets {

struct File;

class EpollSet final : public Counted {
 public:
  // Makes `epfd`, the kernel's so far, one of ours. Null: there is no memory.
  static EpollSet* open(int epfd);
  void release();

  // epoll_ctl on a socket of the table; 0 or a negative errno.
  int control(int epfd, int operation, int fd, const epoll_event* event);
  // Something else waits for `epfd`, an instance of ours from now on: the kernel must see when it
  // has events of our sockets.
  static void nest(int epfd);
  // Counts what else the kernel's set watches.
  void note_kernel_item(int operation);
  // How many events, or a negative errno.
  int wait(int epfd, std::span<epoll_event> events, Deadline deadline, const sigset_t* mask);

  // In all sets: `fd` is being closed; it is ours too now, or ours alone; it is the kernel's alone.
  static void forget_everywhere(int fd);
  static void decided(int fd, File& file);
  // Something holds of it that the engine does not know.
  static void look_again(int fd);
  static void pass_on(int fd);
  static void after_fork_in_child();

  EpollSet* next_free = nullptr;

 private:
  struct Nap;
  struct Item {
    int fd = -1;  // -1: a free place
    File* file = nullptr;
    std::uint32_t events = 0;
    epoll_data_t data{};
    bool in_kernel = false;  // the kernel's set watches the kernel half
    bool watched = false;    // hints come
    bool candidate = false;  // in candidates_
    bool hinted = false;     // something happened since it was last reported: an edge
    bool disabled = false;   // one-shot, fired
  };

  Item* find(int fd);
  bool ensure_waiter();
  void arm();
  void disarm();
  void ring() const;
  void show_to_kernel();
  int add(int epfd, int fd, File& file, const epoll_event& event);
  int change(int epfd, Item& item, const epoll_event& event);
  // `from_kernel`: the number stays open, and leaves the kernel's set.
  void remove(Item& item, bool from_kernel);
  void watch(Item& item);
  void add_to_kernel(Item& item);
  void suggest(std::size_t index);
  void take_hints();
  std::size_t collect(std::span<epoll_event> events);
  int look_at_kernel(int epfd, std::span<epoll_event> events, const timespec& limit,
                     const sigset_t* mask);
  bool spin(int epfd, client::Sockets& sockets, const Deadline& deadline);
  int sleep(int epfd, client::Sockets* sockets, std::span<epoll_event> events,
            const Deadline& deadline, const sigset_t* mask, const SignalMark& begun);
  static int sleep_on_wire(Nap& nap, const sigset_t* mask);
  int look(int epfd, std::span<epoll_event> events, const sigset_t* mask);
  int wait_once(int epfd, std::span<epoll_event> events, Deadline deadline, const sigset_t* mask);
  bool prepare_sleep();
  void after_sleep();
  template <typename Body>
  static void in_all(int fd, const Body& body);

  std::mutex mutex_;
  std::unique_ptr<client::Waiter> waiter_;  // null: nothing of ours to wait for so far
  int epfd_ = -1;                           // the number that it was made with
  bool armed_ = false;
  // By a forked child, which has the kernel's set in common with its parent: a doorbell's edge may
  // wake the other one.
  bool inherited_ = false;
  bool watches_anew_ = false;
  bool nested_ = false;  // others wait for it in the kernel, and must be woken
  std::atomic<bool> spinning_{false};
  unsigned sleepers_ = 0;
  int kernel_items_ = 0;
  std::vector<Item> items_;
  std::vector<std::uint32_t> free_items_;
  std::vector<std::int32_t> index_of_;  // by descriptor, -1: not here
  std::vector<std::uint32_t> candidates_;
  std::atomic<std::uint64_t> kernel_looked_{0};  // when, in TSC ticks
  std::uint64_t kernel_turn_ = 0;
  EpollSet* next_live_ = nullptr;
};

}  // namespace tideline::shim::sockets
