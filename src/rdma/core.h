// SPDX-License-Identifier: Apache-2.0
// What the parts of one device share: tables, counters, the list of queue pairs with work, their
// timers, and how requests end. Inside the room only. Thread: the engine's lock.
#pragma once

#include <cstdint>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "base/time.h"
#include "ip/delivery.h"
#include "packet/pool.h"
#include "rdma/address.h"
#include "rdma/completion_queue.h"
#include "rdma/counters.h"
#include "rdma/direct_path.h"
#include "rdma/loopback.h"
#include "rdma/options.h"
#include "rdma/queue_pair.h"
#include "rdma/regions.h"

namespace tideline::rdma {

struct Core {
  Core(const DeviceOptions& device_options, ip::Sender& ip, packet::Pool& packets, Rng& random,
       KeySource& keys);

  // A queue pair by its number; null if there is none.
  QueuePair* find(std::uint32_t number) const {
    QueuePair* qp = qps_[number & slot_mask_];
    return qp != nullptr && qp->number == number ? qp : nullptr;
  }
  std::uint32_t qp_slots() const { return slot_mask_ + 1; }
  const QueuePair* qp_at(std::uint32_t slot) const { return qps_[slot]; }
  // Gives a queue pair a number, at random in its upper bits: packets for its predecessor in the
  // slot do not reach it. False if all are taken.
  bool add(QueuePair& qp);
  void remove(QueuePair& qp);

  // The queue pair has something to send: it gets its turn in Device::run.
  void schedule(QueuePair& qp);
  QueuePair* next_scheduled();
  // The queue pair is looked at no later than `when`; earlier demands stay.
  void set_timer(QueuePair& qp, Instant when);
  // Takes the next queue pair whose time has come; null if there is none.
  QueuePair* expired(Instant now);
  // Peers may reach what the queue pair's state and attributes let them.
  void show(const QueuePair& qp) {
    if (direct != nullptr) direct->show(qp);
  }
  Instant next_timer() const { return timers_.empty() ? kNever : timers_.front()->timer; }

  // What follows of an address vector. Fails if it names no GID of ours, or one of another version
  // of IP than the destination's.
  Result<Route> route_to(const AddressVector& vector, std::uint32_t entropy) const;
  // The largest path MTU that fits the link: annex A17.
  Mtu active_mtu() const;

  bool has_scheduled() const { return first_scheduled_ != nullptr; }

  static constexpr std::uint32_t kFirstQpSlot = 16;  // numbers 0 and 1 are for management

  DeviceOptions options;
  ip::Sender& sender;
  packet::Pool& pool;
  Rng& rng;
  GidTable gids;
  RegionTable regions;
  Counters counters;
  Loopback loopback;
  DirectPath* direct = nullptr;     // none: everything goes by frames
  std::uint64_t direct_budget = 0;  // bytes that may still go that way in this run

  // How many objects there are: DeviceLimits.
  std::uint32_t pd_count = 0;
  std::uint32_t cq_count = 0;
  std::uint32_t srq_count = 0;
  std::uint32_t ah_count = 0;
  std::uint32_t qp_count = 0;
  std::uint32_t last_srq = 0;  // its number
  std::uint32_t last_pd = 0;

 private:
  void sift_up(std::size_t slot);
  void sift_down(std::size_t slot);
  void place(std::size_t slot, QueuePair* qp) {
    timers_[slot] = qp;
    qp->timer_slot = static_cast<std::uint32_t>(slot);
  }
  void remove_timer(QueuePair& qp);
  void advance_slot() { next_slot_ = next_slot_ == slot_mask_ ? kFirstQpSlot : next_slot_ + 1; }

  std::uint32_t slot_mask_;
  std::vector<QueuePair*> qps_;     // by the low bits of their numbers
  std::uint32_t next_slot_ = 16;    // 0 and 1 are the management queue pairs
  std::vector<QueuePair*> timers_;  // a heap, the earliest first
  QueuePair* first_scheduled_ = nullptr;
  QueuePair* last_scheduled_ = nullptr;
};

}  // namespace tideline::rdma
