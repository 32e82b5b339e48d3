// SPDX-License-Identifier: Apache-2.0
// What a device is made with. Values.
#pragma once

#include <cstdint>

#include "rdma/lid.h"
#include "rdma/types.h"

namespace tideline::rdma {

// What the device tells of itself (ibv_query_device), and holds objects to.
struct DeviceLimits {
  std::uint32_t max_qp = 16384;
  std::uint32_t max_qp_wr = 16384;
  std::uint32_t max_sge = kMaxSge;
  std::uint32_t max_inline = 1024;
  std::uint32_t max_cq = 16384;
  std::uint32_t max_cqe = 1U << 20;
  std::uint32_t max_regions = 65536;  // regions and windows together
  std::uint64_t max_mr_size = std::uint64_t{1} << 47;
  std::uint32_t max_pd = 16384;
  std::uint32_t max_ah = 16384;
  std::uint32_t max_srq = 4096;
  std::uint32_t max_srq_wr = 16384;
  std::uint8_t max_rd_atomic = 128;  // per queue pair, either way
  std::uint8_t ack_delay = 15;       // local CA ACK delay: 4.096 us * 2^15
};

struct DeviceOptions {
  DeviceLimits limits{};
  std::uint64_t node_guid = 0;    // EUI-64 of the MAC
  std::uint16_t link_mtu = 1500;  // of IP packets
  LidNetwork lids{};              // for programs that name peers by LID
  // A queue pair has at most this many bytes unacknowledged.
  std::uint32_t window = 1U << 20;
  // Payload of a frame at most; whole packets of the path MTU, and IP's 64 KiB, bound it further.
  std::uint32_t max_frame = 65535;
};

}  // namespace tideline::rdma
