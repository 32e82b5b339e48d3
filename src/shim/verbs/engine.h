// SPDX-License-Identifier: Apache-2.0
// The seam between the verbs and the engine behind them, wherever that runs: in this process
// (app_device.h) or in a front end, behind a queue pair (queue_device.h). Which one follows from
// TIDELINE_PLACEMENT; nothing else of this shim knows.
//
// It is started when it is first asked for, by ibv_open_device or for the device's GUID or GIDs, on
// the wire that the environment names. Beside the variables of shim/engine/app_process.h:
//   TIDELINE_PLACEMENT  frontend: at TIDELINE_FRONT_END, the path of its socket
//   TIDELINE_DIRECT     0: one-sided operations go by frames, wherever the peer's memory is
//   TIDELINE_HEAP       0: the program's buffers are not made so that others can map them
//
// Objects live until destroy() has said that nothing needs them; then the caller frees them.
// Errors carry the errno that the verb returns. Thread: any, unless a class says otherwise.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/error.h"
#include "rdma/address.h"
#include "rdma/completion_queue.h"
#include "rdma/context.h"
#include "rdma/options.h"
#include "rdma/qp_attributes.h"
#include "rdma/regions.h"
#include "rdma/types.h"
#include "rdma/work_request.h"

namespace tideline::shim::verbs {

// A function that is called before the call returns, and is not kept.
template <typename... Arguments>
class Callback {
 public:
  template <typename Body>
  Callback(const Body& body)  // NOLINT(google-explicit-constructor): as a parameter
      : body_(&body), run_([](const void* object, Arguments... arguments) {
          (*static_cast<const Body*>(object))(arguments...);
        }) {}
  void operator()(Arguments... arguments) const { run_(body_, arguments...); }

 private:
  const void* body_;
  void (*run_)(const void*, Arguments...);
};

// What can be destroyed, unless something still needs it: EBUSY.
class Object {
 public:
  virtual ~Object() = default;
  virtual Status destroy() = 0;
};

class Domain;

class Region : public Object {
 public:
  // What work requests name it by. Its key stays.
  rdma::MemoryRegion* region = nullptr;

  // `pd`: null, unless it moves.
  virtual Status reregister(const rdma::MemoryRegionChange& change, Domain* pd) = 0;
};

class Window : public Object {
 public:
  rdma::MemoryWindow* window = nullptr;  // the same
};

class Address : public Object {
 public:
  const rdma::AddressHandle* handle = nullptr;  // the same

  // Whether packets to it would leave at once; false: it asks for the way.
  virtual bool has_way() = 0;
};

// poll(), size() and request_notification(): one thread at a time per queue; the caller has a lock
// if it needs one. resize() under that lock, too.
class Completions : public Object {
 public:
  virtual std::uint32_t entries() const = 0;
  virtual std::uint32_t size() = 0;
  // As rdma::CompletionQueue.
  virtual std::size_t poll(std::span<rdma::Completion> out) = 0;
  virtual void request_notification(rdma::CompletionQueue::Notify kind) = 0;
  virtual Status resize(std::uint32_t entries) = 0;
};

// Where a batch of receive requests goes.
class ReceivePoster {
 public:
  virtual rdma::Posted post(const rdma::ReceiveRequest& request) = 0;

 protected:
  ~ReceivePoster() = default;
};
using Receives = Callback<ReceivePoster&>;

class SharedReceives : public Object {
 public:
  std::uint32_t number = 0;
  std::uint32_t max_sge = 0;

  struct State {
    std::uint32_t max_wr = 0;
    std::uint32_t limit = 0;
  };
  virtual Result<State> query() = 0;
  virtual Status modify(const rdma::SrqChange& change) = 0;
  // Calls `body` at once. False: the engine is gone, or another process's.
  virtual bool receive(const Receives& body) = 0;
};

class SendPoster {
 public:
  virtual rdma::Posted post(const rdma::SendRequest& request) = 0;
  // How many more the queue takes.
  virtual std::uint32_t room() const = 0;

 protected:
  ~SendPoster() = default;
};
using Sends = Callback<SendPoster&>;

class QueuePair : public Object {
 public:
  std::uint32_t number = 0;
  rdma::QpType type = rdma::QpType::kRc;
  rdma::QpCapacity capacity{};
  bool signal_all = false;

