// SPDX-License-Identifier: Apache-2.0
// What TCP_INFO and TCP_CC_INFO say of a stream, as Linux lays it out. Thread: any.
#pragma once

#include <linux/inet_diag.h>
#include <linux/tcp.h>

#include <cstddef>
#include <cstdint>

#include "client/types.h"

namespace tideline::shim::sockets {

// linux/tcp.h, and what Linux has put behind since this machine's headers: its length alone tells
// programs what is there.
struct TcpInfo : tcp_info {
  std::uint32_t rcv_wnd;
  std::uint32_t rehash;
  std::uint16_t total_rto;
  std::uint16_t total_rto_recoveries;
  std::uint32_t total_rto_time;
  // Of accurate ECN.
  std::uint32_t received_ce;
  std::uint32_t delivered_e1_bytes;
  std::uint32_t delivered_e0_bytes;
  std::uint32_t delivered_ce_bytes;
  std::uint32_t received_e1_bytes;
  std::uint32_t received_e0_bytes;
  std::uint32_t received_ce_bytes;
  std::uint32_t ecn_mode;  // two bits of it
};
static_assert(sizeof(TcpInfo) == 280);

TcpInfo to_tcp_info(const client::Info& info, const client::Options& options);

// How many bytes of `out` say something: none of an algorithm that has nothing to tell.
std::size_t to_algorithm_info(const client::Info& info, tcp_cc_info& out);

}  // namespace tideline::shim::sockets
