// SPDX-License-Identifier: Apache-2.0
#include "tcp/transmit.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>

#include "tcp/authentication.h"
#include "tcp/ecn.h"
#include "tcp/fast_open.h"
#include "tcp/receiver.h"
#include "wire/checksum.h"
#include "wire/protocol.h"

namespace tideline::tcp {
namespace {

using packet::PacketPtr;

// Less is copied behind the header: cheaper than a loan, and the owner gets its room back at once.
constexpr std::size_t kCopyLimit = 256;
constexpr std::uint8_t kEct0 = 2;

static_assert(alignof(Tcb) > 1);

// A frame that borrowed from the send buffer is gone: transmitted, or dropped. `context` is the TCB
// with the loan's turn in its lowest bit.
void loan_returned(void* context, std::span<const std::byte> memory) {
  const std::size_t turn = reinterpret_cast<std::uintptr_t>(context) & 1;
  Tcb& tcb = *reinterpret_cast<Tcb*>(static_cast<std::byte*>(context) - turn);
  --tcb.loans[turn];
  tcb.lent_bytes -= static_cast<std::uint32_t>(memory.size());
  mark_pending(*tcb.core, tcb);
}

// Chains `size` bytes from the send buffer behind `packet`. False if loans lack.
bool lend_payload(Core& core, Tcb& tcb, PacketPtr& packet, std::uint64_t offset, std::size_t size) {
  void* context = reinterpret_cast<std::byte*>(&tcb) + tcb.loan_turn;
  while (size > 0) {
    const auto piece = tcb.attachment.send->at(offset, size);
    PacketPtr loan =
        core.pool.lend({.memory = piece, .release = loan_returned, .context = context});
    if (loan == nullptr) return false;
    ++tcb.loans[tcb.loan_turn];
    tcb.lent_bytes += static_cast<std::uint32_t>(piece.size());
    packet->append(std::move(loan));
    offset += piece.size();
    size -= piece.size();
  }
  return true;
}

void copy_payload(Core& core, const Tcb& tcb, packet::Packet& packet, std::uint64_t offset,
                  std::size_t size) {
  core.passes.add(packet::Pass::kCopy, size);
  std::byte* to = packet.append(size);
  while (size > 0) {
    const auto piece = tcb.attachment.send->at(offset, size);
    std::memcpy(to, piece.data(), piece.size());
    to += piece.size();
    offset += piece.size();
    size -= piece.size();
  }
}

// With `size` bytes from there, and room for headers. Null, and counted, if memory lacks.
PacketPtr payload_packet(Core& core, Tcb& tcb, std::uint64_t offset, std::size_t size) {
  PacketPtr packet = core.pool.get();
  if (packet != nullptr && size > 0) {
    if (size <= kCopyLimit) {
      copy_payload(core, tcb, *packet, offset, size);
    } else if (!lend_payload(core, tcb, packet, offset, size)) {
      packet.reset();
    }
  }
  if (packet == nullptr) core.counters.count(Discard::kPoolExhausted);
  return packet;
}

// The sum of the pseudo-header stands in the checksum field: the rest is offloaded.
void prepend_header(const Tuple& tuple, wire::Tcp& header, packet::Packet& packet) {
  const std::size_t size = header.header_size();
  const auto length = static_cast<std::uint32_t>(size + packet.size());
  const auto sum = tuple.is_ipv4() ? wire::pseudo_header(tuple.local.address.mapped_ipv4(),
                                                         tuple.remote.address.mapped_ipv4(),
                                                         wire::kProtocolTcp, length)
                                   : wire::pseudo_header(tuple.local.address, tuple.remote.address,
                                                         wire::kProtocolTcp, length);
  header.source_port = tuple.local.port;
  header.destination_port = tuple.remote.port;
  header.checksum = sum.folded();
  std::byte* front = packet.prepend(size);
  CHECK(front != nullptr, "no headroom for {} bytes", size);
  wire::emit(header, {front, size});
  packet::Offload& offload = packet.meta().offload;
  offload.checksum = packet::Checksum::kNeeded;
  offload.checksum_offset = offsetof(wire::TcpHeader, checksum);
  offload.header_length = static_cast<std::uint16_t>(size);
}

IpMarks marks_of(const Tcb& tcb, std::uint8_t ecn) {
  return {.traffic_class = static_cast<std::uint8_t>((tcb.options.traffic_class & ~3) | ecn),
          .hop_limit = tcb.options.hop_limit};
}

void hand_down(Core& core, const Tuple& tuple, PacketPtr packet, const IpMarks& marks,
               Instant now) {
  ++core.counters.segments_out;
  const ip::Departure departure{.source = tuple.local.address,
                                .destination = tuple.remote.address,
                                .protocol = wire::kProtocolTcp,
                                .hop_limit = marks.hop_limit,
                                .traffic_class = marks.traffic_class,
                                .may_fragment = false};
  if (!core.network.send(std::move(packet), departure, now)) {
    core.counters.count(Discard::kNetworkRefused);
  }
}

// What every segment of a synchronized connection carries.
wire::Tcp connection_header(const Tcb& tcb, Instant now) {
  wire::Tcp header{.acknowledgment_number = tcb.rcv_nxt.value(), .flags = wire::kTcpAck};
  if (tcb.timestamps_on) {
    header.options.timestamps = {.value = timestamp(tcb, now), .echo = tcb.ts_recent};
  }
  add_sack_blocks(tcb, header.options);
  if (tcb.authentication != nullptr) add_authentication(tcb, header.options);
  return header;
}

void acknowledged_now(Tcb& tcb, Instant now) {
  tcb.ack_now = tcb.ack_delayed = false;
  tcb.unacked_bytes = 0;
  tcb.dsack = {};
  if (tcb.last_ack_sent != tcb.rcv_nxt && tcb.quick_acks > 0) --tcb.quick_acks;
  tcb.last_ack_sent = tcb.rcv_nxt;
  tcb.last_sent = now;
  disarm(tcb, Timer::kDelayedAck);
  ++tcb.segments_out;
}

// PSH: at the end of what was written, and of a record; and behind a frame of many segments, for
// who joins them again need not wait for more.
bool is_pushed(const Tcb& tcb, std::uint64_t offset, std::uint32_t size, std::uint32_t segment) {
  const std::uint64_t end = offset + size;
  return size > segment || (end == tcb.write_end && !tcb.more_was_said) ||
         end == tcb.attachment.send->record_end(end - 1);
}

std::uint32_t ip_header(const Tcb& tcb) { return tcb.tuple.is_ipv4() ? 20 : 40; }

// New data is ECN-capable: RFC 3168 §6.1.5. Of DCTCP every segment is, for the queues that mark
// drop what is not: RFC 8257 §3.6.
std::uint8_t ecn_field(const Tcb& tcb, bool new_data) {
  const bool always = tcb.options.congestion == CongestionAlgorithm::kDctcp;
  return (new_data || always) && sends_ect(tcb) ? kEct0 : 0;
}

// RFC 9293 §3.8.5, MUST-30, MUST-62, as all senders have it: the pointer is to the byte behind the
// last urgent one, of a segment that begins before that (RFC 6093 §3.1).
void point_at_urgent(const Tcb& tcb, std::uint64_t offset, wire::Tcp& header) {
  if (!tcb.is_urgent() || tcb.snd_up <= offset) return;
  header.flags |= wire::kTcpUrg;
  header.urgent_pointer =
      static_cast<std::uint16_t>(std::min<std::uint64_t>(tcb.snd_up - offset, UINT16_MAX));
}

void send_bare(Core& core, Tcb& tcb, Seq seq, std::uint16_t flags, Instant now) {
  PacketPtr packet = core.pool.get();
  if (packet == nullptr) {
    core.counters.count(Discard::kPoolExhausted);
    return;
  }
  wire::Tcp header = connection_header(tcb, now);
  header.sequence_number = seq.value();
  header.flags = static_cast<std::uint16_t>(flags | ecn_flags(tcb));
  add_ecn_option(tcb, false, header.options);
  if (has_accurate_ecn(tcb) && std::exchange(tcb.accurate_ecn->answers_syn, false)) {
    header.flags = static_cast<std::uint16_t>(flags | ecn_flags_of_answer(tcb));
  }
  note_ecn_told(tcb, header.options.accurate_ecn.has_value());
  if (seq == tcb.snd_nxt && (flags & wire::kTcpRst) == 0) {
    point_at_urgent(tcb, tcb.snd_offset(seq), header);
  }
  header.window = announce_window(tcb);
  prepend_header(tcb.tuple, header, *packet);
  if (tcb.authentication != nullptr) sign(core, tcb, header, *packet);
  acknowledged_now(tcb, now);
  hand_down(core, tcb.tuple, std::move(packet), marks_of(tcb, ecn_field(tcb, false)), now);
}

}  // namespace

std::uint32_t segment_payload(const Tcb& tcb) {
  wire::TcpOptions options;
  if (tcb.timestamps_on) options.timestamps.emplace();
  if (tcb.authentication != nullptr) add_authentication(tcb, options);
  const auto always = static_cast<std::uint32_t>(wire::emitted_size(options));
  add_sack_blocks(tcb, options);
  const auto now = static_cast<std::uint32_t>(wire::emitted_size(options));
  return tcb.mss - (now - always);
}

std::uint32_t frame_payload(const Core& core, const Tcb& tcb) {
  const std::uint32_t segment = segment_payload(tcb);
  // What is cut later cannot be signed now.
  if (tcb.authentication != nullptr || !core.network.takes_gso(tcb.tuple.is_ipv4())) return segment;
  constexpr std::uint32_t kMaxTcpHeader = 60;
  const std::uint32_t most = wire::kMaxDatagram - ip_header(tcb) - kMaxTcpHeader;
  return most / segment * segment;
}

bool send_range(Core& core, Tcb& tcb, Seq begin, Seq end, std::uint32_t segment,
                std::uint16_t flags, Instant now) {
  const bool fin = (flags & wire::kTcpFin) != 0;
  const std::uint32_t size = end - begin - (fin ? 1 : 0);
  const std::uint64_t offset = tcb.snd_offset(begin);
  PacketPtr packet = payload_packet(core, tcb, offset, size);
  if (packet == nullptr) return false;
  const bool again = begin < tcb.snd_nxt;
  wire::Tcp header = connection_header(tcb, now);
  header.sequence_number = begin.value();
  header.flags = static_cast<std::uint16_t>(header.flags | flags | ecn_flags(tcb));
  note_ecn_told(tcb, false);
  const bool new_data = size > 0 && !again;
  if (new_data && std::exchange(tcb.snd_cwr, false)) header.flags |= wire::kTcpCwr;
  header.window = announce_window(tcb);
  if (size > 0 && is_pushed(tcb, offset, size, segment)) header.flags |= wire::kTcpPsh;
  point_at_urgent(tcb, offset, header);
  prepend_header(tcb.tuple, header, *packet);
  if (tcb.authentication != nullptr) sign(core, tcb, header, *packet);
  if (size > segment) {
    packet::Offload& offload = packet->meta().offload;
    offload.gso = tcb.tuple.is_ipv4() ? packet::Gso::kTcpV4 : packet::Gso::kTcpV6;
    offload.gso_size = static_cast<std::uint16_t>(segment);
    offload.gso_ecn = !has_accurate_ecn(tcb) && (header.flags & wire::kTcpCwr) != 0;
  }
  acknowledged_now(tcb, now);
  const std::uint32_t segments = segments_of(size, segment);
  tcb.bytes_sent += size;
  tcb.segments_out += segments - 1;
  if (size > 0) tcb.data_segments_out += segments;
  if (again) {
    Incidents& incidents = incidents_of(tcb);
    incidents.bytes_retransmitted += size;
    incidents.segments_retransmitted += segments;
    ++core.counters.retransmissions;
  }
  hand_down(core, tcb.tuple, std::move(packet), marks_of(tcb, ecn_field(tcb, new_data)), now);
  return true;
}

void send_ack(Core& core, Tcb& tcb, Instant now) {
  send_bare(core, tcb, tcb.snd_nxt, wire::kTcpAck, now);
}

void send_probe(Core& core, Tcb& tcb, Instant now) {
  send_bare(core, tcb, tcb.snd_una - 1, wire::kTcpAck, now);
}

void send_challenge(Core& core, Tcb& tcb, Instant now) {
  if (now - core.challenge_since >= std::chrono::seconds(1)) {
    core.challenge_since = now;
    // Half to all of the limit, at random: who counts our answers learns nothing (CVE-2016-5696).
    const std::uint32_t half = core.config.challenge_acks_per_second / 2;
    core.challenges_left = half + static_cast<std::uint32_t>(core.rng.below(half + 1));
  }
  if (core.challenges_left == 0 || now - tcb.last_challenge < core.config.challenge_interval) {
    core.counters.count(Discard::kChallengeLimited);
    return;
  }
  --core.challenges_left;
  tcb.last_challenge = now;
  send_ack(core, tcb, now);
}

void send_reset(Core& core, Tcb& tcb, Instant now) {
  ++core.counters.resets_out;
  send_bare(core, tcb, tcb.snd_nxt, wire::kTcpRst | wire::kTcpAck, now);
}

bool asks_for_ecn(const Core& core, const Tcb& tcb) {
  return core.config.ecn || core.config.accurate_ecn ||
         tcb.options.congestion == CongestionAlgorithm::kDctcp;
}

namespace {

// Moves rcv_adv, if it answers.
wire::Tcp syn_header(Core& core, Tcb& tcb, Instant now) {
  const bool answer = tcb.state == State::kSynReceived || tcb.syn_ack_owed;
  wire::Tcp header{.sequence_number = tcb.iss.value(), .flags = wire::kTcpSyn};
  if (answer) {
    header.flags |= wire::kTcpAck;
    header.acknowledgment_number = tcb.rcv_nxt.value();
  }
  header.flags |= ecn_flags_of_syn(core, tcb, answer);
  const std::uint32_t room =
      tcb.path_mtu - ip_header(tcb) - static_cast<std::uint32_t>(sizeof(wire::TcpHeader));
  header.options.mss = static_cast<std::uint16_t>(
      tcb.options.max_segment == 0 ? room : std::min<std::uint32_t>(room, tcb.options.max_segment));
  if (answer ? tcb.timestamps_on : core.config.timestamps) {
    header.options.timestamps = {.value = timestamp(tcb, now), .echo = answer ? tcb.ts_recent : 0};
  }
  if (answer ? tcb.wscale_on : core.config.window_scaling) {
    header.options.window_scale = window_scale(core.config);
  }
  header.options.sack_permitted = answer ? tcb.sack_on : core.config.sack;
  if (answer && tcb.gives_cookie) header.options.fast_open = fast_open_cookie(core, tcb.tuple);
  if (!answer && tcb.fast_syn) header.options.fast_open.emplace();  // asks for one
  if (tcb.authentication != nullptr) add_authentication(tcb, header.options);
  if (answer) {
    add_ecn_option(tcb, true, header.options);
    if (has_accurate_ecn(tcb)) ++tcb.accurate_ecn->syn_acks;
  }
  // The window of a SYN is not scaled: RFC 7323 §2.2.
  const std::uint32_t granted = tcb.syn_ack_owed ? tcb.rcv_wnd() : core.config.initial_window;
  const std::uint32_t window = std::min<std::uint32_t>(granted, 65535);
  header.window = static_cast<std::uint16_t>(window);
  if (answer) {
    tcb.rcv_adv = tcb.rcv_nxt + window;
    tcb.last_ack_sent = tcb.rcv_nxt;
  }
  return header;
}

// Marks are seen by queues on the way already: RFC 8257 §3.6.
std::uint8_t ecn_of_syn(const Tcb& tcb, const wire::Tcp& header) {
  const bool dctcp = tcb.options.congestion == CongestionAlgorithm::kDctcp;
  return dctcp && (header.flags & wire::kTcpEce) != 0 ? kEct0 : 0;
}

}  // namespace

void send_syn(Core& core, Tcb& tcb, Instant now) {
  wire::Tcp header = syn_header(core, tcb, now);
  ++tcb.segments_out;
  tcb.last_sent = now;
  PacketPtr packet = core.pool.get();
  if (packet == nullptr) {
    core.counters.count(Discard::kPoolExhausted);
    return;
  }
  prepend_header(tcb.tuple, header, *packet);
  if (tcb.authentication != nullptr) sign(core, tcb, header, *packet);
  hand_down(core, tcb.tuple, std::move(packet), marks_of(tcb, ecn_of_syn(tcb, header)), now);
}

std::uint32_t send_syn_with_data(Core& core, Tcb& tcb, const wire::FastOpenCookie& cookie,
                                 Instant now) {
  wire::Tcp header = syn_header(core, tcb, now);
  header.options.fast_open = cookie;
  const auto options = static_cast<std::uint32_t>(wire::emitted_size(header.options));
  const auto size =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(tcb.write_end, tcb.mss - options));
  PacketPtr packet = payload_packet(core, tcb, 0, size);
  ++tcb.segments_out;
  tcb.last_sent = tcb.last_data_sent = now;
  if (packet == nullptr) return 0;  // as if it were lost
  tcb.bytes_sent += size;
  ++tcb.data_segments_out;
  prepend_header(tcb.tuple, header, *packet);
  hand_down(core, tcb.tuple, std::move(packet), marks_of(tcb, ecn_of_syn(tcb, header)), now);
  return size;
}

