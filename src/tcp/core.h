// SPDX-License-Identifier: Apache-2.0
// What all roles of TCP share: memory, tables, timers, and the life of a connection. Internal to
// the room. Thread: the worker's.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "base/random.h"
#include "packet/pass_counter.h"
#include "packet/pool.h"
#include "tcp/accurate_ecn.h"
#include "tcp/authentication_state.h"
#include "tcp/bbr.h"
#include "tcp/config.h"
#include "tcp/connection_table.h"
#include "tcp/discard.h"
#include "tcp/fast_open_cache.h"
#include "tcp/incidents.h"
#include "tcp/mtu_search.h"
#include "tcp/slab.h"
#include "tcp/tcb.h"
#include "tcp/timer_wheel.h"

namespace tideline::tcp {

struct Listener {
  static constexpr std::uint32_t kNone = UINT32_MAX;

  Endpoint local;
  ListenOptions options;
  ListenerOwner* owner = nullptr;  // null: the slot is free
  std::uint32_t generation = 0;
  std::uint32_t next_of_group = kNone;
  std::vector<MasterKey> keys;
  std::uint32_t half_open = 0;
  std::uint32_t unaccepted = 0;
  std::uint32_t unanswered = 0;         // by peers of fast open
  Instant overflowed = Instant::min();  // when a cookie was last sent
};

// Connections with something to tell, or to send, at the next flush.
class PendingList {
 public:
  bool empty() const { return first_ == nullptr; }
  void add(Tcb& tcb);
  Tcb* take();

 private:
  Tcb* first_ = nullptr;
  Tcb* last_ = nullptr;
};

struct Core {
  Core(const Config& configuration, Network& below, packet::Pool& packets, Rng& random);
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  const Config config;
  Network& network;
  packet::Pool& pool;
  Rng& rng;
  Counters counters;
  packet::PassCounter passes;

  Slab<Tcb> tcbs;
  std::vector<std::uint32_t> generations;  // of each slot of tcbs
  Slab<Bbr> bbrs;
  Slab<AccurateEcn> accurate_ecns;
  Slab<Authentication> authentications;
  Slab<MtuSearch> mtu_searches;
  Slab<Incidents> incidents;
  RangeSlab ranges;
  ConnectionTable table;
  TimerWheel wheel;
  PendingList pending;
  FastOpenCache fast_open_cache;

  std::vector<Listener> listeners;
  std::unordered_map<Endpoint, std::uint32_t, EndpointHash> listening;

  Tcb* time_wait_first = nullptr;  // the oldest
  Tcb* time_wait_last = nullptr;
  std::size_t time_wait_count = 0;

  Instant challenge_since{};
  std::uint32_t challenges_left = 0;
  std::array<std::uint16_t, 256> port_steps{};  // RFC 6056 §3.3.4
};

// The secrets of a configuration, by use.
inline const HashKey& table_key(const Core& core) { return core.config.secrets[0]; }
inline const HashKey& isn_key(const Core& core) { return core.config.secrets[1]; }
inline const HashKey& cookie_key(const Core& core) { return core.config.secrets[2]; }
inline const HashKey& port_key(const Core& core) { return core.config.secrets[3]; }
inline const HashKey& fast_open_key(const Core& core) { return core.config.secrets[4]; }

// A connection in CLOSED, in the table. Null, and counted, if there are too many.
Tcb* create(Core& core, const Tuple& tuple, const StreamOptions& options, Instant now);
ConnectionId id_of(const Core& core, const Tcb& tcb);
// To add to.
Incidents& incidents_of(Tcb& tcb);
// Null if it is gone.
Tcb* find(Core& core, ConnectionId id);
Listener* find(Core& core, ListenerId id);
// The listener for this address and port; null if there is none.
Listener* find_listener(Core& core, const Endpoint& local);
// Of its group, the one whose connections of that tuple are.
Listener* member_for(Core& core, Listener& first, const Tuple& tuple);

// The only place where a connection's state changes.
void set_state(Core& core, Tcb& tcb, State state, Instant now);

// Tells and sends at the next flush.
inline void mark_pending(Core& core, Tcb& tcb) { core.pending.add(tcb); }

// Enters TIME-WAIT, or starts it anew: RFC 9293 §3.6.
void enter_time_wait(Core& core, Tcb& tcb, Instant now);
// The connection is over: deletes the TCB as soon as its owner knows and no frame borrows from it.
void finish(Core& core, Tcb& tcb, End reason, Instant now);
// Its part in flush: tells the owner. False if the connection is gone.
bool tell(Core& core, Tcb& tcb, Instant now);

// Timers of a connection. kNever cancels.
void arm(Core& core, Tcb& tcb, Timer timer, Instant when);
inline void disarm(Tcb& tcb, Timer timer) { tcb.deadline(timer) = kNever; }

// TSval of now: milliseconds, from where nobody knows (RFC 7323 §5.4).
inline std::uint32_t timestamp(const Tcb& tcb, Instant now) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch());
  return static_cast<std::uint32_t>(ms.count()) + tcb.ts_offset;
}

}  // namespace tideline::tcp
