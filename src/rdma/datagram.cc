// SPDX-License-Identifier: Apache-2.0
// The receiving side of UD: IBA 9.8.3.
#include <algorithm>
#include <array>
#include <cstring>

#include "rdma/finish.h"
#include "rdma/responder.h"
#include "rdma/transfer.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/protocol.h"
#include "wire/roce.h"
#include "wire/udp.h"

namespace tideline::rdma {
namespace {

constexpr std::uint32_t kGrhSize = 40;
using Grh = std::array<std::byte, kGrhSize>;

// Annex A17.4.5.1: a GRH or an IPv6 header as it came; an IPv4 header in the last 20 bytes. What
// came without one is told as if it had.
Grh grh_of(Incoming& in) {
  Grh grh{};
  if (in.ip_size > 0) {
    const std::size_t size = std::min<std::size_t>(in.ip_size, kGrhSize);
    const std::size_t at = in.ip_size >= kGrhSize ? 0 : kGrhSize - size;
    const auto head = in.packet.first().bytes().subspan(in.ip_at, size);
    std::memcpy(grh.data() + at, head.data(), size);
    return grh;
  }
  const bool v1 = in.type == GidType::kRoceV1;
  const std::size_t payload = (v1 ? 0 : sizeof(wire::UdpHeader)) + in.info().header_size +
                              in.payload_size + wire::kIcrcSize;
  if (in.destination.is_mapped() && !v1) {
    wire::emit(wire::Ipv4{.traffic_class = in.traffic_class,
                          .total_length = static_cast<std::uint16_t>(20 + payload),
                          .ttl = in.hop_limit,
                          .protocol = wire::kProtocolUdp,
                          .source = in.source.mapped_ipv4(),
                          .destination = in.destination.mapped_ipv4()},
               std::span(grh).last(20));
  } else {
    wire::emit(wire::Ipv6{.traffic_class = in.traffic_class,
                          .payload_length = static_cast<std::uint16_t>(payload),
                          .next_header = v1 ? wire::kProtocolGrh : wire::kProtocolUdp,
                          .hop_limit = in.hop_limit,
                          .source = in.source,
                          .destination = in.destination},
               grh);
  }
  return grh;
}

NetworkHeader header_of(const Incoming& in) {
  if (in.type == GidType::kRoceV1) return NetworkHeader::kGrh;
  return in.destination.is_mapped() ? NetworkHeader::kIpv4 : NetworkHeader::kIpv6;
}

}  // namespace

// What cannot be received is lost without a word, but for what our own program did wrong.
void receive_datagram(Core& core, QueuePair& qp, Incoming& in, Instant now) {
  if (in.headers.qkey != qp.attributes.qkey) {
    core.counters.add(Counter::kDropQkey);
    return;
  }
  const bool fits = in.is_pad_valid() && in.size() <= qp.mtu;
  if (!fits || !take_receive(qp)) {
    core.counters.add(Counter::kDropMessage);
    return;
  }
  const ReceiveWqe& wqe = qp.responder.receive;
  const std::span<const Sge> sges(wqe.sges.data(), wqe.sge_count);
  const std::uint32_t size = kGrhSize + in.size();
  Received received{.flags = WcFlags::kGrh,
                    .byte_len = size,
                    .src_qp = in.headers.source_qp,
                    .solicited = in.headers.solicited,
                    .header = header_of(in)};
  if (in.info().has(wire::RoceExtension::kImmediate)) {
    received.flags |= WcFlags::kImmediate;
    received.immediate = in.headers.immediate;
  }
  if (size > wqe.length) {
    received.status = WcStatus::kLocalLength;
  } else if (!scatter_bytes(core, *qp.pd, sges, 0, grh_of(in)) ||
             !scatter(core, *qp.pd, sges, kGrhSize, in.payload(), in.size())) {
    received.status = WcStatus::kLocalProtection;
  }
  if (received.status == WcStatus::kSuccess) {
    ++qp.counters.messages;
    qp.counters.message_bytes += in.size();
  }
  complete_receive(core, qp, received, now);
  if (received.status != WcStatus::kSuccess) enter_error(core, qp, now);
}

}  // namespace tideline::rdma
