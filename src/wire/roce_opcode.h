// SPDX-License-Identifier: Apache-2.0
// The opcodes of the base transport header, as data: what each begins, ends, carries and means.
// IBA 9.2.1, tables 34 to 36; annex A17.9.3 for the CNP. Thread: any.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tideline::wire {

enum class RoceService : std::uint8_t { kNone, kRc, kUc, kUd, kCnp };

// What a packet is part of.
enum class RoceKind : std::uint8_t {
  kNone,
  kSend,
  kWrite,
  kReadRequest,
  kReadResponse,
  kAck,
  kAtomicAck,
  kCompareSwap,
  kFetchAdd,
  kCnp,
};

// The extended headers, in the order in which they follow the BTH.
struct RoceExtension {
  static constexpr std::uint8_t kDeth = 1;
  static constexpr std::uint8_t kReth = 2;
  static constexpr std::uint8_t kAtomic = 4;
  static constexpr std::uint8_t kAeth = 8;
  static constexpr std::uint8_t kAtomicAck = 16;
  static constexpr std::uint8_t kImmediate = 32;
  static constexpr std::uint8_t kInvalidate = 64;
};

inline constexpr std::size_t kBthSize = 12;
inline constexpr std::size_t kIcrcSize = 4;

struct RoceOpcode {
  std::string_view name{};  // "SEND_ONLY"; empty: reserved
  RoceService service = RoceService::kNone;
  RoceKind kind = RoceKind::kNone;
  bool starts = false;  // the first packet of a message, or the only one
  bool ends = false;    // the last, or the only one
  bool has_payload = false;
  std::uint8_t extensions = 0;
  std::uint8_t header_size = 0;  // BTH and extended headers
  std::uint8_t code = 0;

  constexpr bool valid() const { return kind != RoceKind::kNone; }
  constexpr bool has(std::uint8_t extension) const { return (extensions & extension) != 0; }
  constexpr bool is_atomic() const {
    return kind == RoceKind::kCompareSwap || kind == RoceKind::kFetchAdd;
  }
  // What a requester gets, as opposed to what a responder gets.
  constexpr bool is_response() const {
    return kind == RoceKind::kReadResponse || kind == RoceKind::kAck ||
           kind == RoceKind::kAtomicAck;
  }
};

