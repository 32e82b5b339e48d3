// SPDX-License-Identifier: Apache-2.0
#include "shim/verbs/app_device.h"

#include <cerrno>
#include <utility>

#include "base/clock.h"
#include "rdma/memory_access.h"
#include "shim/verbs/event_queue.h"

namespace tideline::shim::verbs {
namespace {

rdma::MemoryAccess& program_memory() {
  static rdma::GuardedMemory memory;
  return memory;
}

// What objects are made with.
struct Opened {
  EngineLock& engine;
  rdma::Device& device;
  rdma::Context* context = nullptr;

  // Runs `body(context, now)` under the lock; what it returns.
  template <typename Body>
  auto control(const Body& body) -> decltype(body(*context, Instant{})) {
    decltype(body(*context, Instant{})) result =
        fail({.kind = ErrorKind::kEnvironment, .what = "the engine is closed", .errno_value = EIO});
    engine.locked([&](Instant now) { result = body(*context, now); });
    return result;
  }
};

class AppRegion final : public Region {
 public:
  AppRegion(Opened& opened, rdma::MemoryRegion& mine) : opened_(opened) { region = &mine; }
  Status destroy() override {
    return opened_.control(
        [&](rdma::Context& context, Instant) { return context.deregister_region(*region); });
  }
  Status reregister(const rdma::MemoryRegionChange& change, Domain* pd) override;

 private:
  Opened& opened_;
};

class AppWindow final : public Window {
 public:
  AppWindow(Opened& opened, rdma::MemoryWindow& mine) : opened_(opened) { window = &mine; }
  Status destroy() override {
    return opened_.control(
        [&](rdma::Context& context, Instant) { return context.dealloc_window(*window); });
  }

 private:
  Opened& opened_;
};

class AppAddress final : public Address {
 public:
  AppAddress(Opened& opened, rdma::AddressHandle& mine) : opened_(opened), mine_(mine) {
    handle = &mine;
  }
  Status destroy() override {
    return opened_.control(
        [&](rdma::Context& context, Instant) { return context.destroy_ah(mine_); });
  }
  // Each look is a turn of the engine, too: the answer is taken here.
  bool has_way() override {
    bool known = true;  // of a closed engine nobody waits
    opened_.engine.locked([&](Instant now) { known = opened_.device.prepare(mine_.route, now); });
    return known;
  }

 private:
  Opened& opened_;
  rdma::AddressHandle& mine_;
};

class AppChannel final : public EventChannel {
 public:
  int fd() const override { return events.fd(); }
  void* pop() override {
    void* user = nullptr;
    return events.pop(user) ? user : nullptr;
  }
  void forget(const void* user) override {
    events.remove_if_gone([&](const void* each) { return each == user; });
  }

  EventQueue<void*> events;
};

class AppCompletions final : public Completions {
 public:
  AppCompletions(Opened& opened, void* user, AppChannel* channel)
      : opened_(opened), user_(user), channel_(channel) {}
  Status make(std::uint32_t entries) {
    return opened_.control([&](rdma::Context& context, Instant) -> Status {
      auto created = context.create_cq(entries, this);
      if (!created) return fail(std::move(created.error()));
      cq_ = *created;
      return {};
    });
  }
  Status destroy() override {
    return opened_.control(
        [&](rdma::Context& context, Instant) { return context.destroy_cq(*cq_); });
  }
  std::uint32_t entries() const override { return cq_->entries(); }
  std::uint32_t size() override { return cq_->size(); }
  std::size_t poll(std::span<rdma::Completion> out) override { return cq_->poll(out); }
  void request_notification(rdma::CompletionQueue::Notify kind) override {
    cq_->request_notification(kind);
  }
  Status resize(std::uint32_t entries) override {
    return opened_.control(
        [&](rdma::Context& context, Instant) { return context.resize_cq(*cq_, entries); });
  }

  rdma::CompletionQueue& cq() { return *cq_; }
  void* user() const { return user_; }
  // Under the engine's lock.
  void announce() {
    if (channel_ != nullptr) channel_->events.push(user_);
  }

 private:
  Opened& opened_;
  rdma::CompletionQueue* cq_ = nullptr;
  void* const user_;
  AppChannel* const channel_;
};

class AppReceives final : public SharedReceives {
 public:
  AppReceives(Opened& opened, rdma::SharedReceiveQueue& srq) : opened_(opened), srq_(srq) {
    number = srq.number;
    max_sge = srq.queue.max_sge();
  }
  Status destroy() override {
    return opened_.control(
        [&](rdma::Context& context, Instant) { return context.destroy_srq(srq_); });
  }
  Result<State> query() override {
    return opened_.control([&](rdma::Context&, Instant) -> Result<State> {
      return State{.max_wr = srq_.queue.capacity(), .limit = srq_.limit};
    });
  }
  Status modify(const rdma::SrqChange& change) override {
    return opened_.control(
        [&](rdma::Context& context, Instant) { return context.modify_srq(srq_, change); });
  }
  bool receive(const Receives& body) override {
    struct Poster final : ReceivePoster {
      AppReceives& self;
      explicit Poster(AppReceives& owner) : self(owner) {}
      rdma::Posted post(const rdma::ReceiveRequest& request) override {
        return self.opened_.context->post_srq_recv(self.srq_, request);
      }
    } poster(*this);
    return opened_.engine.locked_to_receive([&] { body(poster); });
  }

