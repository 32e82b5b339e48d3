// SPDX-License-Identifier: Apache-2.0
#include "shim/verbs/queue_engine.h"

#include <pthread.h>

#include <utility>

#include "engine/rdma_service.h"
#include "engine/verbs_values.h"
#include "queue/doorbell.h"
#include "shim/engine/app_process.h"
#include "shim/verbs/queue_device.h"
#include "shim/verbs/queue_objects.h"
#include "shim/verbs/shared_heap.h"

namespace tideline::shim::verbs {

using queue::VerbsOp;

namespace {

// The process has one; for fork's handler.
std::atomic<QueueEngine*> the_queue_engine{nullptr};

std::unexpected<Error> gone() {
  return fail(
      {.kind = ErrorKind::kEnvironment, .what = "the front end has gone", .errno_value = EIO});
}

}  // namespace

std::unexpected<Error> no_memory() {
  return fail({.kind = ErrorKind::kExhausted,
               .what = "cannot map what the front end has made",
               .errno_value = ENOMEM});
}

Result<Engine*> attach_to_front_end(const std::string& path, const std::string& program) {
  auto engine = QueueEngine::attach(path, program);
  if (!engine) return fail(std::move(engine.error()));
  return *engine;
}

Result<QueueEngine*> QueueEngine::attach(const std::string& path, const std::string& program) {
  auto channel = client::QueueChannel::attach(path, program);
  if (!channel) return fail(std::move(channel.error()));
  std::unique_ptr<QueueEngine> engine(new QueueEngine(std::move(*channel)));
  if (Status s = engine->learn(); !s) return fail(std::move(s.error()));
  engine->channel_->give_memory();
  if (text_of("TIDELINE_HEAP") != "0") engine->open_heap();
  static const int handled = ::pthread_atfork(nullptr, nullptr, &after_fork_in_child);
  if (handled != 0) return fail({.what = "cannot be told of forks", .errno_value = handled});
  the_queue_engine.store(engine.get(), std::memory_order_release);
  return engine.release();
}

// The child has the parent's rings before it, and its end of the attach socket: with that it would
// keep the parent's channel alive.
void QueueEngine::after_fork_in_child() {
  QueueEngine* engine = the_queue_engine.load(std::memory_order_relaxed);
  if (engine == nullptr || engine->forked_.exchange(true)) return;
  engine->channel_->abandon();
}

Status QueueEngine::learn() {
  const auto device = call({.op = VerbsOp::kDevice});
  if (!device) return fail(device.error());
  traits_.limits = engine::from_record(device->device);
  traits_.node_guid = device->device.node_guid;
  traits_.lid = device->device.lid;
  traits_.active_mtu = static_cast<rdma::Mtu>(device->device.active_mtu);
  for (std::uint32_t index = 0; index < rdma::GidTable::size(); ++index) {
    const auto gid = call({.op = VerbsOp::kGid, .number = index});
    if (!gid) return fail(gid.error());
    if (gid->number == 0) continue;
    traits_.gids.set(index,
                     {.gid = rdma::Gid(gid->attributes.address.destination),
                      .type = gid->number == 1 ? rdma::GidType::kRoceV1 : rdma::GidType::kRoceV2});
  }
  return {};
}

// Without it, the engine reaches the program's memory by the kernel's help, or not at all.
void QueueEngine::open_heap() {
  std::uint64_t size = 0;
  UniqueFd memory = channel_->heap(size);
  if (!memory) return;
  const void* begin = open_shared_heap(std::move(memory), size);
  if (begin == nullptr) return;
  [[maybe_unused]] const auto told =
      call({.op = VerbsOp::kHeapAt, .address = reinterpret_cast<std::uintptr_t>(begin)});
}

Result<rdma::AddressVector> QueueEngine::address_of(std::uint16_t lid) {
  const auto found = call({.op = VerbsOp::kAddressOfLid, .number = lid});
  if (!found) return fail(found.error());
  return engine::from_record(found->attributes.address);
}

Result<queue::VerbsResponse> QueueEngine::call(const queue::VerbsRequest& request) {
  if (is_forked()) return gone();
  auto answer = channel_->call_verbs(request);
  if (!answer) return gone();
  if (answer->error == 0) return *answer;
  Error error{.kind = ErrorKind::kUsage,
              .what = "the front end refuses a verb",
              .errno_value = static_cast<int>(answer->error)};
  return fail(std::move(error));
}

Status QueueEngine::destroy(std::uint32_t handle) {
  const auto done = call({.op = VerbsOp::kDestroy, .handle = handle});
  if (done || is_gone() || is_forked()) return {};
  return fail(done.error());
}

std::span<std::byte> QueueEngine::piece(const queue::PlaceRecord& place) {
  client::FamilyView* family = channel_->own_family();
  return family == nullptr ? std::span<std::byte>()
                           : family->ring({.offset = place.offset, .size = place.size});
}

Result<std::unique_ptr<client::Waiter>> QueueEngine::take_waiter() {
  {
    const std::scoped_lock lock(mutex_);
    if (!free_waiters_.empty()) {
      auto waiter = std::move(free_waiters_.back());
      free_waiters_.pop_back();
      queue::Doorbell::drain(waiter->doorbell());
      return waiter;
    }
  }
  if (auto made = channel_->make_waiter()) return made;
  return fail({.kind = ErrorKind::kExhausted,
               .what = "no descriptor, or no place in the channel, for one more event channel",
               .errno_value = ENOMEM});
}

void QueueEngine::give_waiter(std::unique_ptr<client::Waiter> waiter) {
  const std::scoped_lock lock(mutex_);
  free_waiters_.push_back(std::move(waiter));
}

Result<std::unique_ptr<OpenDevice>> QueueEngine::open() {
  return open_behind_queue_pair(*this, word_);
}

}  // namespace tideline::shim::verbs
