// SPDX-License-Identifier: Apache-2.0
#include "engine/served_work.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "base/clock.h"
#include "engine/served_verbs.h"
#include "engine/verbs_values.h"

namespace tideline::engine {
namespace {

// Of one object in one turn.
constexpr int kRequestsAtOnce = 64;
constexpr std::size_t kMostInline = 1024;

std::uint32_t slots_for(std::uint32_t requests) { return std::bit_ceil(std::max(requests, 1U)); }

Status destroyed(rdma::Context& context, auto destroy, auto& object) {
  return (context.*destroy)(object);
}

}  // namespace

// --- Pieces.

Piece Piece::take(FamilyMemory& memory, std::size_t size) {
  Piece piece;
  if (size > FamilyMemory::kLargestFifo) return piece;
  if (const auto place = memory.take_fifo(size)) {
    piece.memory_ = &memory;
    piece.place_ = *place;
  }
  return piece;
}

Piece::Piece(Piece&& other) noexcept
    : memory_(other.memory_), place_(std::exchange(other.place_, {})) {}

Piece& Piece::operator=(Piece&& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(place_, other.place_);
  return *this;
}

Piece::~Piece() {
  if (place_.size != 0) memory_->give_fifo(place_);
}

// --- Devices.

ServedDevice::ServedDevice(ServedVerbs& verbs, Piece events, std::uint16_t waiter)
    : VerbsObject(kKind, nullptr),
      verbs_(verbs),
      events_(std::move(events)),
      waiter_(waiter),
      context_(verbs.rdma().device().open(verbs.memory(), *this)) {
  new (events_.data()) queue::EventIndices;
}

ServedDevice::~ServedDevice() { verbs_.rdma().device().close(context_); }

void ServedDevice::completion(rdma::CompletionQueue& cq) {
  static_cast<ServedCq*>(cq.user())->announce();
}

void ServedDevice::asynchronous(const rdma::AsyncEvent& event) {
  const VerbsObject* object = nullptr;
  if (event.cq != nullptr) object = static_cast<const ServedCq*>(event.cq->user());
  if (event.qp != nullptr) object = static_cast<const ServedQp*>(event.qp->init.user);
  if (event.srq != nullptr) object = static_cast<const ServedSrq*>(event.srq->user);
  raise(event.type, object == nullptr ? 0 : object->handle());
}

// A program that lets events lie does without the next.
void ServedDevice::raise(rdma::EventType type, std::uint32_t handle) {
  auto& indices = *reinterpret_cast<queue::EventIndices*>(events_.data());
  if (produced_ - indices.consumed.load(std::memory_order_acquire) >= queue::kEvents) return;
  auto* records = reinterpret_cast<queue::EventRecord*>(events_.data() + queue::kEventSlots);
  records[produced_ % queue::kEvents] = {.type = static_cast<std::uint32_t>(type),
                                         .handle = handle};
  indices.produced.store(++produced_, std::memory_order_release);
  verbs_.ring(waiter_);
}

template <typename Object, VerbsObject::Kind Which, Status (rdma::Context::*Destroy)(Object&)>
ServedPlain<Object, Which, Destroy>::ServedPlain(ServedDevice& owner, Object& object)
    : VerbsObject(Which, &owner), object_(object) {}

template <typename Object, VerbsObject::Kind Which, Status (rdma::Context::*Destroy)(Object&)>
Status ServedPlain<Object, Which, Destroy>::destroy() {
  return destroyed(device()->context(), Destroy, object_);
}

template class ServedPlain<rdma::ProtectionDomain, VerbsObject::Kind::kPd,
                           &rdma::Context::dealloc_pd>;
template class ServedPlain<rdma::MemoryRegion, VerbsObject::Kind::kRegion,
                           &rdma::Context::deregister_region>;
template class ServedPlain<rdma::MemoryWindow, VerbsObject::Kind::kWindow,
                           &rdma::Context::dealloc_window>;
template class ServedPlain<rdma::AddressHandle, VerbsObject::Kind::kAh, &rdma::Context::destroy_ah>;

// --- Completion queues.

std::size_t ServedCq::piece_size(std::uint32_t entries) {
  return queue::kCompletionSlots +
         std::size_t{slots_for(entries)} * sizeof(queue::CompletionRecord);
}

ServedCq::ServedCq(ServedDevice& owner, rdma::CompletionQueue& cq, Piece piece,
                   std::uint32_t entries, std::uint16_t waiter)
    : VerbsObject(kKind, &owner),
      cq_(cq),
      piece_(std::move(piece)),
      mask_(slots_for(entries) - 1),
      waiter_(waiter) {
  new (piece_.data()) queue::CompletionIndices;
  cq_.request_notification(rdma::CompletionQueue::Notify::kAny);
}

ServedCq::~ServedCq() {
  if (announced_) device()->verbs().rdma().forget(*this);
}

queue::CompletionIndices& ServedCq::indices() const {
  return *reinterpret_cast<queue::CompletionIndices*>(piece_.data());
}

queue::CompletionRecord& ServedCq::record(std::uint32_t index) const {
  auto* records =
      reinterpret_cast<queue::CompletionRecord*>(piece_.data() + queue::kCompletionSlots);
  return records[index & mask_];
}

std::uint32_t ServedCq::waiting() const {
  return produced_ - indices().consumed.load(std::memory_order_acquire);
}

void ServedCq::announce() {
  if (!std::exchange(announced_, true)) device()->verbs().rdma().announce(*this);
}

// The room's queue is asked to tell of the next before the last look at it.
void ServedCq::publish() {
  announced_ = false;
  cq_.request_notification(rdma::CompletionQueue::Notify::kAny);
  bool worth_waking = false;
  const std::uint32_t first = produced_;
  for (;;) {
    const std::uint32_t used = waiting();
    std::array<rdma::Completion, 32> burst;
    const std::size_t room = used > mask_ ? 0 : std::size_t{mask_} + 1 - used;
    const std::size_t got = cq_.poll(std::span(burst).first(std::min(room, burst.size())));
    for (std::size_t i = 0; i < got; ++i) {
      record(produced_ + static_cast<std::uint32_t>(i)) = to_record(burst[i]);
      // The room of a request that is done with is the program's before it hears so.
      rdma::QueuePair* qp = device()->verbs().rdma().device().find_qp(burst[i].qp_num);
      if (qp != nullptr) static_cast<ServedQp*>(qp->init.user)->retire();
      worth_waking |= burst[i].solicited || burst[i].status != rdma::WcStatus::kSuccess;
    }
    produced_ += static_cast<std::uint32_t>(got);
    indices().produced.store(produced_, std::memory_order_seq_cst);
    if (cq_.size() == 0) break;
    if (got > 0) continue;
    // Full: the program tells when it is not. Both store, then look.
    indices().full.store(1, std::memory_order_seq_cst);
    if (waiting() <= mask_) announce();
    break;
  }
  if (produced_ != first) notify(worth_waking);
}

// IBA 11.4.2.2: an error is always worth waking for.
void ServedCq::notify(bool worth_waking) {
  using Notify = rdma::CompletionQueue::Notify;
  const auto armed = static_cast<Notify>(indices().armed.load(std::memory_order_seq_cst));
  if (armed == Notify::kNone || (armed == Notify::kSolicited && !worth_waking)) return;
  if (indices().armed.exchange(0, std::memory_order_acq_rel) == 0) return;
  indices().events.fetch_add(1, std::memory_order_release);
  if (waiter_ != kNoWaiter) device()->verbs().ring(waiter_);
}

VerbsObject::Looked ServedCq::look(Instant /*now*/) {
  if (waiting() > mask_ + 1) return std::unexpected(EndReason::kBadRing);
  if (cq_.size() > 0 && waiting() <= mask_) publish();
  return false;
}

Status ServedCq::destroy() { return device()->context().destroy_cq(cq_); }

bool ServedCq::discard(std::uint32_t qp_num) {
  cq_.discard(qp_num);
  const std::uint32_t count = waiting();
  if (count > mask_ + 1) return false;
  std::uint32_t kept = produced_ - count;
  for (std::uint32_t i = kept; i != produced_; ++i) {
    const queue::CompletionRecord each = record(i);
    if (each.qp_num != qp_num) record(kept++) = each;
  }
  produced_ = kept;
  indices().produced.store(produced_, std::memory_order_release);
  return true;
}

std::expected<Status, EndReason> ServedCq::resize(Piece piece, std::uint32_t entries) {
  const std::uint32_t count = waiting();
  if (count > mask_ + 1) return std::unexpected(EndReason::kBadRing);
  const std::uint32_t capacity = slots_for(entries);
  if (count > capacity) {
    return Status(fail({.kind = ErrorKind::kUsage,
                        .what = "more completions wait than would fit",
                        .errno_value = EINVAL}));
  }
  if (Status s = device()->context().resize_cq(cq_, entries); !s) return s;
  auto* fresh = new (piece.data()) queue::CompletionIndices;
  auto* records =
      reinterpret_cast<queue::CompletionRecord*>(piece.data() + queue::kCompletionSlots);
  for (std::uint32_t i = 0; i < count; ++i) records[i] = record(produced_ - count + i);
  fresh->armed.store(indices().armed.load(std::memory_order_relaxed), std::memory_order_relaxed);
  fresh->events.store(indices().events.load(std::memory_order_relaxed), std::memory_order_relaxed);
  fresh->produced.store(count, std::memory_order_release);
  piece_ = std::move(piece);
  mask_ = capacity - 1;
  produced_ = count;
  if (cq_.size() > 0) announce();
  return Status();
}

// --- Rings of requests.

WorkRing::WorkRing(queue::WorkIndices& indices, std::byte* slots, std::uint32_t count,
                   std::uint32_t stride)
    : indices_(&indices), slots_(slots), mask_(count - 1), stride_(stride) {}

std::expected<std::uint32_t, EndReason> WorkRing::waiting() const {
  if (indices_ == nullptr) return 0;
  const std::uint32_t count = indices_->written.load(std::memory_order_acquire) - taken_;
  if (count > mask_ + 1) return std::unexpected(EndReason::kBadRing);
  return count;
}

void WorkRing::move(queue::WorkIndices& indices, std::byte* slots, std::uint32_t count) {
  indices.written.store(taken_, std::memory_order_relaxed);
  indices.retired.store(retired_, std::memory_order_relaxed);
  indices_ = &indices;
  slots_ = slots;
  mask_ = count - 1;
}

void WorkRing::skip() {
  if (indices_ == nullptr) return;
  taken_ = indices_->written.load(std::memory_order_acquire);
  retire(0);
}

void WorkRing::retire(std::uint32_t outstanding) {
  const std::uint32_t retired = taken_ - outstanding;
  if (indices_ == nullptr || retired == retired_) return;
  retired_ = retired;
  indices_->retired.store(retired, std::memory_order_release);
}

namespace {

// Pieces of a request, as its record is copied.
class Pieces {
 public:
  bool copy(const std::byte* from, std::size_t count, std::size_t room) {
    if (count > sges_.size() || count * sizeof(queue::PieceRecord) > room) return false;
    for (std::size_t i = 0; i < count; ++i) {
      queue::PieceRecord record;
      std::memcpy(&record, from + i * sizeof(record), sizeof(record));
      sges_[i] = {.address = record.address, .length = record.length, .lkey = record.lkey};
    }
    count_ = count;
    return true;
  }
  std::span<const rdma::Sge> all() const { return std::span(sges_).first(count_); }

