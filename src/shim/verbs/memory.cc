// SPDX-License-Identifier: Apache-2.0
// Protection domains, memory regions and windows, address handles.
#include <cerrno>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "shim/verbs/control.h"
#include "shim/verbs/data.h"
#include "shim/verbs/objects.h"
#include "wire/roce.h"

#undef ibv_reg_mr
#undef ibv_reg_mr_iova

namespace tideline::shim::verbs {
namespace {

// A parent domain is a domain of its own with the same objects; a thread domain a promise of the
// program's that nothing here makes use of.
struct ThreadDomain {
  ibv_td base{};
};

rdma::Access to_access(int flags) {
  return static_cast<rdma::Access>(static_cast<std::uint32_t>(flags) &
                                   ~std::uint32_t{IBV_ACCESS_OPTIONAL_RANGE});
}

constexpr int kAccessSupported = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE |
                                 IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_ATOMIC |
                                 IBV_ACCESS_MW_BIND | IBV_ACCESS_ZERO_BASED |
                                 IBV_ACCESS_OPTIONAL_RANGE;

ibv_mr* register_region(ibv_pd* pd, void* address, std::size_t length, std::uint64_t iova,
                        int access) {
  if ((access & ~kAccessSupported) != 0) return refused<ibv_mr>(EOPNOTSUPP);
  auto mr = std::make_unique<Mr>();
  auto region = of(pd).pd->register_region({.address = reinterpret_cast<std::uintptr_t>(address),
                                            .length = length,
                                            .iova = iova,
                                            .access = to_access(access)});
  if (!region) return refused<ibv_mr>(errno_of(region.error()));
  mr->region = std::move(*region);
  const std::uint32_t key = mr->region->region->key;
  mr->base = {.context = pd->context,
              .pd = pd,
              .addr = address,
              .length = length,
              .handle = key,
              .lkey = key,
              .rkey = key};
  return &mr.release()->base;
}

rdma::AddressVector to_vector(const ibv_ah_attr& attr) {
  rdma::AddressVector vector{.source_gid_index = attr.grh.sgid_index,
                             .traffic_class = attr.grh.traffic_class,
                             .hop_limit = attr.grh.hop_limit,
                             .flow_label = attr.grh.flow_label,
                             .service_level = attr.sl};
  vector.destination = to_gid(attr.grh.dgid);
  return vector;
}

}  // namespace

rdma::Gid to_gid(const ibv_gid& gid) {
  return {__builtin_bswap64(gid.global.subnet_prefix), __builtin_bswap64(gid.global.interface_id)};
}

ibv_gid to_ibv(const rdma::Gid& gid) {
  ibv_gid result;
  result.global.subnet_prefix = __builtin_bswap64(gid.high());
  result.global.interface_id = __builtin_bswap64(gid.low());
  return result;
}

Result<rdma::AddressVector> to_address_vector(const ibv_ah_attr& attr) {
  if (attr.port_num != 1) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = "an address of another port than 1",
                 .errno_value = EINVAL});
  }
  if (attr.is_global != 0) return to_vector(attr);
  auto vector = the_engine().address_of(attr.dlid);
  if (vector) vector->service_level = attr.sl;
  return vector;
}

ibv_ah_attr to_ibv(const rdma::AddressVector& vector) {
  ibv_ah_attr attr{};
  attr.sl = vector.service_level;
  attr.port_num = 1;
  if (vector.lid != 0) {
    attr.dlid = vector.lid;
    return attr;
  }
  attr.is_global = 1;
  attr.grh.dgid = to_ibv(vector.destination);
  attr.grh.sgid_index = vector.source_gid_index;
  attr.grh.traffic_class = vector.traffic_class;
  attr.grh.hop_limit = vector.hop_limit;
  attr.grh.flow_label = vector.flow_label;
  return attr;
}

