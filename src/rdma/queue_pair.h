// SPDX-License-Identifier: Apache-2.0
// A queue pair: data only. The step functions that work on it are in requester.h, completer.h and
// responder.h; posting and control in device.h. What users of the room may read is in the first
// part. Thread: the engine's lock.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/time.h"
#include "rdma/address.h"
#include "rdma/completion_queue.h"
#include "rdma/psn.h"
#include "rdma/qp_attributes.h"
#include "rdma/regions.h"
#include "rdma/types.h"
#include "rdma/work_queue.h"

namespace tideline::rdma {

struct QpInit {
  QpType type = QpType::kRc;
  CompletionQueue* send_cq = nullptr;
  CompletionQueue* recv_cq = nullptr;
  SharedReceiveQueue* srq = nullptr;  // null: a receive queue of its own
  QpCapacity capacity{};
  bool signal_all = false;  // every send request completes visibly
  void* user = nullptr;
};

// IBA 9.9: the sending side of RC and UC.
struct RequesterState {
  Psn next_psn;  // of the next request that starts
  Psn sent_psn;  // behind the last packet that was ever sent
  Psn una;       // RC: the oldest PSN that is not acknowledged
  // What is sent next; after going back it lies behind sent_psn.
  Psn cursor_psn;
  std::uint32_t cursor = 0;         // the request, by its number in the send queue
  std::uint32_t cursor_offset = 0;  // packets of it that were sent
  std::uint32_t placed = 0;         // bytes of it that went by the direct path

  Psn last_ssn;              // of the latest request that has started
  std::optional<Psn> limit;  // the last SSN that the peer has room for; nothing: it does not say

  std::uint32_t reads_in_flight = 0;  // READs and atomics before the cursor without their response
  std::uint8_t retries_left = 0;
  std::uint8_t rnr_left = 0;
  bool went_back = false;  // because a response was missing; not again until there is progress
  bool drained = false;    // SQD: told
  Instant ack_deadline = kNever;
  Instant silent_until = kNever;  // after an RNR NAK; never: not silent
  // How long old responses may put ack_deadline off; never: none has yet since the last step.
  Instant patience_end = kNever;
};

// What is kept of a READ or an atomic for a duplicate request: C9-106 ff.
struct ReplayEntry {
  enum class Kind : std::uint8_t { kNone, kRead, kAtomic };
  Kind kind = Kind::kNone;
  bool pending = false;  // responses are, or again are, to be sent
  Psn first_psn;
  std::uint32_t packets = 1;
  std::uint32_t msn = 0;
  // READ
  std::uint64_t address = 0;
  std::uint32_t rkey = 0;
  std::uint32_t length = 0;
  // Of what is being sent, in packets from the first: a duplicate may ask for a part.
  std::uint32_t begin = 0;
  std::uint32_t next = 0;
  std::uint32_t end = 0;
  // Atomic
  std::uint64_t original = 0;
};

// IBA 9.7.4 to 9.7.5: the receiving side.
struct ResponderState {
  enum class Message : std::uint8_t { kNone, kSend, kWrite };

  Psn expected_psn;
  std::uint32_t msn = 0;
  Message message = Message::kNone;  // under way
  bool nak_sent = false;             // C9-114: one until what it asks for has come
  bool drop_message = false;         // UC: until the next that begins
  // An acknowledgement that is to be sent, behind the responses that are pending.
  bool ack_due = false;
  std::uint8_t syndrome = 0;
  Psn ack_psn;
  bool told_none = false;  // the peer knows of no receive request

  bool has_receive = false;
  ReceiveWqe receive;          // the request that the message consumes
  std::uint64_t received = 0;  // bytes of the message so far
  std::uint64_t write_address = 0;
  std::uint32_t write_rkey = 0;
  std::uint32_t write_length = 0;

  std::vector<ReplayEntry> replay;   // a ring of max_dest_rd_atomic entries, oldest overwritten
  std::uint32_t replay_next = 0;     // the one that is used next
  std::uint32_t replay_pending = 0;  // how many are pending
  bool established = false;          // a packet has come
};

// What it has done so far, for reports. What peers place by the direct path it does not see.
struct QpCounters {
  std::uint64_t requests = 0;  // of our own, completed well
  std::uint64_t request_bytes = 0;
  std::uint64_t messages = 0;  // of the peer's, executed
  std::uint64_t message_bytes = 0;
  std::uint64_t retransmits = 0;  // packets
  std::uint64_t timeouts = 0;
  std::uint64_t rnr_received = 0;
  std::uint64_t rnr_sent = 0;
};

inline constexpr std::uint32_t kNoTimer = UINT32_MAX;

struct QueuePair {
  ProtectionDomain* pd = nullptr;
  QpInit init;
  std::uint32_t number = 0;
  QpState state = QpState::kReset;
  QpAttributes attributes{};
  QpCounters counters{};

  // From here on the room's own.
  Route route{};  // RC, UC
  std::uint32_t mtu = 1024;
  Duration ack_timeout{};  // zero: none
  SendQueue send_queue;
  ReceiveQueue receive_queue;  // unused with an SRQ
  RequesterState requester{};
  ResponderState responder{};

  bool scheduled = false;  // in the device's list of queue pairs with work
  QueuePair* next_scheduled = nullptr;
  Instant timer = kNever;  // when the device looks at it again, at the latest
  std::uint32_t timer_slot = kNoTimer;
  unsigned direct_peer = 0;  // a note of the direct path's
};

// 4.096 us * 2^code: C9-141; code 0 is for ever, and zero here.
Duration ack_timeout(std::uint8_t code);
// Table 45: how long a peer without a receive request asks us to wait.
Duration rnr_delay(std::uint8_t code);

}  // namespace tideline::rdma
