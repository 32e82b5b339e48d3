// SPDX-License-Identifier: Apache-2.0
// RDMA verbs across the queue pair: the rings of work requests and completions, and the call that
// every control verb is. docs/queue-pair.md, "Verbs".
//
// Rings lie in the family's memory, where FIFOs do, one piece for each object. Both sides may write
// all of it; the engine keeps its own index of every ring in private memory, copies a record before
// it looks at it, and believes of the program's index what is possible.
//
//   queue pair         WorkIndices of sends | of receives | send slots | receive slots
//   shared receives    WorkIndices | receive slots
//   completion queue   CompletionIndices | CompletionRecord, a power of two
//   opened device      EventIndices | EventRecord[kEvents]
//
// Enumerators, flags and masks are numbered as in the verbs ABI (rdma/types.h).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/bits.h"

namespace tideline::queue {

// --- Rings. Indices grow and wrap.

// The program adds a request to slot `written` modulo the slots, then moves `written`, and hints
// the object. It stays the program's to keep until `retired` has passed it: then its slot may be
// used again. Slots of sends: SendRecord, then the pieces, or the bytes of inline data; of
// receives: ReceiveRecord, then the pieces.
struct WorkIndices {
  alignas(kCacheLine) std::atomic<std::uint32_t> written{0};  // the program's
  alignas(kCacheLine) std::atomic<std::uint32_t> retired{0};  // the engine's
};

struct PieceRecord {
  std::uint64_t address = 0;
  std::uint32_t length = 0;
  std::uint32_t lkey = 0;
};
static_assert(sizeof(PieceRecord) == 16);

struct SendRecord {
  std::uint64_t wr_id = 0;
  std::uint64_t remote_address = 0;  // of a binding: the window's
  std::uint64_t compare_add = 0;     // of a binding: the window's length
  std::uint64_t swap = 0;
  std::uint32_t flags = 0;
  std::uint32_t immediate = 0;
  std::uint32_t rkey = 0;  // of a binding: the window's new one
  std::uint32_t remote_qpn = 0;
  std::uint32_t remote_qkey = 0;
  std::uint32_t object = 0;  // the address's handle; of a binding: the window's
  std::uint32_t region = 0;  // of a binding: the handle
  std::uint32_t access = 0;  // of a binding
  std::uint32_t inline_size = 0;
  std::uint16_t pieces = 0;
  std::uint16_t opcode = 0;
};
static_assert(sizeof(SendRecord) == 72);

struct ReceiveRecord {
  std::uint64_t wr_id = 0;
  std::uint32_t pieces = 0;
  std::uint32_t reserved = 0;
};
static_assert(sizeof(ReceiveRecord) == 16);

// The engine adds at `produced`, the program takes at `consumed`. Who is about to sleep stores the
// kind in `armed` and looks once more; the engine takes it back with the completion that it is
// for, adds one to `events`, and rings the doorbell of the queue's waiter.
struct CompletionIndices {
  alignas(kCacheLine) std::atomic<std::uint32_t> produced{0};
  std::atomic<std::uint32_t> events{0};
  std::atomic<std::uint32_t> full{0};  // the engine waits for room: the program hints the queue
  alignas(kCacheLine) std::atomic<std::uint32_t> consumed{0};
  std::atomic<std::uint32_t> armed{0};  // rdma::CompletionQueue::Notify
};

struct CompletionRecord {
  std::uint64_t wr_id = 0;
  std::uint64_t timestamp = 0;  // ns of the engine's clock
  std::uint32_t qp_num = 0;
  std::uint32_t src_qp = 0;
  std::uint32_t byte_len = 0;
  std::uint32_t immediate = 0;
  std::uint16_t flags = 0;
  std::uint16_t pkey_index = 0;
  std::uint8_t status = 0;
  std::uint8_t opcode = 0;
  std::uint8_t vendor_error = 0;
  std::uint8_t header = 0;  // rdma::NetworkHeader
  std::array<std::uint8_t, 24> reserved{};
};
static_assert(sizeof(CompletionRecord) == 64);

struct EventIndices {
  alignas(kCacheLine) std::atomic<std::uint32_t> produced{0};
  alignas(kCacheLine) std::atomic<std::uint32_t> consumed{0};
};

// Of an object, or of the device.
struct EventRecord {
  std::uint32_t type = 0;
  std::uint32_t handle = 0;
};
inline constexpr std::uint32_t kEvents = 1024;

// --- Calls: Op::kVerbs, whose request and response are these. An object has a handle, of one
// number space for all kinds; 0 is none.

enum class VerbsOp : std::uint16_t {
  kOpen,          // number: waiter for events; address: of a word of the program's, iova: what
                  // is in it              -> handle, place, number: 1 if its memory is in reach
  kClose,         // handle: all that it has goes
  kDevice,        //                       -> device
  kGid,           // number: index         -> address.destination, number: 0 none, 1 v1, 2 v2
  kAddressOfLid,  // number: LID           -> address
  kHeapAt,        // address: where the program has mapped its heap
  kAllocPd,       // handle: device        -> handle
  kRegister,      // handle: PD, address, length, iova, access           -> handle, key
  kReregister,    // handle, mask, address, length, access, second: PD   -> key
  kAllocWindow,   // handle: PD, type      -> handle, key
  kCreateCq,      // handle: device, number: entries, second: waiter + 1 -> handle, place, number
  kResizeCq,      // handle, number        -> place, number
  kCreateSrq,     // handle: PD, capacity.recv_*, number: limit -> handle, place, number, capacity
  kModifySrq,     // handle, mask: 1 size, 2 limit; capacity.recv_wr, number
  kQuerySrq,      // handle                -> capacity, number: limit
  kCreateQp,      // handle: PD, second, third: CQs, fourth: SRQ, type, capacity, mask: 1 all
                  // signalled             -> handle, place, number, capacity
  kModifyQp,      // handle, mask, attributes -> number: state
  kQueryQp,       // handle                -> attributes
  kCreateAh,      // handle: PD, attributes.address -> handle
  kHasWay,        // handle: QP or AH      -> number: 1 if packets would leave at once
  kDestroy,       // handle, of any object but a device
};

struct CapacityRecord {
  std::uint32_t send_wr = 0;
  std::uint32_t recv_wr = 0;
  std::uint32_t send_sge = 0;
  std::uint32_t recv_sge = 0;
  std::uint32_t inline_data = 0;
};

struct VectorRecord {
  std::array<std::uint8_t, 16> destination{};
  std::uint32_t flow_label = 0;
  std::uint16_t lid = 0;
  std::uint8_t source_gid_index = 0;
  std::uint8_t traffic_class = 0;
  std::uint8_t hop_limit = 0;
  std::uint8_t service_level = 0;
  std::uint16_t reserved = 0;
};
static_assert(sizeof(VectorRecord) == 28);

struct AttributesRecord {
  VectorRecord address{};
  std::uint32_t access = 0;
  std::uint32_t qkey = 0;
  std::uint32_t receive_psn = 0;
  std::uint32_t send_psn = 0;
  std::uint32_t destination_qpn = 0;
  std::uint16_t pkey_index = 0;
  std::uint8_t state = 0;
  std::uint8_t current_state = 0;
  std::uint8_t sqd_notify = 0;
  std::uint8_t port = 0;
  std::uint8_t path_mtu = 0;
  std::uint8_t timeout = 0;
  std::uint8_t retry_count = 0;
  std::uint8_t rnr_retry = 0;
  std::uint8_t min_rnr_timer = 0;
  std::uint8_t max_rd_atomic = 0;
  std::uint8_t max_dest_rd_atomic = 0;
  std::array<std::uint8_t, 3> reserved{};
};
static_assert(sizeof(AttributesRecord) == 64);

// As rdma::DeviceLimits, and what else is constant.
struct DeviceRecord {
  std::uint64_t node_guid = 0;
  std::uint64_t max_mr_size = 0;
  // max_qp, max_qp_wr, max_sge, max_inline, max_cq, max_cqe, max_regions, max_pd, max_ah, max_srq,
  // max_srq_wr
  std::array<std::uint32_t, 11> limits{};
  std::uint16_t lid = 0;
  std::uint8_t max_rd_atomic = 0;
  std::uint8_t ack_delay = 0;
  std::uint8_t active_mtu = 0;
  std::array<std::uint8_t, 7> reserved{};
};
static_assert(sizeof(DeviceRecord) == 72);

// An object's piece of the family's memory.
struct PlaceRecord {
  std::uint64_t offset = 0;
  std::uint32_t size = 0;
  std::uint32_t slots = 0;   // sends, or completions
  std::uint32_t stride = 0;  // of sends
  std::uint32_t receive_slots = 0;
  std::uint32_t receive_stride = 0;
  std::uint32_t reserved = 0;
};
static_assert(sizeof(PlaceRecord) == 32);

struct VerbsRequest {
  VerbsOp op = VerbsOp::kOpen;
  std::uint16_t type = 0;
  std::uint32_t handle = 0;
  std::uint32_t number = 0;
  std::uint32_t second = 0;
  std::uint32_t third = 0;
  std::uint32_t fourth = 0;
  std::uint32_t mask = 0;
  std::uint32_t access = 0;
  std::uint64_t address = 0;
  std::uint64_t length = 0;
  std::uint64_t iova = 0;
  AttributesRecord attributes{};
  CapacityRecord capacity{};
  std::uint32_t reserved = 0;
};
static_assert(sizeof(VerbsRequest) == 144);

struct VerbsResponse {
  std::uint32_t error = 0;  // an errno
  std::uint32_t handle = 0;
  std::uint32_t key = 0;
  std::uint32_t number = 0;
  PlaceRecord place{};
  AttributesRecord attributes{};
  CapacityRecord capacity{};
  std::uint32_t reserved = 0;
  DeviceRecord device{};
};
static_assert(sizeof(VerbsResponse) == 208);

// --- Where things lie in a piece.

inline constexpr std::size_t kWorkSlots = 2 * sizeof(WorkIndices);  // of a queue pair
inline constexpr std::size_t kReceiveSlots = sizeof(WorkIndices);   // of shared receives
inline constexpr std::size_t kCompletionSlots = sizeof(CompletionIndices);
inline constexpr std::size_t kEventSlots = sizeof(EventIndices);

constexpr std::uint32_t send_stride(std::uint32_t pieces, std::uint32_t inline_data) {
  const std::size_t behind = std::size_t{pieces} * sizeof(PieceRecord);
  return static_cast<std::uint32_t>(
      align_up(sizeof(SendRecord) + (behind > inline_data ? behind : inline_data), std::size_t{8}));
}
constexpr std::uint32_t receive_stride(std::uint32_t pieces) {
  return static_cast<std::uint32_t>(sizeof(ReceiveRecord) + pieces * sizeof(PieceRecord));
}

}  // namespace tideline::queue
