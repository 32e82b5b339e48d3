// SPDX-License-Identifier: Apache-2.0
#include "engine/served_verbs.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/bits.h"
#include "engine/queue_server.h"
#include "engine/served_channel.h"
#include "engine/verbs_values.h"
#include "queue/channel.h"

namespace tideline::engine {

using queue::VerbsOp;
using queue::VerbsRequest;
using queue::VerbsResponse;

namespace {

constexpr RdmaUse kOneObject{.objects = 1};
constexpr std::size_t kLargestHeap = std::size_t{64} << 30;
// So many objects that are no queue pairs may a user have for each queue pair of his quota.
constexpr std::size_t kObjectsPerPair = 8;

int errno_of(const Error& error) { return error.errno_value != 0 ? error.errno_value : EIO; }
int errno_of(const Status& status) { return status ? 0 : errno_of(status.error()); }

queue::PlaceRecord to_record(const queue::FifoPlace& place) {
  return {.offset = place.offset, .size = place.size};
}

}  // namespace

ServedVerbs::ServedVerbs(QueueServer& server, ServedChannel& channel, ServedRdma& rdma)
    : server_(server), channel_(channel), rdma_(rdma) {
  objects_.emplace_back();
}

ServedVerbs::~ServedVerbs() {
  for (std::uint32_t handle = 1; handle < objects_.size(); ++handle) {
    if (find<ServedDevice>(handle) != nullptr) [[maybe_unused]]
      const Done done = close(handle);
  }
  if (memory_.has_memory()) server_.discard(memory_.take_memory(), channel_.peer().uid);
}

// --- Objects and quotas.

bool ServedVerbs::charge(const RdmaUse& use) {
  if (!server_.charge(channel_, use)) return false;
  use_.queue_pairs += use.queue_pairs;
  use_.objects += use.objects;
  use_.registered += use.registered;
  return true;
}

void ServedVerbs::release(const RdmaUse& use) {
  use_.queue_pairs -= use.queue_pairs;
  use_.objects -= use.objects;
  use_.registered -= use.registered;
  server_.release(channel_, use);
}

std::uint32_t ServedVerbs::add(std::unique_ptr<VerbsObject> object) {
  auto handle = static_cast<std::uint32_t>(objects_.size());
  if (free_handles_.empty()) {
    objects_.emplace_back();
  } else {
    handle = free_handles_.back();
    free_handles_.pop_back();
  }
  object->set_handle(handle);
  objects_[handle] = std::move(object);
  return handle;
}

void ServedVerbs::drop(std::uint32_t handle) {
  objects_[handle].reset();
  free_handles_.push_back(handle);
}

// Of a region, what is registered.
std::size_t ServedVerbs::bytes_of(const VerbsObject& object) const {
  if (object.kind() != VerbsObject::Kind::kRegion) return 0;
  return static_cast<const ServedRegion&>(object).object().length;
}

void ServedVerbs::ring(std::uint16_t waiter) { channel_.ring_waiter(waiter); }

// A policy that names addresses is one of GIDs, too. What is no index the room refuses.
bool ServedVerbs::may_send_from(std::uint8_t gid_index) const {
  if (channel_.policy().addresses.empty() || gid_index >= rdma::GidTable::size()) return true;
  const auto& entry = rdma_.device().gids().at(gid_index);
  return !entry || channel_.may_bind({.address = entry->gid});
}

// Whether a request of that device names windows and regions: they stay until it is done with.
bool ServedVerbs::is_bound(const ServedDevice& device) const {
  return std::ranges::any_of(objects_, [&](const auto& object) {
    return object != nullptr && object->device() == &device &&
           object->kind() == VerbsObject::Kind::kQp &&
           static_cast<const ServedQp&>(*object).binds();
  });
}

int ServedVerbs::make_heap() {
  const std::size_t quota = std::min(channel_.policy().most_registered, kLargestHeap);
  const auto heap = memory_.make_heap(align_up(quota, kHugePageSize));
  return heap.value_or(-1);
}

// --- Calls.

VerbsObject::Looked ServedVerbs::look(unsigned hint, Instant now) {
  bool more = false;
  constexpr std::size_t kStep = queue::HintBoard::kHints - 1;
  for (std::size_t handle = kStep - hint; handle < objects_.size(); handle += kStep) {
    if (objects_[handle] == nullptr) continue;
    const auto looked = objects_[handle]->look(now);
    if (!looked) return looked;
    more |= *looked;
  }
  return more;
}

std::expected<int, EndReason> ServedVerbs::execute(const VerbsRequest& request,
                                                   VerbsResponse& response, Instant now) {
  switch (request.op) {
    case VerbsOp::kOpen:
      return open(request, response);
    case VerbsOp::kClose:
      return close(request.handle);
    case VerbsOp::kDevice:
      return tell_device(response);
    case VerbsOp::kGid:
      return tell_gid(request.number, response);
    case VerbsOp::kAddressOfLid: {
      const auto vector = rdma_.device().address_of(static_cast<std::uint16_t>(request.number));
      if (!vector) return errno_of(vector.error());
      response.attributes.address = engine::to_record(*vector);
      return 0;
    }
    case VerbsOp::kHeapAt:
      memory_.set_heap_address(request.address);
      return 0;
    case VerbsOp::kAllocPd:
      return alloc_pd(request, response);
    case VerbsOp::kRegister:
      return register_region(request, response);
    case VerbsOp::kReregister:
      return reregister(request, response);
    case VerbsOp::kAllocWindow:
      return alloc_window(request, response);
    case VerbsOp::kCreateCq:
      return create_cq(request, response);
    case VerbsOp::kResizeCq:
      return resize_cq(request, response);
    case VerbsOp::kCreateSrq:
      return create_srq(request, response);
    case VerbsOp::kModifySrq:
      return modify_srq(request, response);
    case VerbsOp::kQuerySrq:
      return query_srq(request, response);
    case VerbsOp::kCreateQp:
      return create_qp(request, response);
    case VerbsOp::kModifyQp:
      return modify_qp(request, response, now);
    case VerbsOp::kQueryQp:
      return query_qp(request, response);
    case VerbsOp::kCreateAh:
      return create_ah(request, response);
    case VerbsOp::kHasWay:
      return has_way(request, response, now);
    case VerbsOp::kDestroy:
      return destroy(request.handle);
  }
  return std::unexpected(EndReason::kBadCall);
}

ServedVerbs::Done ServedVerbs::open(const VerbsRequest& request, VerbsResponse& response) {
  if (!charge(kOneObject)) return ENOMEM;
  Piece events = Piece::take(channel_.family(),
                             queue::kEventSlots + queue::kEvents * sizeof(queue::EventRecord));
  if (!events) {
    release(kOneObject);
    return ENOMEM;
  }
  response.place = to_record(events.place());
  response.number = memory_.probe(request.address, request.iova) ? 1 : 0;
  response.handle = add(std::make_unique<ServedDevice>(*this, std::move(events),
                                                       static_cast<std::uint16_t>(request.number)));
  return 0;
}

// What it has goes first; the room's objects go with its context.
ServedVerbs::Done ServedVerbs::close(std::uint32_t handle) {
  const ServedDevice* device = find<ServedDevice>(handle);
  if (device == nullptr) return EINVAL;
  RdmaUse gone = kOneObject;
  for (std::uint32_t each = 1; each < objects_.size(); ++each) {
    const VerbsObject* object = objects_[each].get();
    if (object == nullptr || object->device() != device) continue;
    if (object->kind() == VerbsObject::Kind::kQp) {
      ++gone.queue_pairs;
    } else {
      ++gone.objects;
    }
    gone.registered += bytes_of(*object);
    drop(each);
  }
  drop(handle);
  release(gone);
  return 0;
}

ServedVerbs::Done ServedVerbs::tell_device(VerbsResponse& response) const {
  const rdma::Device& device = rdma_.device();
  rdma::DeviceLimits limits = device.limits();
  // What a program may have of it.
  const auto at_most = [](std::uint32_t& limit, std::size_t most) {
    limit = static_cast<std::uint32_t>(std::min<std::size_t>(limit, most));
  };
  const ClientPolicy& policy = channel_.policy();
  at_most(limits.max_qp, policy.most_queue_pairs);
  for (std::uint32_t* limit :
       {&limits.max_cq, &limits.max_regions, &limits.max_pd, &limits.max_ah, &limits.max_srq}) {
    at_most(*limit, policy.most_queue_pairs * kObjectsPerPair);
  }
  const std::size_t largest = std::min(policy.most_memory, FamilyMemory::kLargestFifo);
  at_most(limits.max_cqe, largest / sizeof(queue::CompletionRecord) / 2);
  limits.max_mr_size = std::min<std::uint64_t>(limits.max_mr_size, policy.most_registered);
  response.device = engine::to_record(limits);
  response.device.node_guid = device.node_guid();
  response.device.lid = device.lid();
  response.device.active_mtu = static_cast<std::uint8_t>(device.active_mtu());
  return 0;
}

ServedVerbs::Done ServedVerbs::tell_gid(std::uint32_t index, VerbsResponse& response) const {
  if (index >= rdma::GidTable::size()) return EINVAL;
  const auto& entry = rdma_.device().gids().at(index);
  if (!entry || !may_send_from(static_cast<std::uint8_t>(index))) return 0;
  response.attributes.address.destination = entry->gid.bytes();
  response.number = entry->type == rdma::GidType::kRoceV1 ? 1 : 2;
  return 0;
}

ServedVerbs::Done ServedVerbs::alloc_pd(const VerbsRequest& request, VerbsResponse& response) {
  ServedDevice* device = find<ServedDevice>(request.handle);
  if (device == nullptr) return EINVAL;
  if (!charge(kOneObject)) return ENOMEM;
  const auto pd = device->context().alloc_pd();
  if (!pd) {
    release(kOneObject);
    return errno_of(pd.error());
  }
  response.handle = add(std::make_unique<ServedPd>(*device, **pd));
  return 0;
}

// EACCES: the program's memory is out of reach, but for its heap.
ServedVerbs::Done ServedVerbs::register_region(const VerbsRequest& request,
                                               VerbsResponse& response) {
  const ServedPd* pd = find<ServedPd>(request.handle);
  if (pd == nullptr) return EINVAL;
  if (!memory_.is_reachable(request.address, request.length)) return EACCES;
  const RdmaUse use{.objects = 1, .registered = request.length};
  if (!charge(use)) return ENOMEM;
  const auto region = pd->device()->context().register_region(
      pd->object(), {.address = request.address,
                     .length = request.length,
                     .iova = request.iova,
                     .access = static_cast<rdma::Access>(request.access)});
  if (!region) {
    release(use);
    return errno_of(region.error());
  }
  response.handle = add(std::make_unique<ServedRegion>(*pd->device(), **region));
  response.key = (*region)->key;
  return 0;
}

ServedVerbs::Done ServedVerbs::reregister(const VerbsRequest& request, VerbsResponse& response) {
  const ServedRegion* region = find<ServedRegion>(request.handle);
  if (region == nullptr) return EINVAL;
  const bool moves = (request.mask & rdma::MemoryRegionChange::kTranslation) != 0;
  if (moves && !memory_.is_reachable(request.address, request.length)) return EACCES;
  if (is_bound(*region->device())) return EBUSY;
  const ServedPd* pd = find<ServedPd>(request.second, *region->device());
  const RdmaUse before{.registered = region->object().length};
  const RdmaUse after{.registered = moves ? request.length : before.registered};
  if (!charge(after)) return ENOMEM;
  const Status changed = region->device()->context().reregister_region(
      region->object(), {.flags = request.mask,
                         .address = request.address,
                         .length = request.length,
                         .pd = pd == nullptr ? nullptr : &pd->object(),
                         .access = static_cast<rdma::Access>(request.access)});
  release(changed ? before : after);
  response.key = region->object().key;
  return errno_of(changed);
}

ServedVerbs::Done ServedVerbs::alloc_window(const VerbsRequest& request, VerbsResponse& response) {
  const ServedPd* pd = find<ServedPd>(request.handle);
  if (pd == nullptr) return EINVAL;
  if (!charge(kOneObject)) return ENOMEM;
  const auto window = pd->device()->context().alloc_window(
      pd->object(), static_cast<rdma::WindowType>(request.type));
  if (!window) {
    release(kOneObject);
    return errno_of(window.error());
  }
  response.handle = add(std::make_unique<ServedWindow>(*pd->device(), **window));
  response.key = (*window)->key;
  return 0;
}

ServedVerbs::Done ServedVerbs::create_cq(const VerbsRequest& request, VerbsResponse& response) {
  ServedDevice* device = find<ServedDevice>(request.handle);
  if (device == nullptr) return EINVAL;
  if (request.number == 0 || request.number > rdma_.device().limits().max_cqe) return EINVAL;
  if (!charge(kOneObject)) return ENOMEM;
  Piece piece = Piece::take(channel_.family(), ServedCq::piece_size(request.number));
  const auto cq = piece ? device->context().create_cq(request.number)
                        : fail({.what = "no memory", .errno_value = ENOMEM});
  if (!cq) {
    release(kOneObject);
    return errno_of(cq.error());
  }
  const auto waiter = static_cast<std::uint16_t>(request.second - 1);  // 0: none
  auto made = std::make_unique<ServedCq>(*device, **cq, std::move(piece), request.number, waiter);
  (*cq)->set_user(made.get());
  response.place = to_record(made->piece().place());
  response.number = made->entries();
  response.handle = add(std::move(made));
  return 0;
}

ServedVerbs::Done ServedVerbs::resize_cq(const VerbsRequest& request, VerbsResponse& response) {
  ServedCq* cq = find<ServedCq>(request.handle);
  if (cq == nullptr || request.number == 0 || request.number > rdma_.device().limits().max_cqe) {
    return EINVAL;
  }
  Piece piece = Piece::take(channel_.family(), ServedCq::piece_size(request.number));
  if (!piece) return ENOMEM;
  const auto resized = cq->resize(std::move(piece), request.number);
  if (!resized) return std::unexpected(resized.error());
  response.place = to_record(cq->piece().place());
  response.number = cq->entries();
  return errno_of(*resized);
}

ServedVerbs::Done ServedVerbs::create_srq(const VerbsRequest& request, VerbsResponse& response) {
  const ServedPd* pd = find<ServedPd>(request.handle);
  const queue::CapacityRecord& asked = request.capacity;
  const rdma::DeviceLimits& limits = rdma_.device().limits();
  if (pd == nullptr || asked.recv_wr > limits.max_srq_wr || asked.recv_sge > limits.max_sge) {
    return EINVAL;
  }
  if (!charge(kOneObject)) return ENOMEM;
  Piece piece =
      Piece::take(channel_.family(), ServedSrq::piece_size(asked.recv_wr, asked.recv_sge));
  const auto srq =
      piece ? pd->device()->context().create_srq(
                  pd->object(),
                  {.max_wr = asked.recv_wr, .max_sge = asked.recv_sge, .limit = request.number})
            : fail({.what = "no memory", .errno_value = ENOMEM});
  if (!srq) {
    release(kOneObject);
    return errno_of(srq.error());
  }
  auto made = std::make_unique<ServedSrq>(*pd->device(), **srq, std::move(piece));
  (*srq)->user = made.get();
  response.place = made->place();
  response.number = (*srq)->number;
  response.capacity = {.recv_wr = (*srq)->queue.capacity(), .recv_sge = (*srq)->queue.max_sge()};
  response.handle = add(std::move(made));
  return 0;
}

// The ring has as many slots as the queue, or more: one that grows gets another.
ServedVerbs::Done ServedVerbs::modify_srq(const VerbsRequest& request, VerbsResponse& response) {
  ServedSrq* srq = find<ServedSrq>(request.handle);
  if (srq == nullptr) return EINVAL;
  const bool set_limit = (request.mask & 2) != 0;
  const std::uint32_t wanted = request.capacity.recv_wr;
  bool resize = (request.mask & 1) != 0;
  if (resize && wanted > srq->place().receive_slots) {
    if (wanted > rdma_.device().limits().max_srq_wr || (set_limit && request.number > wanted)) {
      return EINVAL;
    }
    Piece piece =
        Piece::take(channel_.family(), ServedSrq::piece_size(wanted, srq->srq().queue.max_sge()));
    if (!piece) return ENOMEM;
    const auto grown = srq->grow(std::move(piece), wanted);
    if (!grown) return std::unexpected(grown.error());
    if (!*grown) return errno_of(*grown);
    resize = false;
  }
  response.place = srq->place();
  return errno_of(srq->device()->context().modify_srq(
      srq->srq(),
      {.resize = resize, .set_limit = set_limit, .max_wr = wanted, .limit = request.number}));
}

ServedVerbs::Done ServedVerbs::query_srq(const VerbsRequest& request,
                                         VerbsResponse& response) const {
  const ServedSrq* srq = find<ServedSrq>(request.handle);
  if (srq == nullptr) return EINVAL;
  response.capacity = {.recv_wr = srq->srq().queue.capacity(),
                       .recv_sge = srq->srq().queue.max_sge()};
  response.number = srq->srq().limit;
  return 0;
}

ServedVerbs::Done ServedVerbs::create_qp(const VerbsRequest& request, VerbsResponse& response) {
  const ServedPd* pd = find<ServedPd>(request.handle);
  if (pd == nullptr) return EINVAL;
  ServedDevice& device = *pd->device();
  const ServedCq* send_cq = find<ServedCq>(request.second, device);
  const ServedCq* recv_cq = find<ServedCq>(request.third, device);
  const ServedSrq* srq = find<ServedSrq>(request.fourth, device);
  if (send_cq == nullptr || recv_cq == nullptr || (request.fourth != 0 && srq == nullptr)) {
    return EINVAL;
  }
  rdma::QpCapacity capacity = from_record(request.capacity);
  const rdma::DeviceLimits& limits = rdma_.device().limits();
  if (srq != nullptr) capacity.recv_wr = capacity.recv_sge = 0;
  if (capacity.send_wr > limits.max_qp_wr || capacity.recv_wr > limits.max_qp_wr ||
      capacity.send_sge > limits.max_sge || capacity.recv_sge > limits.max_sge ||
      capacity.inline_data > limits.max_inline) {
    return EINVAL;
  }
  constexpr RdmaUse kUse{.queue_pairs = 1};
  if (!charge(kUse)) return ENOMEM;
  Piece piece = Piece::take(channel_.family(), ServedQp::piece_size(capacity));
  const auto qp = piece ? device.context().create_qp(
                              pd->object(), {.type = static_cast<rdma::QpType>(request.type),
                                             .send_cq = &send_cq->cq(),
                                             .recv_cq = &recv_cq->cq(),
                                             .srq = srq == nullptr ? nullptr : &srq->srq(),
                                             .capacity = capacity,
                                             .signal_all = (request.mask & 1) != 0})
                        : fail({.what = "no memory", .errno_value = ENOMEM});
  if (!qp) {
    release(kUse);
    return errno_of(qp.error());
  }
  auto made = std::make_unique<ServedQp>(device, **qp, std::move(piece), capacity);
  (*qp)->init.user = made.get();
  response.place = made->place();
  response.number = (*qp)->number;
  response.capacity = engine::to_record((*qp)->init.capacity);
  response.handle = add(std::move(made));
  return 0;
}

ServedVerbs::Done ServedVerbs::modify_qp(const VerbsRequest& request, VerbsResponse& response,
                                         Instant now) {
  ServedQp* served = find<ServedQp>(request.handle);
  if (served == nullptr) return EINVAL;
  const rdma::QpAttributes attributes = from_record(request.attributes);
  if ((request.mask & rdma::QpMask::kAddress) != 0 &&
      !may_send_from(attributes.address.source_gid_index)) {
    return EACCES;
  }
  rdma::QueuePair& qp = served->qp();
  const Status changed = served->device()->context().modify_qp(qp, attributes, request.mask, now);
  response.number = static_cast<std::uint32_t>(qp.state);
  const bool resets =
      (request.mask & rdma::QpMask::kState) != 0 && attributes.state == rdma::QpState::kReset;
  if (!changed || !resets) {
    served->retire();
    return errno_of(changed);
  }
  served->reset();
  for (rdma::CompletionQueue* cq : {qp.init.send_cq, qp.init.recv_cq}) {
    if (!static_cast<ServedCq*>(cq->user())->discard(qp.number)) {
      return std::unexpected(EndReason::kBadRing);
    }
  }
  return 0;
}

ServedVerbs::Done ServedVerbs::query_qp(const VerbsRequest& request,
                                        VerbsResponse& response) const {
  const ServedQp* qp = find<ServedQp>(request.handle);
  if (qp == nullptr) return EINVAL;
  response.attributes = engine::to_record(qp->device()->context().query_qp(qp->qp()));
  return 0;
}

ServedVerbs::Done ServedVerbs::create_ah(const VerbsRequest& request, VerbsResponse& response) {
  const ServedPd* pd = find<ServedPd>(request.handle);
  if (pd == nullptr) return EINVAL;
  const rdma::AddressVector vector = from_record(request.attributes.address);
  if (!may_send_from(vector.source_gid_index)) return EACCES;
  if (!charge(kOneObject)) return ENOMEM;
  const auto ah = pd->device()->context().create_ah(pd->object(), vector);
  if (!ah) {
    release(kOneObject);
    return errno_of(ah.error());
  }
  response.handle = add(std::make_unique<ServedAh>(*pd->device(), **ah));
  return 0;
}

ServedVerbs::Done ServedVerbs::has_way(const VerbsRequest& request, VerbsResponse& response,
                                       Instant now) {
  const rdma::Route* route = nullptr;
  if (const ServedQp* qp = find<ServedQp>(request.handle)) route = &qp->qp().route;
  if (const ServedAh* ah = find<ServedAh>(request.handle)) route = &ah->object().route;
  if (route == nullptr) return EINVAL;
  response.number = rdma_.device().prepare(*route, now) ? 1 : 0;
  return 0;
}

ServedVerbs::Done ServedVerbs::destroy(std::uint32_t handle) {
  if (handle >= objects_.size() || objects_[handle] == nullptr) return EINVAL;
  VerbsObject& object = *objects_[handle];
  using Kind = VerbsObject::Kind;
  if (object.kind() == Kind::kDevice) return EINVAL;
  const bool is_named = object.kind() == Kind::kRegion || object.kind() == Kind::kWindow;
  if (is_named && is_bound(*object.device())) return EBUSY;
  RdmaUse use{.objects = 1, .registered = bytes_of(object)};
  if (object.kind() == Kind::kQp) {
    use = {.queue_pairs = 1};
    const rdma::QueuePair& qp = static_cast<ServedQp&>(object).qp();
    const std::uint32_t number = qp.number;
    auto* send_cq = static_cast<ServedCq*>(qp.init.send_cq->user());
    auto* recv_cq = static_cast<ServedCq*>(qp.init.recv_cq->user());
    if (Status s = object.destroy(); !s) return errno_of(s);
    if (!send_cq->discard(number) || !recv_cq->discard(number)) {
      drop(handle);
      release(use);
      return std::unexpected(EndReason::kBadRing);
    }
  } else if (Status s = object.destroy(); !s) {
    return errno_of(s);
  }
  drop(handle);
  release(use);
  return 0;
}

}  // namespace tideline::engine
