// SPDX-License-Identifier: Apache-2.0
// The attributes of a queue pair and the rules by which its state changes: IBA 10.3.1, 11.2.4.2,
// table 91. Thread: any; values.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "rdma/address.h"
#include "rdma/types.h"

namespace tideline::rdma {

// As struct ibv_qp_cap.
struct QpCapacity {
  std::uint32_t send_wr = 0;
  std::uint32_t recv_wr = 0;
  std::uint32_t send_sge = 0;
  std::uint32_t recv_sge = 0;
  std::uint32_t inline_data = 0;
};

// Which attributes a modify carries: bits of ibv_qp_attr_mask.
struct QpMask {
  static constexpr std::uint32_t kState = 1U << 0;
  static constexpr std::uint32_t kCurrentState = 1U << 1;
  static constexpr std::uint32_t kSqdNotify = 1U << 2;
  static constexpr std::uint32_t kAccess = 1U << 3;
  static constexpr std::uint32_t kPkeyIndex = 1U << 4;
  static constexpr std::uint32_t kPort = 1U << 5;
  static constexpr std::uint32_t kQkey = 1U << 6;
  static constexpr std::uint32_t kAddress = 1U << 7;
  static constexpr std::uint32_t kPathMtu = 1U << 8;
  static constexpr std::uint32_t kTimeout = 1U << 9;
  static constexpr std::uint32_t kRetryCount = 1U << 10;
  static constexpr std::uint32_t kRnrRetry = 1U << 11;
  static constexpr std::uint32_t kReceivePsn = 1U << 12;
  static constexpr std::uint32_t kMaxRdAtomic = 1U << 13;
  static constexpr std::uint32_t kAlternatePath = 1U << 14;
  static constexpr std::uint32_t kMinRnrTimer = 1U << 15;
  static constexpr std::uint32_t kSendPsn = 1U << 16;
  static constexpr std::uint32_t kMaxDestRdAtomic = 1U << 17;
  static constexpr std::uint32_t kPathMigration = 1U << 18;
  static constexpr std::uint32_t kCapacity = 1U << 19;
  static constexpr std::uint32_t kDestinationQpn = 1U << 20;
  static constexpr std::uint32_t kRateLimit = 1U << 25;
};

// As struct ibv_qp_attr, without what RoCE does not have.
struct QpAttributes {
  QpState state = QpState::kReset;
  QpState current_state = QpState::kReset;  // what the caller believes
  bool sqd_notify = false;
  Access access = Access::kNone;  // what peers may do: remote read, write, atomic
  std::uint16_t pkey_index = 0;
  std::uint8_t port = 0;  // 1
  std::uint32_t qkey = 0;
  AddressVector address{};
  Mtu path_mtu = Mtu::k1024;
  std::uint8_t timeout = 0;        // 4.096 us * 2^timeout; 0: never. 5 bits
  std::uint8_t retry_count = 0;    // 3 bits
  std::uint8_t rnr_retry = 0;      // 3 bits; 7: for ever
  std::uint8_t min_rnr_timer = 0;  // the code of table 45; 5 bits
  std::uint32_t receive_psn = 0;
  std::uint32_t send_psn = 0;
  std::uint8_t max_rd_atomic = 0;       // READs and atomics that we have outstanding at most
  std::uint8_t max_dest_rd_atomic = 0;  // and that the peer may have
  std::uint32_t destination_qpn = 0;
};

// Whether a queue pair of that type may go from `from` to `to` (which may be equal) with the
// attributes in `mask`. Fails with the errno EINVAL, naming what is missing or not allowed.
Status check_transition(QpType type, QpState from, QpState to, std::uint32_t mask);

std::string_view name_of(QpState state);
std::string_view name_of(QpType type);

}  // namespace tideline::rdma