ibv_mw* alloc_mw(ibv_pd* pd, ibv_mw_type type) {
  if (type != IBV_MW_TYPE_1 && type != IBV_MW_TYPE_2) return refused<ibv_mw>(EINVAL);
  auto mw = std::make_unique<Mw>();
  auto window =
      of(pd).pd->alloc_window(type == IBV_MW_TYPE_1 ? rdma::WindowType::k1 : rdma::WindowType::k2);
  if (!window) return refused<ibv_mw>(errno_of(window.error()));
  mw->window = std::move(*window);
  const std::uint32_t key = mw->window->window->key;
  mw->base = {.context = pd->context, .pd = pd, .rkey = key, .handle = key, .type = type};
  return &mw.release()->base;
}

int dealloc_mw(ibv_mw* handle) {
  Mw& mw = of(handle);
  const int error = errno_of(mw.window->destroy());
  if (error == 0) delete &mw;
  return error;
}

int bind_mw(ibv_qp* qp, ibv_mw* mw, ibv_mw_bind* bind) {
  if (mw->type != IBV_MW_TYPE_1) return EINVAL;
  ibv_send_wr request{};
  ibv_send_wr* bad = nullptr;
  request.wr_id = bind->wr_id;
  request.opcode = IBV_WR_BIND_MW;
  request.send_flags = bind->send_flags;
  request.bind_mw.mw = mw;
  request.bind_mw.rkey = ibv_inc_rkey(mw->rkey);
  request.bind_mw.bind_info = bind->bind_info;
  const int error = post_send(qp, &request, &bad);
  if (error == 0) mw->rkey = request.bind_mw.rkey;
  return error;
}

ibv_td* alloc_td(ibv_context* context, ibv_td_init_attr* init) {
  if (init->comp_mask != 0) return refused<ibv_td>(EINVAL);
  auto td = std::make_unique<ThreadDomain>();
  td->base.context = context;
  return &td.release()->base;
}

int dealloc_td(ibv_td* td) {
  delete reinterpret_cast<ThreadDomain*>(td);
  return 0;
}

ibv_pd* alloc_parent_domain(ibv_context* context, ibv_parent_domain_init_attr* init) {
  if (init->pd == nullptr) return refused<ibv_pd>(EINVAL);
  auto pd = std::make_unique<Pd>();
  pd->base.context = context;
  pd->pd = of(init->pd).pd;
  pd->parent = init->pd;
  return &pd.release()->base;
}

}  // namespace tideline::shim::verbs

using namespace tideline::shim::verbs;  // NOLINT(google-build-using-namespace): the C face of it

