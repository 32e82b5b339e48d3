// SPDX-License-Identifier: Apache-2.0
#include "shim/verbs/queue_objects.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "engine/attachment.h"
#include "engine/verbs_values.h"
#include "queue/doorbell.h"
#include "shim/verbs/queue_completions.h"
#include "shim/verbs/queue_engine.h"
#include "shim/verbs/queue_rings.h"

namespace tideline::shim::verbs {
namespace {

using queue::VerbsOp;
using queue::VerbsRequest;
using queue::VerbsResponse;

// --- Objects without rings.

class QueueRegion final : public Region {
 public:
  QueueRegion(QueueEngine& engine, const VerbsResponse& made)
      : engine_(engine), mine_{.key = made.key, .user = to_user(made.handle)} {
    region = &mine_;
  }
  Status destroy() override { return engine_.destroy(to_handle(mine_.user)); }
  Status reregister(const rdma::MemoryRegionChange& change, Domain* pd) override;

 private:
  QueueEngine& engine_;
  rdma::MemoryRegion mine_;
};

class QueueWindow final : public Window {
 public:
  QueueWindow(QueueEngine& engine, const VerbsResponse& made)
      : engine_(engine), mine_{.key = made.key, .user = to_user(made.handle)} {
    window = &mine_;
  }
  Status destroy() override { return engine_.destroy(to_handle(mine_.user)); }

 private:
  QueueEngine& engine_;
  rdma::MemoryWindow mine_;
};

bool knows_way(QueueEngine& engine, std::uint32_t handle) {
  const auto known = engine.call({.op = VerbsOp::kHasWay, .handle = handle});
  return !known || known->number != 0;  // who is gone is not waited for
}

class QueueAddress final : public Address {
 public:
  QueueAddress(QueueEngine& engine, const VerbsResponse& made)
      : engine_(engine), mine_{.user = to_user(made.handle)} {
    handle = &mine_;
  }
  Status destroy() override { return engine_.destroy(to_handle(mine_.user)); }
  bool has_way() override { return knows_way(engine_, to_handle(mine_.user)); }

 private:
  QueueEngine& engine_;
  rdma::AddressHandle mine_;
};

// --- Queues.

class QueueReceives final : public SharedReceives {
 public:
  explicit QueueReceives(QueueEngine& engine) : engine_(engine) {}
  bool open(const VerbsResponse& made) {
    handle_ = made.handle;
    number = made.number;
    max_sge = made.capacity.recv_sge;
    return ring_.open_shared(engine_.piece(made.place), made.place, max_sge);
  }
  Status destroy() override { return engine_.destroy(handle_); }
  Result<State> query() override {
    const auto state = engine_.call({.op = VerbsOp::kQuerySrq, .handle = handle_});
    if (!state) return fail(state.error());
    return State{.max_wr = state->capacity.recv_wr, .limit = state->number};
  }
  Status modify(const rdma::SrqChange& change) override {
    VerbsRequest request{.op = VerbsOp::kModifySrq,
                         .handle = handle_,
                         .number = change.limit,
                         .mask = (change.resize ? 1U : 0U) | (change.set_limit ? 2U : 0U)};
    request.capacity.recv_wr = change.max_wr;
    Status result;
    const bool moved = ring_.move_shared([&](auto& piece, auto& place) {
      const auto changed = engine_.call(request);
      if (!changed) {
        result = fail(changed.error());
        return false;
      }
      place = changed->place;
      piece = engine_.piece(place);
      return true;
    });
    if (!moved && result) return no_memory();
    return result;
  }
  bool receive(const Receives& body) override { return ring_.receive(engine_, handle_, body); }

  std::uint32_t handle() const { return handle_; }

