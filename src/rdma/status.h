// SPDX-License-Identifier: Apache-2.0
// What a device tells of itself and of its queue pairs: values, copied under the engine's lock.
// Thread: any.
#pragma once

#include <cstdint>

#include "rdma/queue_pair.h"

namespace tideline::rdma {

struct DeviceStatus {
  std::uint32_t pds = 0;
  std::uint32_t regions = 0;  // and windows
  std::uint32_t cqs = 0;
  std::uint32_t srqs = 0;
  std::uint32_t ahs = 0;
  std::uint32_t qps = 0;
};

struct QpStatus {
  std::uint32_t number = 0;
  QpType type = QpType::kRc;
  QpState state = QpState::kReset;
  // RC, UC: the peer; zero until it is known.
  std::uint32_t peer_number = 0;
  Gid peer{};
  std::uint32_t mtu = 0;      // of the path, in bytes
  std::uint32_t sq_psn = 0;   // of the next request
  std::uint32_t una_psn = 0;  // the oldest that is not acknowledged
  std::uint32_t unacked = 0;  // packets that were sent and are not acknowledged
  std::uint32_t rq_psn = 0;   // expected
  std::uint32_t posted_sends = 0;
  std::uint32_t posted_receives = 0;  // not with an SRQ
  std::uint8_t retries_left = 0;
  std::uint8_t rnr_retries_left = 0;
  QpCounters counters{};
};

}  // namespace tideline::rdma
