// SPDX-License-Identifier: Apache-2.0
// The vocabulary of RDMA verbs. Enumerators have the numbers that the verbs ABI gives them, so that
// a shim may cast (and assert it). Spec: InfiniBand Architecture volume 1, chapters 9 to 11
// ("IBA"); annex A17 for RoCEv2. Thread: any.
#pragma once

#include <cstddef>
#include <cstdint>

#include "wire/ip_address.h"

namespace tideline::rdma {

// A GID of RoCE is an IPv6 address, or an IPv4 address in its mapped form: annex A17.4.5.
using Gid = wire::Ipv6Address;

enum class GidType : std::uint8_t { kRoceV1, kRoceV2 };

enum class QpType : std::uint8_t { kRc = 2, kUc = 3, kUd = 4 };

// IBA 10.3.1.
enum class QpState : std::uint8_t { kReset, kInit, kRtr, kRts, kSqd, kSqe, kErr };

// The path MTU's code: 256 << (code - 1) bytes of payload per packet. IBA 9.5, table 17.
enum class Mtu : std::uint8_t { k256 = 1, k512, k1024, k2048, k4096 };
constexpr std::uint32_t bytes_of(Mtu mtu) { return 128U << static_cast<unsigned>(mtu); }

// What a region, window or queue pair allows. Bits of ibv_access_flags.
enum class Access : std::uint32_t {
  kNone = 0,
  kLocalWrite = 1,
  kRemoteWrite = 2,
  kRemoteRead = 4,
  kRemoteAtomic = 8,
  kMwBind = 16,
  kZeroBased = 32,
};
constexpr Access operator|(Access a, Access b) {
  return static_cast<Access>(static_cast<std::uint32_t>(a) | static_cast<std::uint32_t>(b));
}
constexpr Access operator&(Access a, Access b) {
  return static_cast<Access>(static_cast<std::uint32_t>(a) & static_cast<std::uint32_t>(b));
}
// Whether `granted` has every bit of `needed`.
constexpr bool allows(Access granted, Access needed) { return (granted & needed) == needed; }

// A piece of program memory. As struct ibv_sge.
struct Sge {
  std::uint64_t address = 0;
  std::uint32_t length = 0;
  std::uint32_t lkey = 0;
};
static_assert(sizeof(Sge) == 16);

inline constexpr std::size_t kMaxSge = 32;
inline constexpr std::uint32_t kMaxMessage = std::uint32_t{1} << 31;  // IBA C9-3

// What a send queue can be asked for.
enum class SendOpcode : std::uint8_t {
  kWrite = 0,
  kWriteImm = 1,
  kSend = 2,
  kSendImm = 3,
  kRead = 4,
  kCompareSwap = 5,
  kFetchAdd = 6,
  kLocalInvalidate = 7,
  kBindWindow = 8,
  kSendInvalidate = 9,
};

// As ibv_send_flags.
struct SendFlags {
  static constexpr std::uint32_t kFence = 1;
  static constexpr std::uint32_t kSignaled = 2;
  static constexpr std::uint32_t kSolicited = 4;
  static constexpr std::uint32_t kInline = 8;
};

// As ibv_wc_status.
enum class WcStatus : std::uint8_t {
  kSuccess = 0,
  kLocalLength = 1,
  kLocalQpOperation = 2,
  kLocalProtection = 4,
  kFlushed = 5,
  kWindowBind = 6,
  kBadResponse = 7,
  kLocalAccess = 8,
  kRemoteInvalidRequest = 9,
  kRemoteAccess = 10,
  kRemoteOperation = 11,
  kRetryExceeded = 12,
  kRnrRetryExceeded = 13,
  kFatal = 19,
  kGeneral = 21,
};

// As ibv_wc_opcode.
enum class WcOpcode : std::uint8_t {
  kSend = 0,
  kWrite = 1,
  kRead = 2,
  kCompareSwap = 3,
  kFetchAdd = 4,
  kBindWindow = 5,
  kLocalInvalidate = 6,
  kReceive = 128,
  kReceiveWriteImm = 129,
};

// As ibv_wc_flags.
struct WcFlags {
  static constexpr std::uint16_t kGrh = 1;
  static constexpr std::uint16_t kImmediate = 2;
  static constexpr std::uint16_t kInvalidated = 8;
};

// As ibv_event_type.
enum class EventType : std::uint8_t {
  kCqError = 0,
  kQpFatal = 1,
  kQpRequestError = 2,
  kQpAccessError = 3,
  kCommunicationEstablished = 4,
  kSendQueueDrained = 5,
  kDeviceFatal = 8,
  kPortActive = 9,
  kPortError = 10,
  kSrqError = 14,
  kSrqLimitReached = 15,
  kLastWqeReached = 16,
  kGidChange = 18,
};

}  // namespace tideline::rdma