  // What is in its completion queues of it goes with destroy() and with the step to RESET: nobody
  // polls them meanwhile. The state afterwards, also if it fails.
  virtual Status modify(const rdma::QpAttributes& attributes, std::uint32_t mask,
                        rdma::QpState& state) = 0;
  virtual Result<rdma::QpAttributes> query() = 0;
  virtual bool has_way() = 0;
  // As SharedReceives::receive(). What was posted is on its way when it returns.
  virtual bool send(const Sends& body) = 0;
  virtual bool receive(const Receives& body) = 0;
};

struct QueuePairInit {
  rdma::QpType type = rdma::QpType::kRc;
  Completions* send = nullptr;
  Completions* receive = nullptr;
  SharedReceives* shared = nullptr;
  rdma::QpCapacity capacity{};
  bool signal_all = false;
  void* user = nullptr;  // for events
};

struct SharedReceivesInit {
  std::uint32_t max_wr = 0;
  std::uint32_t max_sge = 0;
  std::uint32_t limit = 0;
  void* user = nullptr;
};

class Domain : public Object {
 public:
  virtual Result<std::unique_ptr<Region>> register_region(const rdma::MemoryRegionInit& init) = 0;
  virtual Result<std::unique_ptr<Window>> alloc_window(rdma::WindowType type) = 0;
  virtual Result<std::unique_ptr<Address>> create_address(const rdma::AddressVector& vector) = 0;
  virtual Result<std::unique_ptr<SharedReceives>> create_receives(
      const SharedReceivesInit& init) = 0;
  virtual Result<std::unique_ptr<QueuePair>> create_pair(const QueuePairInit& init) = 0;
};

// Completion events. fd() is readable while there are any, and is the program's to poll and to set
// O_NONBLOCK on.
class EventChannel {
 public:
  virtual ~EventChannel() = default;
  virtual int fd() const = 0;
  // Blocks as the descriptor does. The `user` of a queue; null with errno set.
  virtual void* pop() = 0;
  // Takes out those of a queue that goes.
  virtual void forget(const void* user) = 0;
};

struct DeviceEvent {
  rdma::EventType type = rdma::EventType::kDeviceFatal;
  void* user = nullptr;  // of the object; null: the device
};

// Of one ibv_open_device. Whatever it has left goes with it.
class OpenDevice {
 public:
  virtual ~OpenDevice() = default;
  virtual Result<std::unique_ptr<Domain>> alloc_domain() = 0;
  virtual Result<std::unique_ptr<EventChannel>> create_channel() = 0;
  // `channel`: null, or where its events go.
  virtual Result<std::unique_ptr<Completions>> create_completions(std::uint32_t entries, void* user,
                                                                  EventChannel* channel) = 0;
  // Asynchronous events, as in EventChannel.
  virtual int events_fd() const = 0;
  virtual bool pop_event(DeviceEvent& event) = 0;
  virtual void forget_events(const void* user) = 0;
};

// Constant.
struct DeviceTraits {
  rdma::DeviceLimits limits{};
  std::uint64_t node_guid = 0;
  std::uint16_t lid = 0;
  rdma::Mtu active_mtu = rdma::Mtu::k1024;
  rdma::GidTable gids{};
};

class Engine {
 public:
  // The engine of this process; starts it at the first call. Fails with the reason, told on
  // standard error once, if the wire cannot be opened; and in a forked child of a process that has
  // an engine.
  static Result<Engine*> get();

  virtual const DeviceTraits& traits() const = 0;
  // The kernel's interface that carries the wire; empty if there is none.
  virtual std::string interface() const = 0;
  virtual Result<rdma::AddressVector> address_of(std::uint16_t lid) = 0;
  virtual Result<std::unique_ptr<OpenDevice>> open() = 0;

  // Drives the engine once, unless somebody else does.
  virtual void poll() = 0;
  // The calling thread is about to block.
  virtual void about_to_sleep() = 0;

 protected:
  ~Engine() = default;
};

// The engine of a process that has opened the device.
Engine& the_engine();

}  // namespace tideline::shim::verbs