void answer_with_reset(Core& core, const Segment& segment, Instant now) {
  if (segment.has(wire::kTcpRst)) return;
  ++core.counters.resets_out;
  wire::Tcp header{.flags = wire::kTcpRst};
  if (segment.has(wire::kTcpAck)) {
    header.sequence_number = segment.ack.value();
  } else {
    header.flags |= wire::kTcpAck;
    header.acknowledgment_number = segment.end().value();
  }
  send_header(core, segment.tuple, header, now);
}

void send_header(Core& core, const Tuple& tuple, wire::Tcp header, Instant now,
                 const IpMarks& marks) {
  PacketPtr packet = core.pool.get();
  if (packet == nullptr) {
    core.counters.count(Discard::kPoolExhausted);
    return;
  }
  prepend_header(tuple, header, *packet);
  hand_down(core, tuple, std::move(packet), marks, now);
}

void release_acknowledged(Core& core, Tcb& tcb) {
  if (tcb.attachment.send == nullptr) return;
  const std::uint8_t older = tcb.loan_turn ^ 1;
  if (tcb.loans[older] > 0) return;
  // Frames of this turn borrow nothing before release_at; from here on, new ones nothing before
  // una_offset.
  std::uint64_t until = tcb.release_at;
  tcb.release_at = tcb.una_offset;
  tcb.loan_turn = older;
  if (tcb.loans[older ^ 1] == 0) until = tcb.una_offset;
  if (until <= tcb.released) return;
  tcb.released = until;
  // Twice the congestion window, so that it can grow: RFC 9293 leaves the size to us.
  if (2 * tcb.congestion.cwnd > tcb.snd_wanted) {
    tcb.snd_wanted = 2 * tcb.congestion.cwnd;
    tcb.attachment.send->want(tcb.snd_wanted);
  }
  tcb.attachment.send->release(until);
  tcb.events.writable = true;
  mark_pending(core, tcb);
}

}  // namespace tideline::tcp
