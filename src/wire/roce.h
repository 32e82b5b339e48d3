// SPDX-License-Identifier: Apache-2.0
// The headers of RoCE from the BTH on: IBA 9.2 and 9.3, with annex A17 for how UDP carries them.
//
//   BTH (12) | DETH, RETH, AtomicETH, AETH, AtomicAckETH, ImmDt, IETH as the opcode says | payload
//   | pad (0 to 3) | ICRC (4)
//
// Of RoCE v1 a GRH (an IPv6 header whose next header is 27) stands before the BTH. Thread: any.
#pragma once

#include <cstdint>

#include "wire/drop_reason.h"
#include "wire/endian.h"
#include "wire/roce_opcode.h"
#include "wire/view.h"

namespace tideline::wire {

inline constexpr std::uint16_t kRocePort = 4791;
inline constexpr std::uint16_t kEtherTypeRoce = 0x8915;  // v1
inline constexpr std::uint8_t kProtocolGrh = 27;         // next header of a GRH: IBA 8.3
inline constexpr std::uint16_t kDefaultPkey = 0xffff;

// 9.2.
struct BthHeader {
  std::uint8_t opcode;
  std::uint8_t flags;  // solicited, MigReq, pad count, version
  be16 pkey;
  std::uint8_t congestion;  // FECN, BECN; the rest reserved
  be24 qp;
  std::uint8_t acknowledge;  // AckReq; the rest reserved
  be24 psn;

  static constexpr std::uint8_t kSolicited = 0x80;
  static constexpr std::uint8_t kMigrated = 0x40;
  static constexpr std::uint8_t kVersionMask = 0x0f;
  static constexpr std::uint8_t kFecn = 0x80;
  static constexpr std::uint8_t kBecn = 0x40;
  static constexpr std::uint8_t kAckRequest = 0x80;

  constexpr unsigned pad() const { return flags >> 4 & 3U; }
};
static_assert(sizeof(BthHeader) == kBthSize);

struct DethHeader {  // 9.3.1
  be32 qkey;
  std::uint8_t reserved;
  be24 source_qp;
};
static_assert(sizeof(DethHeader) == 8);

struct RethHeader {  // 9.3.3
  be64 address;
  be32 rkey;
  be32 length;
};
static_assert(sizeof(RethHeader) == 16);

struct AtomicHeader {  // 9.3.4
  be64 address;
  be32 rkey;
  be64 swap_add;
  be64 compare;
};
static_assert(sizeof(AtomicHeader) == 28);

struct AethHeader {  // 9.3.5
  std::uint8_t syndrome;
  be24 msn;
};
static_assert(sizeof(AethHeader) == 4);

// 9.3.5.1, tables 45 and 46.
struct AethSyndrome {
  static constexpr std::uint8_t kAck = 0x00;       // and 5 bits of credits
  static constexpr std::uint8_t kRnr = 0x20;       // and 5 bits of timer
  static constexpr std::uint8_t kNak = 0x60;       // and 5 bits of code
  static constexpr std::uint8_t kKindMask = 0xe0;  // bit 7 is reserved
  static constexpr std::uint8_t kValueMask = 0x1f;
  static constexpr std::uint8_t kNoCredits = 0x1f;  // an ACK that says nothing of credits

  static constexpr std::uint8_t kNakSequence = 0x60;
  static constexpr std::uint8_t kNakInvalidRequest = 0x61;
  static constexpr std::uint8_t kNakRemoteAccess = 0x62;
  static constexpr std::uint8_t kNakRemoteOperation = 0x63;
};

// Headers as values; only those that the opcode has mean something.
struct Roce {
  std::uint8_t opcode = 0;
  bool solicited = false;
  bool migrated = true;
  std::uint8_t pad = 0;
  std::uint16_t pkey = kDefaultPkey;
  bool fecn = false;
  bool becn = false;
  bool ack_request = false;
  std::uint32_t qp = 0;
  std::uint32_t psn = 0;

  std::uint32_t qkey = 0;  // DETH
  std::uint32_t source_qp = 0;
  std::uint64_t address = 0;  // RETH, AtomicETH
  std::uint32_t rkey = 0;
  std::uint32_t length = 0;    // RETH
  std::uint64_t swap_add = 0;  // AtomicETH
  std::uint64_t compare = 0;
  std::uint8_t syndrome = 0;  // AETH
  std::uint32_t msn = 0;
  std::uint64_t original = 0;        // AtomicAckETH
  std::uint32_t immediate = 0;       // ImmDt: the four bytes as they lie in memory
  std::uint32_t invalidate_key = 0;  // IETH

  const RoceOpcode& info() const { return roce_opcode(opcode); }
  friend constexpr bool operator==(const Roce&, const Roce&) = default;
};

// Reads the headers at the front of `head`; `size` counts all from the BTH to the ICRC, `head` may
// hold less of it. The opcode is one of the table's, and `size` covers its headers and the ICRC;
// whether pad and payload fit the message is for the transport to judge.
Parsed<Roce> parse_roce(Bytes head, std::size_t size);
inline Parsed<Roce> parse_roce(Bytes packet) { return parse_roce(packet, packet.size()); }

// Writes the headers and returns their size. The opcode is one of the table's.
std::size_t emit(const Roce& roce, MutableBytes out);

}  // namespace tideline::wire
