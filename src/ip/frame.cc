// SPDX-License-Identifier: Apache-2.0
#include "ip/frame.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "packet/copy.h"
#include "wire/ethernet.h"

namespace tideline::ip {

using packet::Checksum;
using packet::Packet;
using packet::PacketPtr;
using packet::Segment;

namespace {

// As much as any chain of headers that a peer may reasonably send.
constexpr std::size_t kHeadersSize = 256;

bool exhausted(PacketPtr& packet, Context& context) {
  context.drops.count(Discard::kPoolExhausted);
  packet.reset();
  return false;
}

}  // namespace

wire::MutableBytes prepend_header(PacketPtr& packet, std::size_t size, Context& context) {
  std::byte* front = packet->prepend(size);
  if (front == nullptr) {
    PacketPtr head = context.pool.get();
    if (head == nullptr) {
      exhausted(packet, context);
      return {};
    }
    head->meta() = packet->meta();
    front = head->append(size);
    head->append(std::move(packet));
    packet = std::move(head);
  }
  packet::Offload& offload = packet->meta().offload;
  if (offload.checksum == Checksum::kNeeded) {
    offload.checksum_start = static_cast<std::uint16_t>(offload.checksum_start + size);
  }
  if (offload.gso != packet::Gso::kNone) {
    offload.header_length = static_cast<std::uint16_t>(offload.header_length + size);
  }
  return {front, size};
}

bool own_front(PacketPtr& packet, std::size_t size, Context& context) {
  if (packet->size() < size) return exhausted(packet, context);
  if (!packet->first().borrowed() && packet->pull_front(size, context.passes)) return true;
  PacketPtr head = context.pool.get();
  if (head == nullptr) return exhausted(packet, context);
  head->meta() = packet->meta();
  std::byte* front = head->append(size);
  if (front == nullptr) return exhausted(packet, context);
  packet::copy_out(*packet, 0, {front, size}, context.passes);
  packet->trim_front(size);
  if (packet->size() > 0) head->append(std::move(packet));
  packet = std::move(head);
  return true;
}

void gather_headers(Packet& packet, Context& context) {
  const Segment& first = packet.first();
  const std::size_t here = first.bytes().size();
  if (here >= kHeadersSize || here == packet.size()) return;
  packet.pull_front(std::min({kHeadersSize, packet.size(), here + first.tailroom()}),
                    context.passes);
}

wire::QuotedTransport quote_transport(const Packet& packet, std::size_t offset,
                                      packet::PassCounter& passes) {
  std::array<std::byte, sizeof(wire::QuotedTransport)> bytes{};
  const std::size_t size = std::min(bytes.size(), packet.size() - std::min(offset, packet.size()));
  packet::copy_out(packet, offset, std::span(bytes).first(size), passes);
  return wire::view_as<wire::QuotedTransport>(wire::Bytes(bytes));
}

wire::Bytes behind_transport(const Packet& packet, std::size_t offset) {
  const wire::Bytes first = packet.first().bytes();
  return first.subspan(std::min(first.size(), offset + sizeof(wire::QuotedTransport)));
}

namespace {

bool prepend_ethernet(PacketPtr& packet, const wire::MacAddress& to, std::uint16_t ether_type,
                      Context& context) {
  wire::Ethernet ethernet{.destination = to, .source = context.mac, .ether_type = ether_type};
  if (context.vlan) {
    ethernet.tag_count = 1;
    ethernet.tags[0].tci = *context.vlan;
  }
  const wire::MutableBytes header = prepend_header(packet, ethernet.header_size(), context);
  if (header.empty()) return false;
  wire::emit(ethernet, header);
  return true;
}

}  // namespace

void transmit(PacketPtr packet, const wire::MacAddress& to, std::uint16_t ether_type,
              Context& context, Instant now) {
  if (prepend_ethernet(packet, to, ether_type, context)) {
    context.output.transmit(std::move(packet), now);
  }
}

Sent loop_back(PacketPtr packet, std::uint16_t ether_type, Context& context, Instant now) {
  if (!prepend_ethernet(packet, context.mac, ether_type, context)) {
    return std::unexpected(Discard::kPoolExhausted);
  }
  if (context.loopback.put(std::move(packet), now)) return {};
  return context.drops.refuse(Discard::kLoopbackFull);
}

}  // namespace tideline::ip