 private:
  QueueEngine& engine_;
  std::uint32_t handle_ = 0;
  WorkRing ring_;
};

class QueueDevice;

class QueueQp final : public QueuePair {
 public:
  QueueQp(QueueEngine& engine, const QueuePairInit& init) : engine_(engine), init_(init) {}
  bool open(const VerbsResponse& made);
  Status destroy() override;
  Status modify(const rdma::QpAttributes& attributes, std::uint32_t mask,
                rdma::QpState& state) override;
  Result<rdma::QpAttributes> query() override {
    const auto found = engine_.call({.op = VerbsOp::kQueryQp, .handle = handle_});
    if (!found) return fail(found.error());
    rdma::QpAttributes attributes = engine::from_record(found->attributes);
    state_.store(attributes.state, std::memory_order_relaxed);
    return attributes;
  }
  bool has_way() override { return knows_way(engine_, handle_); }
  bool send(const Sends& body) override { return sends_.send(engine_, handle_, state_, body); }
  bool receive(const Receives& body) override {
    return init_.shared == nullptr && receives_.receive(engine_, handle_, body, &state_);
  }

  std::uint32_t handle() const { return handle_; }

 private:
  QueueCompletions& completions(Completions* cq) const {
    return *static_cast<QueueCompletions*>(cq);
  }

  QueueEngine& engine_;
  const QueuePairInit init_;
  std::uint32_t handle_ = 0;
  std::atomic<rdma::QpState> state_{rdma::QpState::kReset};
  WorkRing sends_;
  WorkRing receives_;
};

bool QueueQp::open(const VerbsResponse& made) {
  handle_ = made.handle;
  number = made.number;
  type = init_.type;
  capacity = engine::from_record(made.capacity);
  signal_all = init_.signal_all;
  const std::span<std::byte> piece = engine_.piece(made.place);
  const rdma::SendShape shape{.type = init_.type,
                              .max_sge = init_.capacity.send_sge,
                              .max_inline = init_.capacity.inline_data,
                              .mtu = rdma::bytes_of(engine_.traits().active_mtu)};
  if (!sends_.open_sends(piece, made.place, shape)) return false;
  completions(init_.send).add(&sends_, number, rdma::WcOpcode::kSend);
  if (init_.shared != nullptr) return true;
  if (!receives_.open_receives(piece, made.place, init_.capacity.recv_sge)) return false;
  completions(init_.receive).add(&receives_, number, rdma::WcOpcode::kReceive);
  return true;
}

Status QueueQp::destroy() {
  if (Status s = engine_.destroy(handle_); !s) return s;
  completions(init_.send).remove(number);
  completions(init_.receive).remove(number);
  return {};
}

Status QueueQp::modify(const rdma::QpAttributes& attributes, std::uint32_t mask,
                       rdma::QpState& state) {
  const auto changed = engine_.call({.op = VerbsOp::kModifyQp,
                                     .handle = handle_,
                                     .mask = mask,
                                     .attributes = engine::to_record(attributes)});
  if (!changed) return fail(changed.error());
  state = static_cast<rdma::QpState>(changed->number);
  state_.store(state, std::memory_order_relaxed);
  return {};
}

// --- Domains and devices.

class QueueDevice final : public OpenDevice {
 public:
  QueueDevice(QueueEngine& engine, std::unique_ptr<client::Waiter> waiter)
      : engine_(engine), bell_(engine, std::move(waiter)) {}
  ~QueueDevice() override {
    [[maybe_unused]] const auto closed = engine_.call({.op = VerbsOp::kClose, .handle = handle_});
  }
  Status open(std::atomic<std::uint64_t>& word);

  Result<std::unique_ptr<Domain>> alloc_domain() override;
  Result<std::unique_ptr<EventChannel>> create_channel() override {
    auto waiter = engine_.take_waiter();
    if (!waiter) return fail(std::move(waiter.error()));
    return std::make_unique<QueueEvents>(engine_, std::move(*waiter));
  }
  Result<std::unique_ptr<Completions>> create_completions(std::uint32_t entries, void* user,
                                                          EventChannel* channel) override;
  int events_fd() const override { return bell_.fd(); }
  bool pop_event(DeviceEvent& event) override;
  void forget_events(const void* user) override;

  // Events of that object are the `user`'s.
  void name(std::uint32_t handle, void* user) {
    const std::scoped_lock lock(mutex_);
    std::erase_if(users_, [&](const auto& each) { return each.first == handle; });
    users_.emplace_back(handle, user);
  }

 private:
  // The oldest that is for somebody.
  bool take_event(DeviceEvent& event);

