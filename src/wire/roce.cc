// SPDX-License-Identifier: Apache-2.0
#include "wire/roce.h"

#include <bit>

namespace tideline::wire {
namespace {

// Takes header by header off the front.
template <WireStruct Header>
const Header& take(Bytes& rest) {
  const auto& header = view_as<Header>(rest);
  rest = rest.subspan(sizeof(Header));
  return header;
}

template <WireStruct Header>
void put(const Header& header, MutableBytes& rest) {
  view_as<Header>(rest) = header;
  rest = rest.subspan(sizeof(Header));
}

using RawImmediate = std::array<std::uint8_t, 4>;

struct ImmediateHeader {  // 9.3.6
  RawImmediate bytes;
};

void parse_extensions(const RoceOpcode& opcode, Bytes rest, Roce& roce) {
  if (opcode.has(RoceExtension::kDeth)) {
    const auto& deth = take<DethHeader>(rest);
    roce.qkey = deth.qkey.value();
    roce.source_qp = deth.source_qp.value();
  }
  if (opcode.has(RoceExtension::kReth)) {
    const auto& reth = take<RethHeader>(rest);
    roce.address = reth.address.value();
    roce.rkey = reth.rkey.value();
    roce.length = reth.length.value();
  }
  if (opcode.has(RoceExtension::kAtomic)) {
    const auto& atomic = take<AtomicHeader>(rest);
    roce.address = atomic.address.value();
    roce.rkey = atomic.rkey.value();
    roce.swap_add = atomic.swap_add.value();
    roce.compare = atomic.compare.value();
  }
  if (opcode.has(RoceExtension::kAeth)) {
    const auto& aeth = take<AethHeader>(rest);
    roce.syndrome = aeth.syndrome;
    roce.msn = aeth.msn.value();
  }
  if (opcode.has(RoceExtension::kAtomicAck)) roce.original = take<be64>(rest).value();
  if (opcode.has(RoceExtension::kImmediate)) {
    roce.immediate = std::bit_cast<std::uint32_t>(take<ImmediateHeader>(rest).bytes);
  }
  if (opcode.has(RoceExtension::kInvalidate)) roce.invalidate_key = take<be32>(rest).value();
}

void emit_extensions(const RoceOpcode& opcode, const Roce& roce, MutableBytes rest) {
  if (opcode.has(RoceExtension::kDeth)) {
    put(DethHeader{.qkey = be32(roce.qkey), .reserved = 0, .source_qp = be24(roce.source_qp)},
        rest);
  }
  if (opcode.has(RoceExtension::kReth)) {
    put(
        RethHeader{
            .address = be64(roce.address), .rkey = be32(roce.rkey), .length = be32(roce.length)},
        rest);
  }
  if (opcode.has(RoceExtension::kAtomic)) {
    put(AtomicHeader{.address = be64(roce.address),
                     .rkey = be32(roce.rkey),
                     .swap_add = be64(roce.swap_add),
                     .compare = be64(roce.compare)},
        rest);
  }
  if (opcode.has(RoceExtension::kAeth)) {
    put(AethHeader{.syndrome = roce.syndrome, .msn = be24(roce.msn)}, rest);
  }
  if (opcode.has(RoceExtension::kAtomicAck)) put(be64(roce.original), rest);
  if (opcode.has(RoceExtension::kImmediate)) {
    put(ImmediateHeader{std::bit_cast<RawImmediate>(roce.immediate)}, rest);
  }
  if (opcode.has(RoceExtension::kInvalidate)) put(be32(roce.invalidate_key), rest);
}

}  // namespace

Parsed<Roce> parse_roce(Bytes head, std::size_t size) {
  if (size < kBthSize + kIcrcSize) return drop(DropReason::kRoceShort);
  if (head.size() < kBthSize) return drop(DropReason::kHeadersScattered);
  const auto& bth = view_as<BthHeader>(head);
  const RoceOpcode& opcode = roce_opcode(bth.opcode);
  if ((bth.flags & BthHeader::kVersionMask) != 0) return drop(DropReason::kRoceVersion);
  if (!opcode.valid()) return drop(DropReason::kRoceOpcode);
  if (size < opcode.header_size + kIcrcSize) return drop(DropReason::kRoceShort);
  if (head.size() < opcode.header_size) return drop(DropReason::kHeadersScattered);
  Roce roce{.opcode = bth.opcode,
            .solicited = (bth.flags & BthHeader::kSolicited) != 0,
            .migrated = (bth.flags & BthHeader::kMigrated) != 0,
            .pad = static_cast<std::uint8_t>(bth.pad()),
            .pkey = bth.pkey.value(),
            .fecn = (bth.congestion & BthHeader::kFecn) != 0,
            .becn = (bth.congestion & BthHeader::kBecn) != 0,
            .ack_request = (bth.acknowledge & BthHeader::kAckRequest) != 0,
            .qp = bth.qp.value(),
            .psn = bth.psn.value()};
  parse_extensions(opcode, head.subspan(kBthSize), roce);
  return roce;
}

std::size_t emit(const Roce& roce, MutableBytes out) {
  const RoceOpcode& opcode = roce_opcode(roce.opcode);
  CHECK(opcode.valid(), "opcode {:#x}", roce.opcode);
  unsigned flags = static_cast<unsigned>(roce.pad) << 4;
  if (roce.solicited) flags |= BthHeader::kSolicited;
  if (roce.migrated) flags |= BthHeader::kMigrated;
  unsigned congestion = 0;
  if (roce.fecn) congestion |= BthHeader::kFecn;
  if (roce.becn) congestion |= BthHeader::kBecn;
  view_as<BthHeader>(out) = {
      .opcode = roce.opcode,
      .flags = static_cast<std::uint8_t>(flags),
      .pkey = be16(roce.pkey),
      .congestion = static_cast<std::uint8_t>(congestion),
      .qp = be24(roce.qp),
      .acknowledge = roce.ack_request ? BthHeader::kAckRequest : std::uint8_t{0},
      .psn = be24(roce.psn)};
  emit_extensions(opcode, roce, out.subspan(kBthSize));
  return opcode.header_size;
}

}  // namespace tideline::wire
