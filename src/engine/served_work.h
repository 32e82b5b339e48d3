// SPDX-License-Identifier: Apache-2.0
// What programs behind a queue pair have of RDMA: each object of theirs beside the one of the room
// `rdma` that it stands for, and the rings in shared memory. docs/queue-pair.md, "Verbs".
//
// Nothing that lies in shared memory is read twice, nor believed: a record is copied, then checked;
// what is wrong with it ends its queue pair, and an index that cannot be ends the channel.
//
// Thread: the worker's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>

#include "base/time.h"
#include "engine/end_reason.h"
#include "engine/family_memory.h"
#include "engine/served_rdma.h"
#include "queue/verbs.h"
#include "rdma/context.h"
#include "rdma/types.h"
#include "rdma/work_queue.h"

namespace tideline::engine {

class ServedDevice;
class ServedVerbs;

// A piece of a family's memory, given back with its owner.
class Piece {
 public:
  Piece() = default;
  // Empty: the quota, or the memory, does not suffice.
  static Piece take(FamilyMemory& memory, std::size_t size);
  Piece(Piece&& other) noexcept;
  Piece& operator=(Piece&& other) noexcept;
  ~Piece();

  explicit operator bool() const { return place_.size != 0; }
  std::byte* data() const { return memory_->bytes(place_).data(); }
  const queue::FifoPlace& place() const { return place_; }

 private:
  FamilyMemory* memory_ = nullptr;
  queue::FifoPlace place_{};
};

// A program's object. The device that it belongs to was opened by the same channel.
class VerbsObject {
 public:
  enum class Kind : std::uint8_t { kDevice, kPd, kRegion, kWindow, kCq, kSrq, kQp, kAh };
  // What look() has found: whether there is more to do.
  using Looked = std::expected<bool, EndReason>;

  VerbsObject(Kind kind, ServedDevice* device) : kind_(kind), device_(device) {}
  VerbsObject(const VerbsObject&) = delete;
  VerbsObject& operator=(const VerbsObject&) = delete;
  virtual ~VerbsObject() = default;

  Kind kind() const { return kind_; }
  // Of a device: null.
  ServedDevice* device() const { return device_; }
  std::uint32_t handle() const { return handle_; }
  void set_handle(std::uint32_t handle) { handle_ = handle; }

  // It was hinted: takes some of what the program has posted.
  virtual Looked look(Instant /*now*/) { return false; }
  // The room's object, if nothing needs it any more.
  virtual Status destroy() = 0;

 private:
  const Kind kind_;
  ServedDevice* const device_;
  std::uint32_t handle_ = 0;
};

// One ibv_open_device: a context of the room's, and the ring of its events.
class ServedDevice final : public VerbsObject, private rdma::EventSink {
 public:
  static constexpr Kind kKind = Kind::kDevice;

  ServedDevice(ServedVerbs& verbs, Piece events, std::uint16_t waiter);
  // With all that the room has of it.
  ~ServedDevice() override;

  ServedVerbs& verbs() const { return verbs_; }
  rdma::Context& context() const { return context_; }
  const Piece& piece() const { return events_; }
  Status destroy() override { return {}; }
  void raise(rdma::EventType type, std::uint32_t handle);

 private:
  // rdma::EventSink
  void completion(rdma::CompletionQueue& cq) override;
  void asynchronous(const rdma::AsyncEvent& event) override;

  ServedVerbs& verbs_;
  Piece events_;
  const std::uint16_t waiter_;
  std::uint32_t produced_ = 0;
  rdma::Context& context_;
};

// Objects without rings.
template <typename Object, VerbsObject::Kind Which, Status (rdma::Context::*Destroy)(Object&)>
class ServedPlain final : public VerbsObject {
 public:
  static constexpr Kind kKind = Which;

  ServedPlain(ServedDevice& owner, Object& object);
  Object& object() const { return object_; }
  Status destroy() override;

 private:
  Object& object_;
};
using ServedPd =
    ServedPlain<rdma::ProtectionDomain, VerbsObject::Kind::kPd, &rdma::Context::dealloc_pd>;
using ServedRegion =
    ServedPlain<rdma::MemoryRegion, VerbsObject::Kind::kRegion, &rdma::Context::deregister_region>;
using ServedWindow =
    ServedPlain<rdma::MemoryWindow, VerbsObject::Kind::kWindow, &rdma::Context::dealloc_window>;
using ServedAh =
    ServedPlain<rdma::AddressHandle, VerbsObject::Kind::kAh, &rdma::Context::destroy_ah>;

// The program reads a ring of its own; the room's queue behind it holds what does not fit.
class ServedCq final : public VerbsObject {
 public:
  static constexpr Kind kKind = Kind::kCq;
  static constexpr std::uint16_t kNoWaiter = UINT16_MAX;

  // What is needed for so many.
  static std::size_t piece_size(std::uint32_t entries);

