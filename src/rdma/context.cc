// SPDX-License-Identifier: Apache-2.0
// The verbs on everything but queue pairs.
#include "rdma/context.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "rdma/device.h"
#include "rdma/refusal.h"

namespace tideline::rdma {
namespace {

// Puts an object among the context's, and counts it against the device's limit.
template <typename T>
T* keep(std::vector<std::unique_ptr<T>>& objects, std::unique_ptr<T> object) {
  return objects.emplace_back(std::move(object)).get();
}

template <typename T>
void discard(std::vector<std::unique_ptr<T>>& objects, const T& object) {
  const auto found =
      std::ranges::find_if(objects, [&](const auto& owned) { return owned.get() == &object; });
  CHECK(found != objects.end());
  std::swap(*found, objects.back());
  objects.pop_back();
}

Status take_one(std::uint32_t& count, std::uint32_t limit, const char* what) {
  if (count >= limit)
    return exhausted(fmt::format("the device has no more than {} {}", limit, what));
  ++count;
  return {};
}

}  // namespace

Context::Context(Device& device, MemoryAccess& memory, EventSink& sink)
    : device_(device), memory_(memory), sink_(sink) {}

Core& Context::core() const { return device_.core_; }

// Users before what they use. Nobody is told any more.
Context::~Context() {
  for (const auto& qp : qps_) core().remove(*qp);
  for (const auto& window : windows_) {
    RegionTable::release(*window);
    core().regions.remove(window->key);
  }
  for (const auto& region : regions_) {
    [[maybe_unused]] const Status hidden = core().regions.hide(*region);
    core().regions.remove(region->key);
  }
  core().pd_count -= static_cast<std::uint32_t>(pds_.size());
  core().cq_count -= static_cast<std::uint32_t>(cqs_.size());
  core().srq_count -= static_cast<std::uint32_t>(srqs_.size());
  core().ah_count -= static_cast<std::uint32_t>(ahs_.size());
}

Result<ProtectionDomain*> Context::alloc_pd(void* user) {
  const Status taken =
      take_one(core().pd_count, core().options.limits.max_pd, "protection domains");
  if (!taken) return std::unexpected(taken.error());
  return keep(pds_, std::make_unique<ProtectionDomain>(ProtectionDomain{
                        .context = *this, .number = ++core().last_pd, .user = user}));
}

Status Context::dealloc_pd(ProtectionDomain& pd) {
  if (pd.users > 0) return busy("protection domain", pd.users);
  --core().pd_count;
  discard(pds_, pd);
  return {};
}

Result<MemoryRegion*> Context::register_region(ProtectionDomain& pd, const MemoryRegionInit& init) {
  if (const Status checked = RegionTable::check(init); !checked) {
    return std::unexpected(checked.error());
  }
  if (init.length > core().options.limits.max_mr_size) return invalid("memory region is too large");
  auto region = std::make_unique<MemoryRegion>(MemoryRegion{.pd = &pd,
                                                            .address = init.address,
                                                            .length = init.length,
                                                            .iova = init.iova,
                                                            .access = init.access,
                                                            .user = init.user});
  if (allows(init.access, Access::kZeroBased)) region->iova = 0;
  if (const Status added = core().regions.add(*region); !added) {
    return std::unexpected(added.error());
  }
  ++pd.users;
  return keep(regions_, std::move(region));
}

Status Context::reregister_region(MemoryRegion& region, const MemoryRegionChange& change) {
  if (region.windows > 0) return busy("memory region", region.windows);
  MemoryRegionInit init{.address = region.address,
                        .length = region.length,
                        .iova = region.iova,
                        .access = region.access};
  if ((change.flags & MemoryRegionChange::kTranslation) != 0) {
    init.address = init.iova = change.address;
    init.length = change.length;
  }
  if ((change.flags & MemoryRegionChange::kAccess) != 0) init.access = change.access;
  if (const Status checked = RegionTable::check(init); !checked) return checked;
  const bool moves = (change.flags & MemoryRegionChange::kPd) != 0;
  if (moves && (change.pd == nullptr || &change.pd->context != this)) {
    return invalid("memory region cannot move to that protection domain");
  }
  if (Status hidden = core().regions.hide(region); !hidden) {
    core().regions.show(region);
    return hidden;
  }
  if (moves) {
    --region.pd->users;
    region.pd = change.pd;
    ++region.pd->users;
  }
  region.address = init.address;
  region.length = init.length;
  region.iova = allows(init.access, Access::kZeroBased) ? 0 : init.iova;
  region.access = init.access;
  region.valid = true;
  core().regions.show(region);
  return {};
}

Status Context::deregister_region(MemoryRegion& region) {
  if (region.windows > 0) return busy("memory region", region.windows);
  if (Status hidden = core().regions.hide(region); !hidden) return hidden;
  core().regions.remove(region.key);
  --region.pd->users;
  discard(regions_, region);
  return {};
}

Result<MemoryWindow*> Context::alloc_window(ProtectionDomain& pd, WindowType type, void* user) {
  if (type != WindowType::k1 && type != WindowType::k2) return invalid("unknown type of window");
  auto window = std::make_unique<MemoryWindow>(MemoryWindow{.pd = &pd, .type = type, .user = user});
  if (const Status added = core().regions.add(*window); !added) {
    return std::unexpected(added.error());
  }
  ++pd.users;
  return keep(windows_, std::move(window));
}

Status Context::dealloc_window(MemoryWindow& window) {
  RegionTable::release(window);
  core().regions.remove(window.key);
  --window.pd->users;
  discard(windows_, window);
  return {};
}

Result<CompletionQueue*> Context::create_cq(std::uint32_t entries, void* user) {
  const DeviceLimits& limits = core().options.limits;
  if (entries == 0 || entries > limits.max_cqe) {
    return invalid(fmt::format("a completion queue has 1 to {} entries", limits.max_cqe));
  }
  const Status taken = take_one(core().cq_count, limits.max_cq, "completion queues");
  if (!taken) return std::unexpected(taken.error());
  return keep(cqs_, std::make_unique<CompletionQueue>(*this, entries, user));
}

Status Context::resize_cq(CompletionQueue& cq, std::uint32_t entries) {
  if (entries == 0 || entries > core().options.limits.max_cqe) {
    return invalid(fmt::format("a completion queue cannot have {} entries", entries));
  }
  return cq.resize(entries);
}

Status Context::destroy_cq(CompletionQueue& cq) {
  if (cq.users > 0) return busy("completion queue", cq.users);
  --core().cq_count;
  discard(cqs_, cq);
  return {};
}

Result<SharedReceiveQueue*> Context::create_srq(ProtectionDomain& pd, const SrqInit& init) {
  const DeviceLimits& limits = core().options.limits;
  if (init.max_wr == 0 || init.max_wr > limits.max_srq_wr || init.max_sge > limits.max_sge ||
      init.limit > init.max_wr) {
    return invalid(
        fmt::format("shared receive queue of {} requests of {} pieces", init.max_wr, init.max_sge));
  }
  const Status taken = take_one(core().srq_count, limits.max_srq, "shared receive queues");
  if (!taken) return std::unexpected(taken.error());
  ++pd.users;
  return keep(srqs_, std::make_unique<SharedReceiveQueue>(
                         SharedReceiveQueue{.pd = &pd,
                                            .number = ++core().last_srq,
                                            .queue = ReceiveQueue(init.max_wr, init.max_sge),
                                            .limit = init.limit,
                                            .user = init.user}));
}

Status Context::modify_srq(SharedReceiveQueue& srq, const SrqChange& change) {
  if (change.resize &&
      (change.max_wr < srq.queue.size() || change.max_wr > core().options.limits.max_srq_wr)) {
    return invalid(fmt::format("shared receive queue cannot have {} requests", change.max_wr));
  }
  const std::uint32_t capacity = change.resize ? change.max_wr : srq.queue.capacity();
  if (change.set_limit && change.limit > capacity) {
    return invalid(fmt::format("limit {} is beyond {} requests", change.limit, capacity));
  }
  if (change.resize) srq.queue.resize(change.max_wr);
  if (change.set_limit) srq.limit = change.limit;
  return {};
}

Status Context::destroy_srq(SharedReceiveQueue& srq) {
  if (srq.users > 0) return busy("shared receive queue", srq.users);
  --srq.pd->users;
  --core().srq_count;
  discard(srqs_, srq);
  return {};
}

Result<AddressHandle*> Context::create_ah(ProtectionDomain& pd, const AddressVector& vector,
                                          void* user) {
  const auto route = core().route_to(vector, 0);
  if (!route) return std::unexpected(route.error());
  const Status taken = take_one(core().ah_count, core().options.limits.max_ah, "address handles");
  if (!taken) return std::unexpected(taken.error());
  ++pd.users;
  return keep(ahs_, std::make_unique<AddressHandle>(
                        AddressHandle{.pd = &pd, .vector = vector, .route = *route, .user = user}));
}

Status Context::destroy_ah(AddressHandle& ah) {
  --ah.pd->users;
  --core().ah_count;
  discard(ahs_, ah);
  return {};
}

Posted Context::post_srq_recv(SharedReceiveQueue& srq, const ReceiveRequest& request) {
  return srq.queue.post(request);
}

}  // namespace tideline::rdma
