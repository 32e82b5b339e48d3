// SPDX-License-Identifier: Apache-2.0
#include "wire/tcp.h"

namespace tideline::wire {

// Fills the one result in place: a Tcp that is copied into an expected costs more than its parsing.
Parsed<Tcp> parse_tcp(Bytes segment) {
  Parsed<Tcp> tcp;
  const auto header_size = check_tcp(segment, segment.size());
  if (!header_size) {
    tcp = drop(header_size.error());
    return tcp;
  }
  const auto& header = view_as<TcpHeader>(segment);
  tcp->source_port = header.source_port.value();
  tcp->destination_port = header.destination_port.value();
  tcp->sequence_number = header.sequence_number.value();
  tcp->acknowledgment_number = header.acknowledgment_number.value();
  tcp->flags = header.flags();
  tcp->window = header.window.value();
  tcp->checksum = header.checksum.value();
  tcp->urgent_pointer = header.urgent_pointer.value();
  if (*header_size > sizeof(TcpHeader)) {
    const Bytes options = segment.first(*header_size).subspan(sizeof(TcpHeader));
    const auto parsed = parse_tcp_options(options, (tcp->flags & kTcpSyn) != 0, tcp->options);
    if (!parsed) tcp = drop(parsed.error());
  }
  return tcp;
}

Parsed<void> check_tcp_checksum(const PartialChecksum& sum) {
  if (!sum.valid()) return drop(DropReason::kTcpChecksum);
  return {};
}

std::size_t emit(const Tcp& tcp, MutableBytes out) {
  const std::size_t header_size = tcp.header_size();
  CHECK(out.size() >= header_size, "{} bytes for {}", out.size(), header_size);
  view_as<TcpHeader>(out) = {
      .source_port = be16(tcp.source_port),
      .destination_port = be16(tcp.destination_port),
      .sequence_number = be32(tcp.sequence_number),
      .acknowledgment_number = be32(tcp.acknowledgment_number),
      .offset_flags =
          be16(static_cast<std::uint16_t>((header_size / 4) << 12 | (tcp.flags & kTcpFlagMask))),
      .window = be16(tcp.window),
      .checksum = be16(tcp.checksum),
      .urgent_pointer = be16(tcp.urgent_pointer)};
  emit(tcp.options, out.subspan(sizeof(TcpHeader)));
  return header_size;
}

}  // namespace tideline::wire