  ServedCq(ServedDevice& owner, rdma::CompletionQueue& cq, Piece piece, std::uint32_t entries,
           std::uint16_t waiter);
  ~ServedCq() override;

  rdma::CompletionQueue& cq() const { return cq_; }
  const Piece& piece() const { return piece_; }
  std::uint32_t entries() const { return mask_ + 1; }

  // The room has some.
  void announce();
  // Moves what is there, and what fits, to the program.
  void publish();
  Looked look(Instant now) override;
  Status destroy() override;

  // Nobody polls meanwhile. False: the program's index cannot be.
  bool discard(std::uint32_t qp_num);
  // The same; in a larger or smaller piece. Nothing: the index cannot be.
  std::expected<Status, EndReason> resize(Piece piece, std::uint32_t entries);

 private:
  queue::CompletionIndices& indices() const;
  queue::CompletionRecord& record(std::uint32_t index) const;
  // Completions that the program has not taken; more than entries(): its index cannot be.
  std::uint32_t waiting() const;
  void notify(bool worth_waking);

  rdma::CompletionQueue& cq_;
  Piece piece_;
  std::uint32_t mask_;
  const std::uint16_t waiter_;
  std::uint32_t produced_ = 0;
  bool announced_ = false;
};

// One ring of work requests.
class WorkRing {
 public:
  WorkRing() = default;
  WorkRing(queue::WorkIndices& indices, std::byte* slots, std::uint32_t count,
           std::uint32_t stride);

  // Requests that wait; nothing: the program's index cannot be.
  std::expected<std::uint32_t, EndReason> waiting() const;
  // The next one's slot. It may change while it is looked at.
  const std::byte* slot() const { return slots_ + std::size_t{taken_ & mask_} * stride_; }
  std::uint32_t stride() const { return stride_; }
  std::uint32_t taken() const { return taken_; }
  void take() { ++taken_; }
  // All that wait are forgotten.
  void skip();
  // Goes on in another ring, whose indices are new; nothing waits.
  void move(queue::WorkIndices& indices, std::byte* slots, std::uint32_t count);
  // `outstanding` of those taken are not done with.
  void retire(std::uint32_t outstanding);

 private:
  queue::WorkIndices* indices_ = nullptr;
  std::byte* slots_ = nullptr;
  std::uint32_t mask_ = 0;
  std::uint32_t stride_ = 0;
  std::uint32_t taken_ = 0;
  std::uint32_t retired_ = 0;
};

class ServedSrq final : public VerbsObject, private rdma::ReceiveSource {
 public:
  static constexpr Kind kKind = Kind::kSrq;

  static std::size_t piece_size(std::uint32_t requests, std::uint32_t pieces);

  ServedSrq(ServedDevice& owner, rdma::SharedReceiveQueue& srq, Piece piece);

  rdma::SharedReceiveQueue& srq() const { return srq_; }
  queue::PlaceRecord place() const;
  // Room for that many; `piece` is of that size. The program writes nothing meanwhile.
  std::expected<Status, EndReason> grow(Piece piece, std::uint32_t requests);
  Looked look(Instant now) override;
  void retire();
  Status destroy() override;

 private:
  // rdma::ReceiveSource
  void refill() override;

  rdma::SharedReceiveQueue& srq_;
  Piece piece_;
  std::uint32_t slots_;
  WorkRing ring_;
};

class ServedQp final : public VerbsObject, private rdma::ReceiveSource {
 public:
  static constexpr Kind kKind = Kind::kQp;

  static std::size_t piece_size(const rdma::QpCapacity& capacity);

  // `capacity` is what was asked for, in slots.
  ServedQp(ServedDevice& owner, rdma::QueuePair& qp, Piece piece, const rdma::QpCapacity& capacity);

  rdma::QueuePair& qp() const { return qp_; }
  queue::PlaceRecord place() const;
  Looked look(Instant now) override;
  // Tells the program which of its requests are done with.
  void retire();
  // It was reset: what was posted is gone.
  void reset();
  // Whether a binding is under way, which names a window and a region.
  bool binds() const;
  Status destroy() override;

 private:
  // rdma::ReceiveSource
  void refill() override;

  // Takes up to `budget` requests. More to do, or the room takes no more: false.
  Looked look_at_sends(int budget, Instant now);
  Looked look_at_receives(int budget, Instant now);
  rdma::Posted post_next_receive(Instant now);
  rdma::Posted post(const queue::SendRecord& record, std::span<const rdma::Sge> pieces,
                    std::span<const std::byte> inline_data, Instant now);
  // What the program's half should have refused.
  void fail(Instant now);

  rdma::QueuePair& qp_;
  Piece piece_;
  const rdma::QpCapacity capacity_;
  WorkRing sends_;
  WorkRing receives_;
  bool has_bound_ = false;
  std::uint32_t last_binding_ = 0;
};

}  // namespace tideline::engine