  rdma::SharedReceiveQueue& srq() { return srq_; }

 private:
  Opened& opened_;
  rdma::SharedReceiveQueue& srq_;
};

class AppPair final : public QueuePair {
 public:
  AppPair(Opened& opened, rdma::QueuePair& qp) : opened_(opened), qp_(qp) {
    number = qp.number;
    type = qp.init.type;
    capacity = qp.init.capacity;
    signal_all = qp.init.signal_all;
  }
  Status destroy() override {
    return opened_.control([&](rdma::Context& context, Instant) {
      const rdma::QpInit init = qp_.init;
      Status status = context.destroy_qp(qp_);
      if (status) discard(init);
      return status;
    });
  }
  Status modify(const rdma::QpAttributes& attributes, std::uint32_t mask,
                rdma::QpState& state) override {
    return opened_.control([&](rdma::Context& context, Instant now) {
      Status status = context.modify_qp(qp_, attributes, mask, now);
      state = qp_.state;
      const bool resets =
          (mask & rdma::QpMask::kState) != 0 && attributes.state == rdma::QpState::kReset;
      if (resets && status) discard(qp_.init);
      return status;
    });
  }
  Result<rdma::QpAttributes> query() override {
    return opened_.control([&](rdma::Context& context, Instant) -> Result<rdma::QpAttributes> {
      return context.query_qp(qp_);
    });
  }
  bool has_way() override {
    bool known = true;
    opened_.engine.locked([&](Instant now) { known = opened_.device.prepare(qp_.route, now); });
    return known;
  }
  bool send(const Sends& body) override {
    return opened_.engine.locked([&](Instant now) {
      Poster poster(*this, now);
      body(poster);
    });
  }
  bool receive(const Receives& body) override {
    struct Receiver final : ReceivePoster {
      AppPair& self;
      Instant now;
      Receiver(AppPair& owner, Instant when) : self(owner), now(when) {}
      rdma::Posted post(const rdma::ReceiveRequest& request) override {
        return self.opened_.context->post_recv(self.qp_, request, now);
      }
    };
    return opened_.engine.locked_to_receive([&] {
      // Only what is flushed at once wants to know the time.
      Receiver poster(*this, qp_.state == rdma::QpState::kErr ? monotonic_now() : Instant{});
      body(poster);
    });
  }

 private:
  struct Poster final : SendPoster {
    AppPair& self;
    Instant now;
    Poster(AppPair& owner, Instant when) : self(owner), now(when) {}
    rdma::Posted post(const rdma::SendRequest& request) override {
      return self.opened_.context->post_send(self.qp_, request, now);
    }
    std::uint32_t room() const override {
      const rdma::SendQueue& queue = self.qp_.send_queue;
      return queue.capacity() - (queue.tail() - queue.head());
    }
  };
  // A program that uses its completion queues again is not to find there what is left of a queue
  // pair's past; so hardware has it.
  void discard(const rdma::QpInit& init) const {
    init.send_cq->discard(number);
    init.recv_cq->discard(number);
  }

  Opened& opened_;
  rdma::QueuePair& qp_;
};

class AppDomain final : public Domain {
 public:
  AppDomain(Opened& opened, rdma::ProtectionDomain& pd) : opened_(opened), pd_(pd) {}
  Status destroy() override {
    return opened_.control(
        [&](rdma::Context& context, Instant) { return context.dealloc_pd(pd_); });
  }
  Result<std::unique_ptr<Region>> register_region(const rdma::MemoryRegionInit& init) override {
    return make<Region, AppRegion>(
        [&](rdma::Context& context) { return context.register_region(pd_, init); });
  }
  Result<std::unique_ptr<Window>> alloc_window(rdma::WindowType type) override {
    return make<Window, AppWindow>(
        [&](rdma::Context& context) { return context.alloc_window(pd_, type); });
  }
  Result<std::unique_ptr<Address>> create_address(const rdma::AddressVector& vector) override {
    return make<Address, AppAddress>(
        [&](rdma::Context& context) { return context.create_ah(pd_, vector); });
  }
  Result<std::unique_ptr<SharedReceives>> create_receives(const SharedReceivesInit& init) override {
    return make<SharedReceives, AppReceives>([&](rdma::Context& context) {
      return context.create_srq(
          pd_,
          {.max_wr = init.max_wr, .max_sge = init.max_sge, .limit = init.limit, .user = init.user});
    });
  }
  Result<std::unique_ptr<QueuePair>> create_pair(const QueuePairInit& init) override {
    return make<QueuePair, AppPair>([&](rdma::Context& context) {
      auto* shared = static_cast<AppReceives*>(init.shared);
      return context.create_qp(pd_, {.type = init.type,
                                     .send_cq = &static_cast<AppCompletions*>(init.send)->cq(),
                                     .recv_cq = &static_cast<AppCompletions*>(init.receive)->cq(),
                                     .srq = shared == nullptr ? nullptr : &shared->srq(),
                                     .capacity = init.capacity,
                                     .signal_all = init.signal_all,
                                     .user = init.user});
    });
  }

