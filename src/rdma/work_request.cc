// SPDX-License-Identifier: Apache-2.0
#include "rdma/work_request.h"

#include <numeric>

namespace tideline::rdma {
namespace {

// What each transport's send queue takes: table 35 of IBA 9.2.1, and 10.6.7 for keys.
bool takes(QpType type, SendOpcode opcode) {
  switch (opcode) {
    case SendOpcode::kSend:
    case SendOpcode::kSendImm:
      return true;
    case SendOpcode::kWrite:
    case SendOpcode::kWriteImm:
    case SendOpcode::kLocalInvalidate:
    case SendOpcode::kBindWindow:
      return type != QpType::kUd;
    case SendOpcode::kRead:
    case SendOpcode::kCompareSwap:
    case SendOpcode::kFetchAdd:
    case SendOpcode::kSendInvalidate:
      return type == QpType::kRc;
  }
  return false;
}

}  // namespace

std::uint64_t length_of(const SendRequest& request) {
  return std::accumulate(request.sges.begin(), request.sges.end(),
                         std::uint64_t{request.inline_data.size()},
                         [](std::uint64_t sum, const Sge& sge) { return sum + sge.length; });
}

// 11.4.1.1.
bool fits(const SendRequest& request, const SendShape& shape) {
  if (!takes(shape.type, request.opcode)) return false;
  const std::uint64_t length = length_of(request);
  if ((request.flags & SendFlags::kInline) != 0) {
    const bool sends =
        request.opcode <= SendOpcode::kSendImm || request.opcode == SendOpcode::kSendInvalidate;
    if (!sends || length > shape.max_inline) return false;
  } else if (request.sges.size() > shape.max_sge) {
    return false;
  }
  if (length > kMaxMessage) return false;
  if (is_atomic(request.opcode) && (length < 8 || request.remote_address % 8 != 0)) return false;
  return shape.type != QpType::kUd || (request.ah != nullptr && length <= shape.mtu);
}

}  // namespace tideline::rdma