namespace internal {

struct RoceOperation {
  std::uint8_t code;  // the lower 5 bits
  std::string_view name;
  RoceKind kind;
  bool starts;
  bool ends;
  bool has_payload;
  std::uint8_t extensions;
};

inline constexpr std::array kRoceOperations{
    RoceOperation{0x00, "SEND_FIRST", RoceKind::kSend, true, false, true, 0},
    RoceOperation{0x01, "SEND_MIDDLE", RoceKind::kSend, false, false, true, 0},
    RoceOperation{0x02, "SEND_LAST", RoceKind::kSend, false, true, true, 0},
    RoceOperation{0x03, "SEND_LAST_IMM", RoceKind::kSend, false, true, true,
                  RoceExtension::kImmediate},
    RoceOperation{0x04, "SEND_ONLY", RoceKind::kSend, true, true, true, 0},
    RoceOperation{0x05, "SEND_ONLY_IMM", RoceKind::kSend, true, true, true,
                  RoceExtension::kImmediate},
    RoceOperation{0x06, "WRITE_FIRST", RoceKind::kWrite, true, false, true, RoceExtension::kReth},
    RoceOperation{0x07, "WRITE_MIDDLE", RoceKind::kWrite, false, false, true, 0},
    RoceOperation{0x08, "WRITE_LAST", RoceKind::kWrite, false, true, true, 0},
    RoceOperation{0x09, "WRITE_LAST_IMM", RoceKind::kWrite, false, true, true,
                  RoceExtension::kImmediate},
    RoceOperation{0x0a, "WRITE_ONLY", RoceKind::kWrite, true, true, true, RoceExtension::kReth},
    RoceOperation{0x0b, "WRITE_ONLY_IMM", RoceKind::kWrite, true, true, true,
                  RoceExtension::kReth | RoceExtension::kImmediate},
    RoceOperation{0x0c, "READ_REQUEST", RoceKind::kReadRequest, true, true, false,
                  RoceExtension::kReth},
    RoceOperation{0x0d, "READ_RESPONSE_FIRST", RoceKind::kReadResponse, true, false, true,
                  RoceExtension::kAeth},
    RoceOperation{0x0e, "READ_RESPONSE_MIDDLE", RoceKind::kReadResponse, false, false, true, 0},
    RoceOperation{0x0f, "READ_RESPONSE_LAST", RoceKind::kReadResponse, false, true, true,
                  RoceExtension::kAeth},
    RoceOperation{0x10, "READ_RESPONSE_ONLY", RoceKind::kReadResponse, true, true, true,
                  RoceExtension::kAeth},
    RoceOperation{0x11, "ACK", RoceKind::kAck, true, true, false, RoceExtension::kAeth},
    RoceOperation{0x12, "ATOMIC_ACK", RoceKind::kAtomicAck, true, true, false,
                  RoceExtension::kAeth | RoceExtension::kAtomicAck},
    RoceOperation{0x13, "COMPARE_SWAP", RoceKind::kCompareSwap, true, true, false,
                  RoceExtension::kAtomic},
    RoceOperation{0x14, "FETCH_ADD", RoceKind::kFetchAdd, true, true, false,
                  RoceExtension::kAtomic},
    RoceOperation{0x16, "SEND_LAST_INV", RoceKind::kSend, false, true, true,
                  RoceExtension::kInvalidate},
    RoceOperation{0x17, "SEND_ONLY_INV", RoceKind::kSend, true, true, true,
                  RoceExtension::kInvalidate},
};

constexpr std::size_t extensions_size(std::uint8_t extensions) {
  std::size_t size = 0;
  if ((extensions & RoceExtension::kDeth) != 0) size += 8;
  if ((extensions & RoceExtension::kReth) != 0) size += 16;
  if ((extensions & RoceExtension::kAtomic) != 0) size += 28;
  if ((extensions & RoceExtension::kAeth) != 0) size += 4;
  if ((extensions & RoceExtension::kAtomicAck) != 0) size += 8;
  if ((extensions & RoceExtension::kImmediate) != 0) size += 4;
  if ((extensions & RoceExtension::kInvalidate) != 0) size += 4;
  return size;
}

// Table 35: which operations each service has.
constexpr bool has_operation(RoceService service, const RoceOperation& operation) {
  switch (service) {
    case RoceService::kRc:
      return true;
    case RoceService::kUc:
      return (operation.kind == RoceKind::kSend || operation.kind == RoceKind::kWrite) &&
             (operation.extensions & RoceExtension::kInvalidate) == 0;
    case RoceService::kUd:
      return operation.code == 0x04 || operation.code == 0x05;
    case RoceService::kNone:
    case RoceService::kCnp:
      return false;
  }
  return false;
}

constexpr std::array<RoceOpcode, 256> make_roce_opcodes() {
  std::array<RoceOpcode, 256> table{};
  constexpr std::array kServices{std::pair{RoceService::kRc, 0x00},
                                 std::pair{RoceService::kUc, 0x20},
                                 std::pair{RoceService::kUd, 0x60}};
  for (const auto& [service, base] : kServices) {
    for (const RoceOperation& operation : kRoceOperations) {
      if (!has_operation(service, operation)) continue;
      std::uint8_t extensions = operation.extensions;
      if (service == RoceService::kUd) extensions |= RoceExtension::kDeth;
      const auto code = static_cast<std::uint8_t>(base | operation.code);
      table[code] = {
          .name = operation.name,
          .service = service,
          .kind = operation.kind,
          .starts = operation.starts,
          .ends = operation.ends,
          .has_payload = operation.has_payload,
          .extensions = extensions,
          .header_size = static_cast<std::uint8_t>(kBthSize + extensions_size(extensions)),
          .code = code};
    }
  }
  table[0x81] = {.name = "CNP",
                 .service = RoceService::kCnp,
                 .kind = RoceKind::kCnp,
                 .starts = true,
                 .ends = true,
                 .has_payload = true,  // 16 reserved bytes
                 .extensions = 0,
                 .header_size = kBthSize,
                 .code = 0x81};
  return table;
}

}  // namespace internal

inline constexpr std::array<RoceOpcode, 256> kRoceOpcodes = internal::make_roce_opcodes();

constexpr const RoceOpcode& roce_opcode(std::uint8_t code) { return kRoceOpcodes[code]; }

namespace internal {

// Where find_roce_opcode looks: by service, kind, what the packet starts and ends, what it brings.
constexpr std::size_t roce_index(RoceService service, RoceKind kind, bool starts, bool ends,
                                 std::uint8_t extra) {
  const std::size_t brings = extra / RoceExtension::kImmediate;  // 0, 1, 2
  return (((static_cast<std::size_t>(service) * 16 + static_cast<std::size_t>(kind)) * 2 + starts) *
              2 +
          ends) *
             4 +
         brings;
}

inline constexpr std::uint8_t kRoceExtra = RoceExtension::kImmediate | RoceExtension::kInvalidate;

constexpr std::size_t kRoceIndexSize =
    roce_index(RoceService::kCnp, RoceKind::kCnp, true, true, kRoceExtra) + 1;

constexpr auto make_roce_index() {
  std::array<std::uint8_t, kRoceIndexSize> index{};
  index.fill(0xff);
  for (const RoceOpcode& opcode : kRoceOpcodes) {
    if (!opcode.valid()) continue;
    index[roce_index(opcode.service, opcode.kind, opcode.starts, opcode.ends,
                     opcode.extensions & kRoceExtra)] = opcode.code;
  }
  return index;
}
inline constexpr auto kRoceIndex = make_roce_index();

}  // namespace internal

// The opcode of that service and kind for a packet that starts, or ends, its message, or neither;
// with an immediate or a key to invalidate if it ends. Not valid() if there is none.
constexpr const RoceOpcode& find_roce_opcode(RoceService service, RoceKind kind, bool starts,
                                             bool ends, std::uint8_t extra = 0) {
  return roce_opcode(
      internal::kRoceIndex[internal::roce_index(service, kind, starts, ends, extra)]);
}
static_assert(!kRoceOpcodes[0xff].valid());
static_assert(roce_opcode(0x0b).header_size == 32 && roce_opcode(0x13).header_size == 40);
static_assert(roce_opcode(0x64).header_size == 20);

}  // namespace tideline::wire