  rdma::ProtectionDomain& pd() { return pd_; }

 private:
  template <typename Made, typename Mine, typename Create>
  Result<std::unique_ptr<Made>> make(const Create& create) {
    return opened_.control([&](rdma::Context& context, Instant) -> Result<std::unique_ptr<Made>> {
      auto created = create(context);
      if (!created) return fail(std::move(created.error()));
      return std::make_unique<Mine>(opened_, **created);
    });
  }

  Opened& opened_;
  rdma::ProtectionDomain& pd_;
};

Status AppRegion::reregister(const rdma::MemoryRegionChange& change, Domain* pd) {
  return opened_.control([&](rdma::Context& context, Instant) {
    rdma::MemoryRegionChange whole = change;
    if (pd != nullptr) whole.pd = &static_cast<AppDomain*>(pd)->pd();
    return context.reregister_region(*region, whole);
  });
}

class AppDevice final : public OpenDevice, private rdma::EventSink {
 public:
  AppDevice(EngineLock& engine, rdma::Device& device)
      : opened_{.engine = engine, .device = device} {}
  ~AppDevice() override {
    opened_.engine.locked([&](Instant) {
      if (opened_.context != nullptr) opened_.device.close(*opened_.context);
    });
  }
  Status open() {
    if (Status s = events_.open(); !s) return s;
    opened_.engine.locked(
        [&](Instant) { opened_.context = &opened_.device.open(program_memory(), *this); });
    if (opened_.context != nullptr) return {};
    return fail(
        {.kind = ErrorKind::kEnvironment, .what = "the engine is closed", .errno_value = EIO});
  }

  Result<std::unique_ptr<Domain>> alloc_domain() override {
    return opened_.control([&](rdma::Context& context, Instant) -> Result<std::unique_ptr<Domain>> {
      auto pd = context.alloc_pd();
      if (!pd) return fail(std::move(pd.error()));
      return std::make_unique<AppDomain>(opened_, **pd);
    });
  }
  Result<std::unique_ptr<EventChannel>> create_channel() override {
    auto channel = std::make_unique<AppChannel>();
    if (Status s = channel->events.open(); !s) return fail(std::move(s.error()));
    return channel;
  }
  Result<std::unique_ptr<Completions>> create_completions(std::uint32_t entries, void* user,
                                                          EventChannel* channel) override {
    auto cq = std::make_unique<AppCompletions>(opened_, user, static_cast<AppChannel*>(channel));
    if (Status s = cq->make(entries); !s) return fail(std::move(s.error()));
    return cq;
  }
  int events_fd() const override { return events_.fd(); }
  bool pop_event(DeviceEvent& event) override { return events_.pop(event); }
  void forget_events(const void* user) override {
    events_.remove_if_gone([&](const DeviceEvent& each) { return each.user == user; });
  }

 private:
  // rdma::EventSink, under the engine's lock.
  void completion(rdma::CompletionQueue& cq) override {
    static_cast<AppCompletions*>(cq.user())->announce();
  }
  void asynchronous(const rdma::AsyncEvent& event) override {
    void* user = nullptr;
    if (event.cq != nullptr) user = static_cast<AppCompletions*>(event.cq->user())->user();
    if (event.qp != nullptr) user = event.qp->init.user;
    if (event.srq != nullptr) user = event.srq->user;
    events_.push({.type = event.type, .user = user});
  }

  Opened opened_;
  EventQueue<DeviceEvent> events_;
};

}  // namespace

Result<std::unique_ptr<OpenDevice>> open_in_process(EngineLock& engine, rdma::Device& device) {
  auto opened = std::make_unique<AppDevice>(engine, device);
  if (Status s = opened->open(); !s) return fail(std::move(s.error()));
  return opened;
}

}  // namespace tideline::shim::verbs