 private:
  std::array<rdma::Sge, rdma::kMaxSge> sges_;
  std::size_t count_ = 0;
};

// False: the record is none.
bool copy_receive(const WorkRing& ring, std::uint64_t& wr_id, Pieces& pieces) {
  queue::ReceiveRecord record;
  std::memcpy(&record, ring.slot(), sizeof(record));
  wr_id = record.wr_id;
  return pieces.copy(ring.slot() + sizeof(record), record.pieces, ring.stride() - sizeof(record));
}

}  // namespace

// --- Shared receive queues.

std::size_t ServedSrq::piece_size(std::uint32_t requests, std::uint32_t pieces) {
  return queue::kReceiveSlots + std::size_t{slots_for(requests)} * queue::receive_stride(pieces);
}

ServedSrq::ServedSrq(ServedDevice& owner, rdma::SharedReceiveQueue& srq, Piece piece)
    : VerbsObject(kKind, &owner),
      srq_(srq),
      piece_(std::move(piece)),
      slots_(srq.queue.capacity()),
      ring_(*new(piece_.data()) queue::WorkIndices, piece_.data() + queue::kReceiveSlots, slots_,
            queue::receive_stride(srq.queue.max_sge())) {
  srq_.queue.set_source(*this);
}

queue::PlaceRecord ServedSrq::place() const {
  return {.offset = piece_.place().offset,
          .size = piece_.place().size,
          .receive_slots = slots_,
          .receive_stride = ring_.stride()};
}

std::expected<Status, EndReason> ServedSrq::grow(Piece piece, std::uint32_t requests) {
  if (Status s = device()->context().modify_srq(srq_, {.resize = true, .max_wr = requests}); !s) {
    return s;
  }
  // The queue has room now for all that the ring can hold, unless others post without end.
  for (std::uint32_t left = slots_ / kRequestsAtOnce + 2; left > 0; --left) {
    const Looked more = look(monotonic_now());
    if (!more) return std::unexpected(more.error());
    if (!*more) break;
  }
  const auto waiting = ring_.waiting();
  if (!waiting) return std::unexpected(waiting.error());
  if (*waiting != 0) {
    return Status(fail({.kind = ErrorKind::kExhausted,
                        .what = "requests of the shared receive queue wait",
                        .errno_value = EBUSY}));
  }
  slots_ = srq_.queue.capacity();
  ring_.move(*new (piece.data()) queue::WorkIndices, piece.data() + queue::kReceiveSlots, slots_);
  piece_ = std::move(piece);
  return Status();
}

VerbsObject::Looked ServedSrq::look(Instant /*now*/) {
  for (int budget = kRequestsAtOnce; budget > 0; --budget) {
    const auto waiting = ring_.waiting();
    if (!waiting) return std::unexpected(waiting.error());
    std::uint64_t wr_id = 0;
    Pieces pieces;
    if (*waiting == 0) return false;
    // What is wrong is nobody's request.
    if (copy_receive(ring_, wr_id, pieces) &&
        device()->context().post_srq_recv(srq_, {.wr_id = wr_id, .sges = pieces.all()}) ==
            rdma::Posted::kFull) {
      return false;
    }
    ring_.take();
    retire();
  }
  return true;
}

// An index that cannot be ends the channel when it is looked at in its turn.
void ServedSrq::refill() { [[maybe_unused]] const Looked looked = look(monotonic_now()); }

void ServedSrq::retire() { ring_.retire(srq_.queue.size()); }

Status ServedSrq::destroy() { return device()->context().destroy_srq(srq_); }

// --- Queue pairs.

std::size_t ServedQp::piece_size(const rdma::QpCapacity& capacity) {
  return queue::kWorkSlots +
         std::size_t{slots_for(capacity.send_wr)} *
             queue::send_stride(capacity.send_sge, capacity.inline_data) +
         std::size_t{slots_for(capacity.recv_wr)} * queue::receive_stride(capacity.recv_sge);
}

ServedQp::ServedQp(ServedDevice& owner, rdma::QueuePair& qp, Piece piece,
                   const rdma::QpCapacity& capacity)
    : VerbsObject(kKind, &owner), qp_(qp), piece_(std::move(piece)), capacity_(capacity) {
  auto* indices = new (piece_.data()) queue::WorkIndices[2];
  const std::uint32_t sends = slots_for(capacity.send_wr);
  const std::uint32_t stride = queue::send_stride(capacity.send_sge, capacity.inline_data);
  std::byte* slots = piece_.data() + queue::kWorkSlots;
  sends_ = WorkRing(indices[0], slots, sends, stride);
  if (qp.init.srq != nullptr) return;
  qp_.receive_queue.set_source(*this);
  receives_ = WorkRing(indices[1], slots + std::size_t{sends} * stride, slots_for(capacity.recv_wr),
                       queue::receive_stride(capacity.recv_sge));
}

queue::PlaceRecord ServedQp::place() const {
  return {.offset = piece_.place().offset,
          .size = piece_.place().size,
          .slots = slots_for(capacity_.send_wr),
          .stride = sends_.stride(),
          .receive_slots = slots_for(capacity_.recv_wr),
          .receive_stride = queue::receive_stride(capacity_.recv_sge)};
}

VerbsObject::Looked ServedQp::look(Instant now) {
  const Looked receives = look_at_receives(kRequestsAtOnce, now);
  if (!receives) return receives;
  const Looked sends = look_at_sends(kRequestsAtOnce, now);
  retire();
  if (!sends) return sends;
  return *receives || *sends;
}

// What is wrong is left to look(): a message is under way here.
void ServedQp::refill() {
  const Instant now = monotonic_now();
  for (int budget = kRequestsAtOnce; budget > 0 && receives_.waiting().value_or(0) > 0; --budget) {
    if (post_next_receive(now) != rdma::Posted::kPosted) break;
    receives_.take();
  }
}

rdma::Posted ServedQp::post_next_receive(Instant now) {
  std::uint64_t wr_id = 0;
  Pieces pieces;
  if (!copy_receive(receives_, wr_id, pieces)) return rdma::Posted::kInvalid;
  return device()->context().post_recv(qp_, {.wr_id = wr_id, .sges = pieces.all()}, now);
}

VerbsObject::Looked ServedQp::look_at_receives(int budget, Instant now) {
  for (; budget > 0; --budget) {
    const auto waiting = receives_.waiting();
    if (!waiting) return std::unexpected(waiting.error());
    if (*waiting == 0) return false;
    const rdma::Posted posted = post_next_receive(now);
    if (posted == rdma::Posted::kFull) return false;
    receives_.take();
    if (posted == rdma::Posted::kInvalid) fail(now);
  }
  return true;
}

VerbsObject::Looked ServedQp::look_at_sends(int budget, Instant now) {
  for (; budget > 0; --budget) {
    const auto waiting = sends_.waiting();
    if (!waiting) return std::unexpected(waiting.error());
    if (*waiting == 0) return false;
    queue::SendRecord record;
    std::memcpy(&record, sends_.slot(), sizeof(record));
    const std::byte* behind = sends_.slot() + sizeof(record);
    const std::size_t room = sends_.stride() - sizeof(record);
    std::array<std::byte, kMostInline> inline_data;
    Pieces pieces;
    rdma::Posted posted = rdma::Posted::kInvalid;
    if ((record.flags & rdma::SendFlags::kInline) == 0) {
      if (pieces.copy(behind, record.pieces, room)) posted = post(record, pieces.all(), {}, now);
    } else if (record.inline_size <= std::min(room, inline_data.size())) {
      std::memcpy(inline_data.data(), behind, record.inline_size);
      posted = post(record, {}, std::span(inline_data).first(record.inline_size), now);
    }
    if (posted == rdma::Posted::kFull) return false;
    sends_.take();
    if (posted == rdma::Posted::kInvalid) fail(now);
  }
  return true;
}

rdma::Posted ServedQp::post(const queue::SendRecord& record, std::span<const rdma::Sge> pieces,
                            std::span<const std::byte> inline_data, Instant now) {
  if (record.opcode > static_cast<std::uint16_t>(rdma::SendOpcode::kSendInvalidate)) {
    return rdma::Posted::kInvalid;
  }
  rdma::SendRequest request{.wr_id = record.wr_id,
                            .opcode = static_cast<rdma::SendOpcode>(record.opcode),
                            .flags = record.flags,
                            .immediate = record.immediate,
                            .sges = pieces,
                            .inline_data = inline_data,
                            .remote_address = record.remote_address,
                            .rkey = record.rkey,
                            .compare_add = record.compare_add,
                            .swap = record.swap,
                            .remote_qpn = record.remote_qpn,
                            .remote_qkey = record.remote_qkey};
  const ServedVerbs& verbs = device()->verbs();
  if (qp_.init.type == rdma::QpType::kUd) {
    const ServedAh* ah = verbs.find<ServedAh>(record.object, *device());
    request.ah = ah == nullptr ? nullptr : &ah->object();
  }
  if (request.opcode == rdma::SendOpcode::kBindWindow) {
    const ServedWindow* window = verbs.find<ServedWindow>(record.object, *device());
    const ServedRegion* region = verbs.find<ServedRegion>(record.region, *device());
    request.bind = {.window = window == nullptr ? nullptr : &window->object(),
                    .new_key = record.rkey,
                    .region = region == nullptr ? nullptr : &region->object(),
                    .address = record.remote_address,
                    .length = record.compare_add,
                    .access = static_cast<rdma::Access>(record.access)};
  }
  const rdma::Posted posted = device()->context().post_send(qp_, request, now);
  if (posted == rdma::Posted::kPosted && request.opcode == rdma::SendOpcode::kBindWindow) {
    has_bound_ = true;
    last_binding_ = sends_.taken() + 1;
  }
  return posted;
}

void ServedQp::fail(Instant now) {
  if (qp_.state == rdma::QpState::kErr || qp_.state == rdma::QpState::kReset) return;
  [[maybe_unused]] const Status failed =
      device()->context().modify_qp(qp_, {.state = rdma::QpState::kErr}, rdma::QpMask::kState, now);
  device()->raise(rdma::EventType::kQpFatal, handle());
}

void ServedQp::retire() {
  sends_.retire(qp_.send_queue.tail() - qp_.send_queue.head());
  // A request that a message consumes is not done with.
  receives_.retire(qp_.receive_queue.size() + (qp_.responder.has_receive ? 1 : 0));
  if (qp_.init.srq != nullptr) static_cast<ServedSrq*>(qp_.init.srq->user)->retire();
}

void ServedQp::reset() {
  sends_.skip();
  receives_.skip();
}

bool ServedQp::binds() const {
  const std::uint32_t done = sends_.taken() - (qp_.send_queue.tail() - qp_.send_queue.head());
  return has_bound_ && static_cast<std::int32_t>(last_binding_ - done) > 0;
}

Status ServedQp::destroy() { return device()->context().destroy_qp(qp_); }

}  // namespace tideline::engine
