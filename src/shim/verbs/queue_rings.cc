// SPDX-License-Identifier: Apache-2.0
#include "shim/verbs/queue_rings.h"

#include <cstring>

#include "engine/verbs_values.h"
#include "shim/verbs/queue_engine.h"

namespace tideline::shim::verbs {
namespace {

// Removed from the ring of events, where it lies.
constexpr std::uint32_t kNoHandle = UINT32_MAX;

void put_pieces(std::byte* to, std::span<const rdma::Sge> sges) {
  for (const rdma::Sge& sge : sges) {
    const queue::PieceRecord record{.address = sge.address, .length = sge.length, .lkey = sge.lkey};
    std::memcpy(to, &record, sizeof(record));
    to += sizeof(record);
  }
}

// Inline data; what it names is memory of this process.
void put_inline(std::byte* to, const rdma::SendRequest& request) {
  std::ranges::copy(request.inline_data, to);
  to += request.inline_data.size();
  for (const rdma::Sge& sge : request.sges) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): an address that the program has named
    std::memcpy(to, reinterpret_cast<const void*>(sge.address), sge.length);
    to += sge.length;
  }
}

queue::SendRecord to_record(const rdma::SendRequest& from) {
  queue::SendRecord record{.wr_id = from.wr_id,
                           .remote_address = from.remote_address,
                           .compare_add = from.compare_add,
                           .swap = from.swap,
                           .flags = from.flags,
                           .immediate = from.immediate,
                           .rkey = from.rkey,
                           .remote_qpn = from.remote_qpn,
                           .remote_qkey = from.remote_qkey,
                           .opcode = static_cast<std::uint16_t>(from.opcode)};
  if (from.ah != nullptr) record.object = to_handle(from.ah->user);
  if (from.opcode == rdma::SendOpcode::kBindWindow) {
    record.remote_address = from.bind.address;
    record.compare_add = from.bind.length;
    record.rkey = from.bind.new_key;
    record.object = from.bind.window == nullptr ? 0 : to_handle(from.bind.window->user);
    record.region = from.bind.region == nullptr ? 0 : to_handle(from.bind.region->user);
    record.access = static_cast<std::uint32_t>(from.bind.access);
  }
  return record;
}

}  // namespace

// --- Completions.

bool CompletionRing::open(std::span<std::byte> piece, std::uint32_t entries) {
  if (piece.empty()) return false;
  indices_ = reinterpret_cast<queue::CompletionIndices*>(piece.data());
  records_ = reinterpret_cast<queue::CompletionRecord*>(piece.data() + queue::kCompletionSlots);
  mask_ = entries - 1;
  consumed_ = 0;
  return true;
}

CompletionRing::Polled CompletionRing::poll(std::span<rdma::Completion> out) {
  Polled polled{.count = std::min<std::size_t>(size(), out.size())};
  if (polled.count == 0) return polled;
  for (std::size_t i = 0; i < polled.count; ++i) {
    out[i] = engine::from_record(records_[(consumed_ + i) & mask_]);
  }
  consumed_ += static_cast<std::uint32_t>(polled.count);
  // Both store, then look.
  indices_->consumed.store(consumed_, std::memory_order_seq_cst);
  polled.made_room = indices_->full.load(std::memory_order_seq_cst) != 0;
  if (polled.made_room) indices_->full.store(0, std::memory_order_relaxed);
  return polled;
}

void CompletionRing::arm(rdma::CompletionQueue::Notify kind) {
  const auto wanted = static_cast<std::uint32_t>(kind);
  if (indices_->armed.load(std::memory_order_relaxed) >= wanted) return;
  indices_->armed.store(wanted, std::memory_order_seq_cst);
}

// --- Work requests.

class WorkRing::Sender final : public SendPoster {
 public:
  Sender(WorkRing& ring, rdma::QpState state) : ring_(ring), state_(state) {}
  std::uint32_t room() const override { return ring_.room(); }
  // As rdma::Context::post_send; what it would refuse later ends the queue pair.
  rdma::Posted post(const rdma::SendRequest& request) override {
    if (state_ < rdma::QpState::kRts) return rdma::Posted::kWrongState;
    if (!rdma::fits(request, ring_.shape_)) return rdma::Posted::kInvalid;
    if (ring_.room() == 0) return rdma::Posted::kFull;
    std::byte* slot = ring_.slot(ring_.written_);
    queue::SendRecord record = to_record(request);
    if ((request.flags & rdma::SendFlags::kInline) != 0) {
      record.inline_size = static_cast<std::uint32_t>(rdma::length_of(request));
      put_inline(slot + sizeof(record), request);
    } else {
      record.pieces = static_cast<std::uint16_t>(request.sges.size());
      put_pieces(slot + sizeof(record), request.sges);
    }
    std::memcpy(slot, &record, sizeof(record));
    ++ring_.written_;
    return rdma::Posted::kPosted;
  }

 private:
  WorkRing& ring_;
  const rdma::QpState state_;
};

