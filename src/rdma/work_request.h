// SPDX-License-Identifier: Apache-2.0
// What a program posts: IBA 11.4.1. Values that the caller owns; posting copies them. Thread: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "rdma/regions.h"
#include "rdma/types.h"

namespace tideline::rdma {

struct AddressHandle;

struct SendRequest {
  std::uint64_t wr_id = 0;
  SendOpcode opcode = SendOpcode::kSend;
  std::uint32_t flags = 0;      // SendFlags
  std::uint32_t immediate = 0;  // kSendImm, kWriteImm: the 4 bytes as they go to the wire;
                                // kSendInvalidate, kLocalInvalidate: the rkey in host order
  std::span<const Sge> sges{};  // at most the queue pair's max_send_sge; inline: copied now
  // Inline data that the caller has at hand; then there are no pieces.
  std::span<const std::byte> inline_data{};

  // One-sided operations.
  std::uint64_t remote_address = 0;
  std::uint32_t rkey = 0;
  std::uint64_t compare_add = 0;  // compare, or what to add
  std::uint64_t swap = 0;

  // UD.
  const AddressHandle* ah = nullptr;
  std::uint32_t remote_qpn = 0;
  std::uint32_t remote_qkey = 0;

  WindowBinding bind{};  // kBindWindow
};

constexpr bool is_atomic(SendOpcode opcode) {
  return opcode == SendOpcode::kCompareSwap || opcode == SendOpcode::kFetchAdd;
}
std::uint64_t length_of(const SendRequest& request);

// What a send queue takes.
struct SendShape {
  QpType type = QpType::kRc;
  std::uint32_t max_sge = 0;
  std::uint32_t max_inline = 0;
  std::uint32_t mtu = 0;  // UD
};
// Whether the request is one that the queue takes at all; otherwise Posted::kInvalid.
bool fits(const SendRequest& request, const SendShape& shape);

struct ReceiveRequest {
  std::uint64_t wr_id = 0;
  std::span<const Sge> sges{};
};

// What became of a request. Everything but kPosted leaves the queue as it was.
enum class Posted : std::uint8_t {
  kPosted,
  kFull,        // ENOMEM: as many are outstanding as the queue holds
  kInvalid,     // EINVAL: opcode, flags, lengths or pieces that this queue pair does not take
  kWrongState,  // EINVAL: the queue pair cannot take requests now (10.3.1)
  kFault,       // EFAULT: inline data cannot be read
};

}  // namespace tideline::rdma
