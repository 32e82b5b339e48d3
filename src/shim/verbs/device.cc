// SPDX-License-Identifier: Apache-2.0
// The device list, opening, and what the device tells of itself.
#include "shim/verbs/device.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include "shim/verbs/control.h"
#include "shim/verbs/data.h"
#include "shim/verbs/engine.h"
#include "shim/verbs/objects.h"

#undef ibv_get_device_list
#undef ibv_query_port

namespace tideline::shim::verbs {
namespace {

constexpr std::uint8_t kPort = 1;
constexpr std::uint16_t kPkey = 0xffff;

// What Linux calls a device of type RoCE behind an Ethernet link.
constexpr std::uint8_t kLinkUp = 5;     // phys_state
constexpr std::uint8_t kWidth4x = 2;    // active_width
constexpr std::uint8_t kSpeedEdr = 32;  // active_speed: 25 Gb/s a lane. A wire of memory has no
                                        // speed of its own; programs use this to choose devices

// No company's; programs take 0 for an attribute that was not filled in. So has Linux's rxe.
constexpr std::uint32_t kNoVendor = 0xffffff;

ibv_device make_device() {
  ibv_device device{};
  device.node_type = IBV_NODE_CA;
  device.transport_type = IBV_TRANSPORT_IB;
  std::snprintf(device.name, sizeof(device.name), "%s", kDeviceName);
  std::snprintf(device.dev_name, sizeof(device.dev_name), "%s", kUverbsName);
  std::snprintf(device.dev_path, sizeof(device.dev_path), "%s/%s", kUverbsClass, kUverbsName);
  std::snprintf(device.ibdev_path, sizeof(device.ibdev_path), "%s/%s", kDeviceClass, kDeviceName);
  return device;
}

ibv_device& the_device() {
  static ibv_device device = make_device();
  return device;
}

void fill(ibv_device_attr& attr) {
  const DeviceTraits& traits = the_engine().traits();
  const rdma::DeviceLimits& limits = traits.limits;
  attr = {};
  std::snprintf(attr.fw_ver, sizeof(attr.fw_ver), "tideline");
  attr.node_guid = __builtin_bswap64(traits.node_guid);
  attr.sys_image_guid = attr.node_guid;
  attr.max_mr_size = limits.max_mr_size;
  attr.page_size_cap = 0xfffff000;
  attr.vendor_id = kNoVendor;
  attr.max_qp = static_cast<int>(limits.max_qp);
  attr.max_qp_wr = static_cast<int>(limits.max_qp_wr);
  attr.device_cap_flags = IBV_DEVICE_CURR_QP_STATE_MOD | IBV_DEVICE_RC_RNR_NAK_GEN |
                          IBV_DEVICE_SRQ_RESIZE | IBV_DEVICE_BAD_QKEY_CNTR |
                          IBV_DEVICE_BAD_PKEY_CNTR | IBV_DEVICE_MEM_WINDOW |
                          IBV_DEVICE_MEM_WINDOW_TYPE_2B;
  attr.max_sge = static_cast<int>(limits.max_sge);
  attr.max_sge_rd = static_cast<int>(limits.max_sge);
  attr.max_cq = static_cast<int>(limits.max_cq);
  attr.max_cqe = static_cast<int>(limits.max_cqe);
  attr.max_mr = static_cast<int>(limits.max_regions);
  attr.max_mw = static_cast<int>(limits.max_regions);
  attr.max_pd = static_cast<int>(limits.max_pd);
  attr.max_qp_rd_atom = limits.max_rd_atomic;
  attr.max_qp_init_rd_atom = limits.max_rd_atomic;
  attr.max_res_rd_atom = limits.max_rd_atomic * static_cast<int>(limits.max_qp);
  // They are the processor's own, which would be IBV_ATOMIC_GLOB; UCX takes the lesser promise
  // only.
  attr.atomic_cap = IBV_ATOMIC_HCA;
  attr.max_ah = static_cast<int>(limits.max_ah);
  attr.max_srq = static_cast<int>(limits.max_srq);
  attr.max_srq_wr = static_cast<int>(limits.max_srq_wr);
  attr.max_srq_sge = static_cast<int>(limits.max_sge);
  attr.max_pkeys = 1;
  attr.local_ca_ack_delay = limits.ack_delay;
  attr.phys_port_cnt = 1;
}

void fill(ibv_port_attr& attr) {
  attr = {};
  attr.state = IBV_PORT_ACTIVE;
  attr.max_mtu = IBV_MTU_4096;
  attr.active_mtu = static_cast<ibv_mtu>(the_engine().traits().active_mtu);
  attr.gid_tbl_len = static_cast<int>(rdma::GidTable::size());
  attr.port_cap_flags = IBV_PORT_CM_SUP | IBV_PORT_IP_BASED_GIDS;
  attr.max_msg_sz = rdma::kMaxMessage;
  attr.lid = the_engine().traits().lid;
  attr.pkey_tbl_len = 1;
  attr.max_vl_num = 1;
  attr.active_width = kWidth4x;
  attr.active_speed = kSpeedEdr;
  attr.phys_state = kLinkUp;
  attr.link_layer = IBV_LINK_LAYER_ETHERNET;
  attr.flags = IBV_QPF_GRH_REQUIRED;
}

int query_port(ibv_context* /*context*/, std::uint8_t port, ibv_port_attr* attr, std::size_t size) {
  if (port != kPort) return EINVAL;
  ibv_port_attr whole;
  fill(whole);
  // Programs built against another verbs.h have a shorter or a longer structure.
  std::memset(attr, 0, size);
  std::memcpy(attr, &whole, std::min(size, sizeof(whole)));
  return 0;
}

int query_device_ex(ibv_context* /*context*/, const ibv_query_device_ex_input* input,
                    ibv_device_attr_ex* attr, std::size_t size) {
  if (input != nullptr && input->comp_mask != 0) return EINVAL;
  if (size < sizeof(attr->orig_attr)) return EINVAL;
  ibv_device_attr_ex whole{};
  fill(whole.orig_attr);
  whole.completion_timestamp_mask = UINT64_MAX;
  whole.hca_core_clock = 1'000'000;  // kHz: timestamps count nanoseconds
  whole.device_cap_flags_ex = whole.orig_attr.device_cap_flags;
  whole.phys_port_cnt_ex = 1;
  std::memset(attr, 0, size);
  std::memcpy(attr, &whole, std::min(size, sizeof(whole)));
  return 0;
}

int query_rt_values(ibv_context* /*context*/, ibv_values_ex* values) {
  if ((values->comp_mask & ~static_cast<unsigned>(IBV_VALUES_MASK_RAW_CLOCK)) != 0) return EINVAL;
  if ((values->comp_mask & IBV_VALUES_MASK_RAW_CLOCK) != 0) {
    ::clock_gettime(CLOCK_MONOTONIC, &values->raw_clock);
  }
  return 0;
}

void set_calls(verbs_context& verbs) {
  verbs.query_port = query_port;
  verbs.query_device_ex = query_device_ex;
  verbs.query_rt_values = query_rt_values;
  verbs.create_cq_ex = create_cq_ex;
  verbs.create_qp_ex = create_qp_ex;
  verbs.create_srq_ex = create_srq_ex;
  verbs.get_srq_num = get_srq_num;
  verbs.alloc_td = alloc_td;
  verbs.dealloc_td = dealloc_td;
  verbs.alloc_parent_domain = alloc_parent_domain;
  ibv_context_ops& ops = verbs.context.ops;
  ops.alloc_mw = alloc_mw;
  ops.bind_mw = bind_mw;
  ops.dealloc_mw = dealloc_mw;
  ops.poll_cq = poll_cq;
  ops.req_notify_cq = req_notify_cq;
  ops.post_send = post_send;
  ops.post_recv = post_recv;
  ops.post_srq_recv = post_srq_recv;
}

bool fill(std::size_t index, ibv_gid_entry& entry) {
  const auto& found = the_engine().traits().gids.at(index);
  if (!found) return false;
  entry = {};
  std::memcpy(entry.gid.raw, found->gid.bytes().data(), sizeof(entry.gid.raw));
  entry.gid_index = static_cast<std::uint32_t>(index);
  entry.port_num = kPort;
  entry.gid_type =
      found->type == rdma::GidType::kRoceV1 ? IBV_GID_TYPE_ROCE_V1 : IBV_GID_TYPE_ROCE_V2;
  return true;
}

}  // namespace
}  // namespace tideline::shim::verbs

