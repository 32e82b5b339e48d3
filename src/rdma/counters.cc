// SPDX-License-Identifier: Apache-2.0
#include "rdma/counters.h"

namespace tideline::rdma {
namespace {

struct Name {
  Counter counter;
  std::string_view name;
};

using enum Counter;

constexpr std::array<Name, kCounterCount> kNames{{
    {kRxPackets, "rx_packets"},
    {kTxPackets, "tx_packets"},
    {kRxBytes, "rx_bytes"},
    {kTxBytes, "tx_bytes"},
    {kDropIcrc, "drop_icrc"},
    {kDropPkey, "drop_pkey"},
    {kDropQpUnknown, "drop_qp_unknown"},
    {kDropQpState, "drop_qp_state"},
    {kDropQpType, "drop_qp_type"},
    {kDropAddress, "drop_address"},
    {kDropQkey, "drop_qkey"},
    {kDropGso, "drop_gso"},
    {kRxSequenceError, "rx_sequence_error"},
    {kDropAhead, "drop_ahead"},
    {kRxDuplicate, "rx_duplicate"},
    {kDropDuplicate, "drop_duplicate"},
    {kDropMessage, "drop_message"},
    {kNakSequence, "nak_sequence"},
    {kNakInvalid, "nak_invalid"},
    {kNakAccess, "nak_access"},
    {kNakOperation, "nak_operation"},
    {kNakRnr, "nak_rnr"},
    {kDropAckStale, "drop_ack_stale"},
    {kDropResponse, "drop_response"},
    {kDropSyndrome, "drop_syndrome"},
    {kRetransmits, "retransmits"},
    {kDirectWrites, "direct_writes"},
    {kDirectReads, "direct_reads"},
    {kDirectBytes, "direct_bytes"},
    {kTimeouts, "timeouts"},
    {kRxNakSequence, "rx_nak_sequence"},
    {kRxRnr, "rx_rnr"},
    {kRetryExceeded, "retry_exceeded"},
    {kRnrRetryExceeded, "rnr_retry_exceeded"},
    {kRxEcn, "rx_ecn"},
    {kRxCnp, "rx_cnp"},
    {kDropCnp, "drop_cnp"},
    {kPoolExhausted, "pool_exhausted"},
    {kDropLoopback, "drop_loopback"},
    {kDropSend, "drop_send"},
    {kCqOverrun, "cq_overrun"},
}};

constexpr bool in_order() {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (static_cast<std::size_t>(kNames[i].counter) != i) return false;
  }
  return true;
}
static_assert(in_order(), "kNames follows the enumeration");

}  // namespace

std::string_view name_of(Counter counter) { return kNames[static_cast<std::size_t>(counter)].name; }

}  // namespace tideline::rdma