class WorkRing::Receiver final : public ReceivePoster {
 public:
  explicit Receiver(WorkRing& ring, bool resets) : ring_(ring), resets_(resets) {}
  rdma::Posted post(const rdma::ReceiveRequest& request) override {
    if (resets_) return rdma::Posted::kWrongState;
    if (request.sges.size() > ring_.shape_.max_sge) return rdma::Posted::kInvalid;
    if (ring_.room() == 0) return rdma::Posted::kFull;
    std::byte* slot = ring_.slot(ring_.written_);
    const queue::ReceiveRecord record{.wr_id = request.wr_id,
                                      .pieces = static_cast<std::uint32_t>(request.sges.size())};
    std::memcpy(slot, &record, sizeof(record));
    put_pieces(slot + sizeof(record), request.sges);
    ++ring_.written_;
    return rdma::Posted::kPosted;
  }

 private:
  WorkRing& ring_;
  const bool resets_;
};

bool WorkRing::open_sends(std::span<std::byte> piece, const queue::PlaceRecord& place,
                          const rdma::SendShape& shape) {
  if (piece.empty()) return false;
  indices_ = reinterpret_cast<queue::WorkIndices*>(piece.data());
  data_ = piece.data() + queue::kWorkSlots;
  slots_ = place.slots;
  stride_ = place.stride;
  shape_ = shape;
  return true;
}

bool WorkRing::open_receives(std::span<std::byte> piece, const queue::PlaceRecord& place,
                             std::uint32_t max_sge) {
  if (piece.empty()) return false;
  indices_ = reinterpret_cast<queue::WorkIndices*>(piece.data()) + 1;
  data_ = piece.data() + queue::kWorkSlots + std::size_t{place.slots} * place.stride;
  slots_ = place.receive_slots;
  stride_ = place.receive_stride;
  shape_.max_sge = max_sge;
  return true;
}

bool WorkRing::open_shared(std::span<std::byte> piece, const queue::PlaceRecord& place,
                           std::uint32_t max_sge) {
  if (piece.empty()) return false;
  indices_ = reinterpret_cast<queue::WorkIndices*>(piece.data());
  data_ = piece.data() + queue::kReceiveSlots;
  slots_ = place.receive_slots;
  stride_ = place.receive_stride;
  shape_.max_sge = max_sge;
  return true;
}

bool WorkRing::move_shared(const Move& body) {
  const std::scoped_lock lock(mutex_);
  std::span<std::byte> piece;
  queue::PlaceRecord place;
  return body(piece, place) && open_shared(piece, place, shape_.max_sge);
}

// Also if nothing was posted, for want of room: the engine then tells of what it has retired.
void WorkRing::publish(QueueEngine& engine, std::uint32_t handle) {
  indices_->written.store(written_, std::memory_order_release);
  engine.hint(handle);
}

bool WorkRing::send(QueueEngine& engine, std::uint32_t handle,
                    const std::atomic<rdma::QpState>& state, const Sends& body) {
  if (engine.is_forked()) return false;
  const std::scoped_lock lock(mutex_);
  Sender sender(*this, state.load(std::memory_order_relaxed));
  body(sender);
  publish(engine, handle);
  return true;
}

bool WorkRing::receive(QueueEngine& engine, std::uint32_t handle, const Receives& body,
                       const std::atomic<rdma::QpState>* state) {
  if (engine.is_forked()) return false;
  const std::scoped_lock lock(mutex_);
  const bool resets =
      state != nullptr && state->load(std::memory_order_relaxed) == rdma::QpState::kReset;
  Receiver receiver(*this, resets);
  body(receiver);
  publish(engine, handle);
  return true;
}

bool WorkRing::flush_one(std::uint64_t& wr_id) {
  const std::scoped_lock lock(mutex_);
  if (!std::exchange(flushes_, true)) flushed_ = indices_->retired.load(std::memory_order_acquire);
  if (flushed_ == written_) return false;
  static_assert(offsetof(queue::SendRecord, wr_id) == 0);
  static_assert(offsetof(queue::ReceiveRecord, wr_id) == 0);
  std::memcpy(&wr_id, slot(flushed_), sizeof(wr_id));
  // It may be posted anew.
  indices_->retired.store(++flushed_, std::memory_order_relaxed);
  return true;
}

// --- Events.

bool EventRing::open(std::span<std::byte> piece) {
  if (piece.empty()) return false;
  indices_ = reinterpret_cast<queue::EventIndices*>(piece.data());
  records_ = reinterpret_cast<queue::EventRecord*>(piece.data() + queue::kEventSlots);
  return true;
}

bool EventRing::take(queue::EventRecord& record) {
  while (!empty()) {
    record = records_[consumed_ % queue::kEvents];
    indices_->consumed.store(++consumed_, std::memory_order_release);
    if (record.handle != kNoHandle) return true;
  }
  return false;
}

std::size_t EventRing::remove(std::uint32_t handle) {
  std::size_t count = 0;
  const std::uint32_t end = indices_->produced.load(std::memory_order_acquire);
  for (std::uint32_t i = consumed_; i != end; ++i) {
    queue::EventRecord& record = records_[i % queue::kEvents];
    if (record.handle != handle) continue;
    record.handle = kNoHandle;
    ++count;
  }
  return count;
}

}  // namespace tideline::shim::verbs