using namespace tideline::shim::verbs;  // NOLINT(google-build-using-namespace): the C face of it

extern "C" {

ibv_device** ibv_get_device_list(int* count) {
  // Freed by ibv_free_device_list or the program
  auto** list = static_cast<ibv_device**>(std::calloc(2, sizeof(ibv_device*)));
  if (list == nullptr) {
    errno = ENOMEM;
    return nullptr;
  }
  list[0] = &the_device();
  if (count != nullptr) *count = 1;
  return list;
}

void ibv_free_device_list(ibv_device** list) { std::free(static_cast<void*>(list)); }

const char* ibv_get_device_name(ibv_device* device) { return device->name; }

int ibv_get_device_index(ibv_device* /*device*/) { return 0; }

__be64 ibv_get_device_guid(ibv_device* /*device*/) {
  const auto engine = Engine::get();
  return engine ? __builtin_bswap64((*engine)->traits().node_guid) : 0;
}

ibv_context* ibv_open_device(ibv_device* device) {
  auto engine = Engine::get();
  if (!engine) {
    errno = engine.error().errno_value != 0 ? engine.error().errno_value : ENODEV;
    return nullptr;
  }
  auto context = std::make_unique<Context>();
  auto opened = (*engine)->open();
  if (!opened) {
    errno = errno_of(opened.error());
    return nullptr;
  }
  context->device = std::move(*opened);
  context->base.priv = reinterpret_cast<verbs_ex_private*>(context.get());
  context->base.sz = sizeof(verbs_context);
  set_calls(context->base);
  ibv_context& handle = context->base.context;
  handle.device = device;
  handle.abi_compat = __VERBS_ABI_IS_EXTENDED;
  handle.num_comp_vectors = 1;
  handle.cmd_fd = -1;
  handle.async_fd = context->device->events_fd();
  ::pthread_mutex_init(&handle.mutex, nullptr);
  return context.release()->handle();
}

int ibv_close_device(ibv_context* handle) {
  const std::unique_ptr<Context> context(&context_of(handle));
  ::pthread_mutex_destroy(&handle->mutex);
  return 0;
}

int ibv_query_device(ibv_context* /*context*/, ibv_device_attr* attr) {
  fill(*attr);
  return 0;
}

// The structure of the first verbs.h, which ends before port_cap_flags2.
int ibv_query_port(ibv_context* context, std::uint8_t port, _compat_ibv_port_attr* attr) {
  return query_port(context, port, reinterpret_cast<ibv_port_attr*>(attr),
                    offsetof(ibv_port_attr, port_cap_flags2));
}

int ibv_query_gid(ibv_context* /*context*/, std::uint8_t port, int index, ibv_gid* gid) {
  ibv_gid_entry entry;
  if (port != kPort || index < 0 ||
      static_cast<std::size_t>(index) >= tideline::rdma::GidTable::size()) {
    errno = EINVAL;
    return -1;
  }
  *gid = {};  // an empty slot reads as zeros, as in sysfs
  if (fill(static_cast<std::size_t>(index), entry)) *gid = entry.gid;
  return 0;
}

int _ibv_query_gid_ex(ibv_context* /*context*/, std::uint32_t port, std::uint32_t index,
                      ibv_gid_entry* entry, std::uint32_t flags, std::size_t size) {
  if (port != kPort || flags != 0 || index >= tideline::rdma::GidTable::size()) return EINVAL;
  ibv_gid_entry found;
  if (!fill(index, found)) return ENODATA;
  std::memcpy(entry, &found, std::min(size, sizeof(found)));
  return 0;
}

ssize_t _ibv_query_gid_table(ibv_context* /*context*/, ibv_gid_entry* entries, std::size_t room,
                             std::uint32_t flags, std::size_t size) {
  if (flags != 0) return -EINVAL;
  std::size_t count = 0;
  for (std::size_t i = 0; i < tideline::rdma::GidTable::size(); ++i) {
    ibv_gid_entry found;
    if (!fill(i, found)) continue;
    if (count == room) return -EINVAL;
    std::memcpy(reinterpret_cast<std::byte*>(entries) + count * size, &found,
                std::min(size, sizeof(found)));
    ++count;
  }
  return static_cast<ssize_t>(count);
}

// Private to libibverbs, and used by ibv_devinfo. Its types: 0 is IB or RoCE v1, 1 is RoCE v2.
int ibv_query_gid_type(ibv_context* /*context*/, std::uint8_t port, unsigned index,
                       unsigned* type) {
  ibv_gid_entry entry;
  if (port != kPort || index >= tideline::rdma::GidTable::size()) {
    errno = EINVAL;
    return -1;
  }
  *type = fill(index, entry) && entry.gid_type == IBV_GID_TYPE_ROCE_V2 ? 1 : 0;
  return 0;
}

int ibv_query_pkey(ibv_context* /*context*/, std::uint8_t port, int index, __be16* pkey) {
  if (port != kPort || index != 0) {
    errno = EINVAL;
    return -1;
  }
  *pkey = kPkey;
  return 0;
}

int ibv_get_pkey_index(ibv_context* /*context*/, std::uint8_t port, __be16 pkey) {
  if (port == kPort && pkey == kPkey) return 0;
  errno = EINVAL;
  return -1;
}

const char* ibv_get_sysfs_path() { return "/sys"; }

int ibv_fork_init() { return 0; }

// The engine never writes to pages that a child shares by copy on write in a way that matters: it
// copies through the parent's own mappings.
ibv_fork_status ibv_is_fork_initialized() { return IBV_FORK_UNNEEDED; }

int ibv_dontfork_range(void* /*base*/, std::size_t /*size*/) { return 0; }
int ibv_dofork_range(void* /*base*/, std::size_t /*size*/) { return 0; }

}  // extern "C"