  QueueEngine& engine_;
  EventBell bell_;
  std::uint32_t handle_ = 0;
  EventRing ring_;
  std::mutex mutex_;
  std::vector<std::pair<std::uint32_t, void*>> users_;
  bool told_fatal_ = false;
};

class QueueDomain final : public Domain {
 public:
  QueueDomain(QueueEngine& engine, QueueDevice& device, std::uint32_t handle)
      : engine_(engine), device_(device), handle_(handle) {}
  Status destroy() override { return engine_.destroy(handle_); }
  Result<std::unique_ptr<Region>> register_region(const rdma::MemoryRegionInit& init) override;
  Result<std::unique_ptr<Window>> alloc_window(rdma::WindowType type) override;
  Result<std::unique_ptr<Address>> create_address(const rdma::AddressVector& vector) override;
  Result<std::unique_ptr<SharedReceives>> create_receives(const SharedReceivesInit& init) override;
  Result<std::unique_ptr<QueuePair>> create_pair(const QueuePairInit& init) override;

  std::uint32_t handle() const { return handle_; }

 private:
  QueueEngine& engine_;
  QueueDevice& device_;
  const std::uint32_t handle_;
};

Status QueueRegion::reregister(const rdma::MemoryRegionChange& change, Domain* pd) {
  VerbsRequest request{.op = VerbsOp::kReregister, .handle = to_handle(mine_.user)};
  if (pd != nullptr) request.second = static_cast<QueueDomain*>(pd)->handle();
  request.mask = change.flags;
  request.access = static_cast<std::uint32_t>(change.access);
  request.address = change.address;
  request.length = change.length;
  const auto changed = engine_.call(request);
  if (!changed) return fail(changed.error());
  mine_.key = changed->key;
  return {};
}

void explain_reach() {
  static std::atomic<bool> told{false};
  if (told.exchange(true)) return;
  std::fputs(
      "tideline: the front end cannot reach all memory of this program, for it runs as another "
      "user. What the program takes from posix_memalign and its "
      "like, by whole pages or 64 KiB and more, can be registered\n",
      stderr);
}

Result<std::unique_ptr<Region>> QueueDomain::register_region(const rdma::MemoryRegionInit& init) {
  VerbsRequest request{.op = VerbsOp::kRegister, .handle = handle_};
  request.access = static_cast<std::uint32_t>(init.access);
  request.address = init.address;
  request.length = init.length;
  request.iova = init.iova;
  const auto made = engine_.call(request);
  if (!made && made.error().errno_value == EACCES) explain_reach();
  if (!made) return fail(made.error());
  return std::make_unique<QueueRegion>(engine_, *made);
}

Result<std::unique_ptr<Window>> QueueDomain::alloc_window(rdma::WindowType type) {
  const auto made = engine_.call(
      {.op = VerbsOp::kAllocWindow, .type = static_cast<std::uint16_t>(type), .handle = handle_});
  if (!made) return fail(made.error());
  return std::make_unique<QueueWindow>(engine_, *made);
}

Result<std::unique_ptr<Address>> QueueDomain::create_address(const rdma::AddressVector& vector) {
  VerbsRequest request{.op = VerbsOp::kCreateAh, .handle = handle_};
  request.attributes.address = engine::to_record(vector);
  const auto made = engine_.call(request);
  if (!made) return fail(made.error());
  return std::make_unique<QueueAddress>(engine_, *made);
}

Result<std::unique_ptr<SharedReceives>> QueueDomain::create_receives(
    const SharedReceivesInit& init) {
  VerbsRequest request{.op = VerbsOp::kCreateSrq, .handle = handle_, .number = init.limit};
  request.capacity.recv_wr = init.max_wr;
  request.capacity.recv_sge = init.max_sge;
  const auto made = engine_.call(request);
  if (!made) return fail(made.error());
  auto srq = std::make_unique<QueueReceives>(engine_);
  if (!srq->open(*made)) {
    [[maybe_unused]] const Status gone = srq->destroy();
    return no_memory();
  }
  device_.name(made->handle, init.user);
  return srq;
}

Result<std::unique_ptr<QueuePair>> QueueDomain::create_pair(const QueuePairInit& init) {
  VerbsRequest request{.op = VerbsOp::kCreateQp,
                       .type = static_cast<std::uint16_t>(init.type),
                       .handle = handle_,
                       .second = static_cast<QueueCompletions*>(init.send)->handle(),
                       .third = static_cast<QueueCompletions*>(init.receive)->handle(),
                       .mask = init.signal_all ? 1U : 0U,
                       .capacity = engine::to_record(init.capacity)};
  if (init.shared != nullptr) request.fourth = static_cast<QueueReceives*>(init.shared)->handle();
  const auto made = engine_.call(request);
  if (!made) return fail(made.error());
  auto qp = std::make_unique<QueueQp>(engine_, init);
  if (!qp->open(*made)) {
    [[maybe_unused]] const Status gone = qp->destroy();
    return no_memory();
  }
  device_.name(made->handle, init.user);
  return qp;
}

Status QueueDevice::open(std::atomic<std::uint64_t>& word) {
  const std::uint64_t value = engine::random_seed();
  word.store(value);
  VerbsRequest request{.op = VerbsOp::kOpen, .number = bell_.number()};
  request.address = reinterpret_cast<std::uintptr_t>(&word);
  request.iova = value;
  const auto made = engine_.call(request);
  if (!made) return fail(made.error());
  handle_ = made->handle;
  if (!ring_.open(engine_.piece(made->place))) return no_memory();
  return {};
}

Result<std::unique_ptr<Domain>> QueueDevice::alloc_domain() {
  const auto made = engine_.call({.op = VerbsOp::kAllocPd, .handle = handle_});
  if (!made) return fail(made.error());
  return std::make_unique<QueueDomain>(engine_, *this, made->handle);
}

Result<std::unique_ptr<Completions>> QueueDevice::create_completions(std::uint32_t entries,
                                                                     void* user,
                                                                     EventChannel* channel) {
  auto* events = static_cast<QueueEvents*>(channel);
  const std::uint32_t waiter = events == nullptr ? 0 : std::uint32_t{events->number()} + 1;
  const auto made = engine_.call(
      {.op = VerbsOp::kCreateCq, .handle = handle_, .number = entries, .second = waiter});
  if (!made) return fail(made.error());
  auto cq = std::make_unique<QueueCompletions>(engine_, user, events);
  if (!cq->open(*made)) {
    [[maybe_unused]] const Status gone = cq->destroy();
    return no_memory();
  }
  name(made->handle, user);
  return cq;
}

bool QueueDevice::take_event(DeviceEvent& event) {
  queue::EventRecord record;
  while (ring_.take(record)) {
    const auto found =
        std::ranges::find_if(users_, [&](const auto& each) { return each.first == record.handle; });
    if (record.handle != 0 && found == users_.end()) continue;
    event = {.type = static_cast<rdma::EventType>(record.type),
             .user = record.handle == 0 ? nullptr : found->second};
    return true;
  }
  return false;
}

bool QueueDevice::pop_event(DeviceEvent& event) {
  while (bell_.wait()) {
    const std::scoped_lock lock(mutex_);
    const bool taken = take_event(event);
    const bool gone = engine_.is_gone();
    if (gone || !ring_.empty()) bell_.keep_ringing();
    if (taken) return true;
    if (!gone) continue;
    if (!std::exchange(told_fatal_, true)) {
      event = {.type = rdma::EventType::kDeviceFatal, .user = nullptr};
      return true;
    }
    errno = EIO;
    return false;
  }
  return false;
}

void QueueDevice::forget_events(const void* user) {
  const std::scoped_lock lock(mutex_);
  const auto found =
      std::ranges::find_if(users_, [&](const auto& each) { return each.second == user; });
  if (found == users_.end()) return;
  const std::size_t events = ring_.remove(found->first);
  users_.erase(found);
  if (!engine_.is_gone()) bell_.take_back(events);
}

}  // namespace

Result<std::unique_ptr<OpenDevice>> open_behind_queue_pair(QueueEngine& engine,
                                                           std::atomic<std::uint64_t>& word) {
  auto waiter = engine.take_waiter();
  if (!waiter) return fail(std::move(waiter.error()));
  auto device = std::make_unique<QueueDevice>(engine, std::move(*waiter));
  if (Status s = device->open(word); !s) return fail(std::move(s.error()));
  return device;
}

}  // namespace tideline::shim::verbs
