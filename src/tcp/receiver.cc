// SPDX-License-Identifier: Apache-2.0
#include "tcp/receiver.h"

#include <algorithm>
#include <array>
#include <utility>

#include "tcp/bypass.h"
#include "tcp/transmit.h"

namespace tideline::tcp {
namespace {

// RFC 7323 §5.5: a timestamp is believed for 24 days.
constexpr Duration kTimestampLife = std::chrono::hours(24 * 24);
constexpr std::uint32_t kMostWindow = 1U << 30;
constexpr std::uint8_t kQuickAcksAfterHole = 16;

// Where the window could end, given the room in the buffer.
Seq possible_edge(Tcb& tcb) {
  if (tcb.attachment.receive == nullptr || tcb.fin_received) return tcb.rcv_adv;
  const std::uint64_t limit = tcb.attachment.receive->limit();
  const std::uint64_t room = limit > tcb.rcv_offset ? limit - tcb.rcv_offset : 0;
  const auto window = static_cast<std::uint32_t>(std::min<std::uint64_t>(room, kMostWindow));
  tcb.rcv_space = std::max(tcb.rcv_space, window);
  return max(tcb.rcv_adv, tcb.rcv_nxt + window);
}

// RFC 7323 §5.3, R1: an old duplicate. RST passes, for its sender may have lost its clock.
bool fails_paws(const Tcb& tcb, const Segment& segment, Instant now) {
  if (!tcb.timestamps_on || !segment.options.timestamps) return false;
  const std::uint32_t value = segment.options.timestamps->value;
  return static_cast<std::int32_t>(value - tcb.ts_recent) < 0 &&
         now - tcb.ts_recent_at < kTimestampLife;
}

bool in_window(const Tcb& tcb, const Segment& segment) {
  const std::uint32_t length = segment.length();
  const std::uint32_t window = tcb.rcv_wnd();
  if (length == 0) {
    return window == 0 ? segment.seq == tcb.rcv_nxt
                       : segment.seq >= tcb.rcv_nxt && segment.seq < tcb.rcv_adv;
  }
  // A full window still takes acknowledgments, RST and URG that come with data: §3.10.7.4.
  if (window == 0) return segment.seq == tcb.rcv_nxt;
  return segment.seq < tcb.rcv_adv && segment.end() > tcb.rcv_nxt;
}

void owe_ack(Core& core, Tcb& tcb, Instant now) {
  if (tcb.ack_delayed) return;
  tcb.ack_delayed = true;
  arm(core, tcb, Timer::kDelayedAck, now + core.config.delayed_ack);
}

// RFC 5681 §4.2: at least every second full segment, and at once around holes.
void schedule_ack(Core& core, Tcb& tcb, const Segment& segment, Instant now) {
  const std::uint32_t unit = segment.gso_size != 0 ? segment.gso_size : segment.size;
  if (unit > tcb.rcv_mss) {
    tcb.rcv_mss = static_cast<std::uint16_t>(std::min<std::uint32_t>(unit, 65535 / 4));
  }
  tcb.unacked_bytes += segment.size;
  if (tcb.quick_acks > 0 || tcb.options.quick_ack || tcb.unacked_bytes >= 2U * tcb.rcv_mss) {
    tcb.ack_now = true;
  } else {
    owe_ack(core, tcb, now);
  }
}

// A round trip as the receiver sees it: bytes beyond a window that is told now come one later, or
// more; so the least counts. On long paths, where it may become longer, timestamps tell it, in
// milliseconds.
void measure_round(Tcb& tcb, const Segment& segment, Instant now) {
  if (tcb.timestamps_on && segment.options.timestamps) {
    constexpr std::uint32_t kGrain = 1;
    constexpr std::uint32_t kMost = 10'000;
    const std::uint32_t ago = timestamp(tcb, now) - segment.options.timestamps->echo;
    const Duration sample = std::chrono::milliseconds(ago - std::min(ago, kGrain));
    if (ago <= kMost) tcb.rcv_rtt_told += (sample - tcb.rcv_rtt_told) / 8;
  }
  if (tcb.rcv_round_at != Instant{}) {
    if (tcb.rcv_nxt < tcb.rcv_round_end) return;
    tcb.rcv_rtt = std::min(tcb.rcv_rtt, now - tcb.rcv_round_at);
  }
  tcb.rcv_round_at = now;
  tcb.rcv_round_end = max(tcb.rcv_adv, tcb.rcv_nxt + 1);
}

// Dynamic right-sizing: twice what the owner takes in a round trip lets the peer's window double in
// each, and is no more than a path and an owner of that pace can use.
void size_window(Tcb& tcb, Instant now) {
  if (tcb.rcv_rtt == Duration::max()) return;
  if (now - tcb.rcv_sized_at < std::max(tcb.rcv_rtt, tcb.rcv_rtt_told)) return;
  const std::uint64_t consumed = tcb.attachment.receive->consumed();
  const std::uint64_t taken = consumed - tcb.rcv_sized;
  tcb.rcv_sized_at = now;
  tcb.rcv_sized = consumed;
  constexpr std::uint64_t kMostTaken = UINT32_MAX;
  tcb.rcv_taken = std::max(tcb.rcv_taken, static_cast<std::uint32_t>(std::min(taken, kMostTaken)));
  const std::uint64_t wanted = 2 * taken + std::uint64_t{16} * tcb.rcv_mss;
  if (wanted > tcb.rcv_space) tcb.attachment.receive->want(wanted);
}

// Data that fills no hole at rcv_nxt: kept behind it, and told at once (RFC 5681 §4.2).
void receive_out_of_order(Core& core, Tcb& tcb, Segment& segment, Instant now) {
  tcb.quick_acks = std::max(tcb.quick_acks, kQuickAcksAfterHole);
  incidents_of(tcb).out_of_order += segment.count();
  wire::SackBlock duplicate;
  const Seq begin = segment.seq;
  const Seq end = begin + segment.size;
  const std::uint64_t offset = tcb.rcv_offset + (begin - tcb.rcv_nxt);
  if (!tcb.attachment.receive->put(offset, std::move(segment.payload), core.passes)) {
    core.counters.count(Discard::kNoMemory);
  } else if (!tcb.reassembly.add(core.ranges, core.config.max_out_of_order, begin, end,
                                 duplicate)) {
    core.counters.count(Discard::kOutOfOrderFull);
  }
  if (tcb.sack_on) tcb.dsack = duplicate;
  // Each one an acknowledgment of its own: a peer without SACK counts them.
  send_ack(core, tcb, now);
}

void receive_in_order(Core& core, Tcb& tcb, Segment& segment, Instant now) {
  if (!tcb.attachment.receive->put(tcb.rcv_offset, std::move(segment.payload), core.passes)) {
    core.counters.count(Discard::kNoMemory);
    return;
  }
  const Seq before = tcb.rcv_nxt;
  const bool hole = !tcb.reassembly.empty();
  const Seq end = before + segment.size;
  tcb.rcv_nxt = hole ? tcb.reassembly.advance(core.ranges, end) : end;
  tcb.is_rcv_up_known &= tcb.rcv_up >= tcb.rcv_nxt;
  tcb.rcv_offset += tcb.rcv_nxt - before;
  tcb.attachment.receive->publish(tcb.rcv_offset);
  tcb.events.readable = true;
  measure_round(tcb, segment, now);
  schedule_ack(core, tcb, segment, now);
  if (hole) tcb.ack_now = true;
}

}  // namespace

std::uint8_t window_scale(const Config& config) {
  std::uint8_t scale = 0;
  while (scale < wire::kMaxWindowScale && (config.max_receive_buffer >> scale) > 65535) ++scale;
  return scale;
}

std::uint16_t announce_window(Tcb& tcb) {
  Seq edge = tcb.rcv_adv;
  const Seq possible = possible_edge(tcb);
  // Silly windows are not told: RFC 9293 §3.8.6.2.2.
  if (possible - edge >= std::min<std::uint32_t>(tcb.rcv_mss, tcb.rcv_space / 2)) edge = possible;
  const std::uint32_t window = edge > tcb.rcv_nxt ? edge - tcb.rcv_nxt : 0;
  const std::uint32_t told = std::min<std::uint32_t>(window >> tcb.rcv_wscale, 65535);
  // What was granted stays so, where scaling rounds it down (RFC 7323 §2.4).
  tcb.rcv_adv = max(tcb.rcv_adv, tcb.rcv_nxt + (told << tcb.rcv_wscale));
  return static_cast<std::uint16_t>(told);
}

void window_may_open(Core& core, Tcb& tcb, Instant now) {
  if (!tcb.is_synchronized() || tcb.fin_received || tcb.attachment.receive == nullptr) return;
  if (resume_local(core, tcb)) return;
  size_window(tcb, now);
  const Seq possible = possible_edge(tcb);
  const std::uint32_t gain = possible - tcb.rcv_adv;
  // Of the window as it is now: it is smaller while memory is short.
  const ReceiveBuffer& buffer = *tcb.attachment.receive;
  const std::uint64_t space =
      std::min<std::uint64_t>(tcb.rcv_space, buffer.limit() - buffer.consumed());
  const bool much = gain >= 2U * tcb.rcv_mss && gain >= space / 4;
  if (much || (gain > 0 && gain >= space / 2)) send_ack(core, tcb, now);
}

bool is_acceptable(Core& core, Tcb& tcb, const Segment& segment, Instant now) {
  const bool reset = segment.has(wire::kTcpRst);
  if (!reset && fails_paws(tcb, segment, now)) {
    core.counters.count(Discard::kPaws);
    if (segment.length() > 0 && tcb.sack_on && segment.end() <= tcb.rcv_nxt) {
      tcb.dsack = {segment.seq.value(), segment.end().value()};
    }
    if (segment.size > 0) {
      send_ack(core, tcb, now);
    } else {
      send_challenge(core, tcb, now);
    }
    return false;
  }
  if (in_window(tcb, segment)) return true;
  core.counters.count(Discard::kOutOfWindow);
  if (reset) return false;
  if (segment.size > 0) {
    // RFC 2883 §4: what came again is told.
    tcb.quick_acks = std::max(tcb.quick_acks, kQuickAcksAfterHole);
    const Seq end = min(segment.end(), tcb.rcv_nxt);
    if (tcb.sack_on && segment.seq < end) tcb.dsack = {segment.seq.value(), end.value()};
    send_ack(core, tcb, now);
  } else {
    // Without data it may be a probe; two confused ends must not keep each other busy.
    if (segment.seq == tcb.rcv_nxt - 1) {
      send_ack(core, tcb, now);
    } else {
      send_challenge(core, tcb, now);
    }
  }
  return false;
}

void trim_to_window(Core& core, Tcb& tcb, Segment& segment) {
  if (segment.seq < tcb.rcv_nxt) {
    std::uint32_t before = tcb.rcv_nxt - segment.seq;
    if (segment.size > 0 && tcb.sack_on) {
      tcb.dsack = {segment.seq.value(), (segment.seq + std::min(before, segment.size)).value()};
    }
    tcb.ack_now = true;
    if (segment.has(wire::kTcpSyn)) {
      segment.flags &= static_cast<std::uint16_t>(~wire::kTcpSyn);
      segment.seq += 1;
      --before;
    }
    const std::uint32_t cut = std::min(before, segment.size);
    if (cut > 0) segment.payload->trim_front(cut);
    segment.size -= cut;
    segment.seq += cut;
  }
  const std::uint32_t room = tcb.rcv_adv > segment.seq ? tcb.rcv_adv - segment.seq : 0;
  if (segment.size <= room) return;
  core.counters.count(Discard::kBeyondWindow);
  tcb.ack_now = true;
  segment.flags &= static_cast<std::uint16_t>(~wire::kTcpFin);
  segment.size = room;
  if (room > 0) {
    segment.payload->truncate(room);
  } else {
    segment.payload.reset();
  }
}

// RFC 3168 §6.1.3: until CWR comes. RFC 8257 §3.2: what is acknowledged together was marked, or was
// not, as a whole; so a change is told at once, and what came before it by an ACK of its own.
void see_mark(Core& core, Tcb& tcb, const Segment& segment, Instant now) {
  if (tcb.options.congestion != CongestionAlgorithm::kDctcp) {
    if (segment.has(wire::kTcpCwr)) tcb.ece = false;
    if (segment.congestion_seen) tcb.ece = true;
    return;
  }
  if (segment.size == 0 || segment.congestion_seen == tcb.ece) return;
  if (tcb.last_ack_sent != tcb.rcv_nxt) send_ack(core, tcb, now);
  tcb.ece = segment.congestion_seen;
  tcb.ack_now = true;
}

void process_text(Core& core, Tcb& tcb, Segment& segment, Instant now) {
  if (segment.size == 0) return;
  // After the peer's FIN, more is an error of the peer's: ignored (§3.10.7.4).
  if (tcb.fin_received || tcb.attachment.receive == nullptr) return;
  tcb.last_data_received = now;
  // The buffer's room, should its owner have granted less than was told.
  const std::uint64_t end = tcb.rcv_offset + (segment.seq - tcb.rcv_nxt) + segment.size;
  if (end > tcb.attachment.receive->limit()) {
    core.counters.count(Discard::kBeyondWindow);
    return;
  }
  if (segment.seq == tcb.rcv_nxt) {
    receive_in_order(core, tcb, segment, now);
  } else {
    receive_out_of_order(core, tcb, segment, now);
  }
}

void process_fin(Core& core, Tcb& tcb, Instant /*now*/) {
  tcb.rcv_nxt += 1;
  tcb.rcv_adv = max(tcb.rcv_adv, tcb.rcv_nxt);
  tcb.fin_received = true;
  tcb.ack_now = true;
  tcb.reassembly.clear(core.ranges);
  tcb.events.peer_closed = true;
}

void add_sack_blocks(const Tcb& tcb, wire::TcpOptions& options) {
  if (!tcb.sack_on) return;
  std::size_t most = tcb.timestamps_on ? 3 : 4;
  if (tcb.authentication != nullptr) most -= 2;
  std::size_t first = 0;
  if (tcb.dsack.left != tcb.dsack.right) options.sack[first++] = tcb.dsack;
  options.sack_count = tcb.reassembly.blocks(options.sack, first, most);
  // A FIN behind a hole: whose last segments were lost need not wait for a time-out to hear of it.
  if (!tcb.fin_known || tcb.fin_received || tcb.fin_seq <= tcb.rcv_nxt) return;
  const std::uint32_t fin = tcb.fin_seq.value();
  for (std::size_t i = first; i < options.sack_count; ++i) {
    if (options.sack[i].right != fin) continue;
    options.sack[i].right = fin + 1;
    return;
  }
  if (options.sack_count < most) options.sack[options.sack_count++] = {fin, fin + 1};
}

}  // namespace tideline::tcp