extern "C" {

ibv_pd* ibv_alloc_pd(ibv_context* context) {
  auto pd = std::make_unique<Pd>();
  auto allocated = context_of(context).device->alloc_domain();
  if (!allocated) return refused<ibv_pd>(errno_of(allocated.error()));
  pd->own = std::move(*allocated);
  pd->pd = pd->own.get();
  pd->base.context = context;
  return &pd.release()->base;
}

int ibv_dealloc_pd(ibv_pd* handle) {
  Pd& pd = of(handle);
  const int error = pd.own == nullptr ? 0 : errno_of(pd.own->destroy());
  if (error == 0) delete &pd;
  return error;
}

ibv_mr* ibv_reg_mr(ibv_pd* pd, void* address, std::size_t length, int access) {
  return register_region(pd, address, length, reinterpret_cast<std::uintptr_t>(address), access);
}

ibv_mr* ibv_reg_mr_iova(ibv_pd* pd, void* address, std::size_t length, std::uint64_t iova,
                        int access) {
  return register_region(pd, address, length, iova, access);
}

ibv_mr* ibv_reg_mr_iova2(ibv_pd* pd, void* address, std::size_t length, std::uint64_t iova,
                         unsigned access) {
  return register_region(pd, address, length, iova, static_cast<int>(access));
}

int ibv_rereg_mr(ibv_mr* handle, int flags, ibv_pd* pd, void* address, std::size_t length,
                 int access) {
  if ((flags & ~IBV_REREG_MR_FLAGS_SUPPORTED) != 0) return IBV_REREG_MR_ERR_INPUT;
  Mr& mr = of(handle);
  const int error =
      errno_of(mr.region->reregister({.flags = static_cast<unsigned>(flags),
                                      .address = reinterpret_cast<std::uintptr_t>(address),
                                      .length = length,
                                      .access = to_access(access)},
                                     (flags & IBV_REREG_MR_CHANGE_PD) != 0 ? of(pd).pd : nullptr));
  if (error != 0) {
    errno = error;
    return IBV_REREG_MR_ERR_CMD;  // the region is as it was
  }
  if ((flags & IBV_REREG_MR_CHANGE_TRANSLATION) != 0) {
    handle->addr = address;
    handle->length = length;
  }
  if ((flags & IBV_REREG_MR_CHANGE_PD) != 0) handle->pd = pd;
  handle->lkey = handle->rkey = mr.region->region->key;
  return 0;
}

int ibv_dereg_mr(ibv_mr* handle) {
  Mr& mr = of(handle);
  const int error = errno_of(mr.region->destroy());
  if (error == 0) delete &mr;
  return error;
}

ibv_ah* ibv_create_ah(ibv_pd* pd, ibv_ah_attr* attr) {
  auto ah = std::make_unique<Ah>();
  const auto vector = to_address_vector(*attr);
  if (!vector) return refused<ibv_ah>(errno_of(vector.error()));
  auto created = of(pd).pd->create_address(*vector);
  if (!created) return refused<ibv_ah>(errno_of(created.error()));
  ah->ah = std::move(*created);
  wait_for_way([&] { return ah->ah->has_way(); });
  ah->base = {.context = pd->context, .pd = pd, .handle = 0};
  return &ah.release()->base;
}

int ibv_destroy_ah(ibv_ah* handle) {
  Ah& ah = of(handle);
  const int error = errno_of(ah.ah->destroy());
  if (error == 0) delete &ah;
  return error;
}

// From the header that a UD receive has in front: the addresses turned around. Annex A17.4.5: the
// header of IPv4 lies in the last 20 bytes.
int ibv_init_ah_from_wc(ibv_context* context, std::uint8_t port, ibv_wc* wc, ibv_grh* grh,
                        ibv_ah_attr* attr) {
  *attr = {};
  if ((wc->wc_flags & IBV_WC_GRH) == 0) {
    errno = EINVAL;
    return -1;
  }
  ibv_gid from = grh->sgid;
  ibv_gid to = grh->dgid;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(grh);
  constexpr std::size_t kIpv4 = 20;
  const bool is_ipv4 = (bytes[0] >> 4) != 6 && (bytes[kIpv4] >> 4) == 4;
  if (is_ipv4) {
    const auto mapped = [&](std::size_t offset) {
      ibv_gid gid{};
      gid.raw[10] = gid.raw[11] = 0xff;
      for (std::size_t i = 0; i < 4; ++i) gid.raw[12 + i] = bytes[kIpv4 + offset + i];
      return gid;
    };
    from = mapped(12);
    to = mapped(16);
  }
  // A GRH of RoCE v1 says so: its next header is not UDP.
  const bool v1 = !is_ipv4 && bytes[offsetof(ibv_grh, next_hdr)] == tideline::wire::kProtocolGrh;
  const int first = v1 ? static_cast<int>(tideline::rdma::GidTable::kFirstV1) : 0;
  attr->port_num = port;
  attr->is_global = 1;
  attr->grh.dgid = from;
  attr->grh.hop_limit = 64;
  for (int index = first; index < static_cast<int>(tideline::rdma::GidTable::size()); ++index) {
    ibv_gid ours;
    if (ibv_query_gid(context, port, index, &ours) == 0 && to_gid(ours) == to_gid(to)) {
      attr->grh.sgid_index = static_cast<std::uint8_t>(index);
      return 0;
    }
  }
  errno = ENOENT;
  return -1;
}

ibv_ah* ibv_create_ah_from_wc(ibv_pd* pd, ibv_wc* wc, ibv_grh* grh, std::uint8_t port) {
  ibv_ah_attr attr;
  if (ibv_init_ah_from_wc(pd->context, port, wc, grh, &attr) != 0) return nullptr;
  return ibv_create_ah(pd, &attr);
}

}  // extern "C"
