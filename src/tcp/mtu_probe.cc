// SPDX-License-Identifier: Apache-2.0
#include "tcp/mtu_probe.h"

#include <algorithm>
#include <array>

#include "tcp/sender.h"
#include "tcp/transmit.h"

namespace tideline::tcp {
namespace {

// RFC 8899 §5.1.2: MAX_PROBES. One lost probe may have met with congestion, or a bad link.
constexpr std::uint8_t kMaxProbes = 3;
// So many segments behind a probe tell of its loss: RFC 4821 §7.4.
constexpr std::uint32_t kFollowers = 3;
// R1 of RFC 9293 §3.8.3, SHLD-10: time-outs before the network is suspected.
constexpr std::uint8_t kFullStop = 3;
constexpr int kTimeoutPenalty = 5;  // §7.6.3: a time-out costs more, so the next waits for longer

// §7.3: what links and tunnels are known to have; the search asks for these before others. IPv6's
// least, WireGuard, mobile networks, PPPoE, tunnels, Ethernet, FDDI, jumbo frames.
constexpr std::array<std::uint16_t, 16> kCommon{1280, 1360, 1400, 1420, 1428, 1440, 1450, 1460,
                                                1472, 1480, 1492, 1500, 4352, 8166, 9000, 9216};

std::uint32_t bare_headers(const Tcb& tcb) {
  return (tcb.tuple.is_ipv4() ? 20 : 40) + static_cast<std::uint32_t>(sizeof(wire::TcpHeader));
}

// §7.1: the link's, or what ICMP has said, and what the peer and our owner want.
std::uint16_t upper_bound(const Tcb& tcb) {
  const std::uint32_t headers = bare_headers(tcb);
  std::uint32_t most = std::min<std::uint32_t>(tcb.path_mtu, tcb.peer_mss + headers);
  const std::uint32_t chosen = tcb.options.max_segment;
  if (chosen != 0) most = std::min(most, chosen + headers);
  return static_cast<std::uint16_t>(most);
}

// §7.2. What every IPv6 path carries needs no probe.
std::uint16_t base_mtu(const Core& core, const Tcb& tcb) {
  const std::uint16_t base =
      tcb.tuple.is_ipv4() ? core.config.base_mtu
                          : std::max<std::uint16_t>(core.config.base_mtu, wire::kIpv6MinimumMtu);
  return std::min(base, upper_bound(tcb));
}

// DEVIATES from §7.7, where it is 68 for IPv4: as with what ICMP says, nobody makes us send smaller
// packets than this.
std::uint16_t floor_mtu(const Tcb& tcb) {
  constexpr std::uint16_t kFloorIpv4 = 552;
  const std::uint16_t floor = tcb.tuple.is_ipv4() ? kFloorIpv4 : wire::kIpv6MinimumMtu;
  return std::min(floor, upper_bound(tcb));
}

bool is_complete(const MtuSearch& search) { return search.low >= search.high; }

void search_again_later(const Core& core, MtuSearch& search, Instant now) {
  if (is_complete(search)) search.raise_at = now + core.config.mtu_raise_time;
}

// §7.6.2: congestion that goes unheeded must be rarer than it would be anyway. The simplest guess
// of how rare that is: once in as many round trips as the window has packets.
Duration probe_interval(const Tcb& tcb) {
  const std::uint32_t packets = tcb.congestion.cwnd / std::max<std::uint32_t>(tcb.mss, 1);
  return tcb.srtt * std::max<std::int64_t>(packets, 1);
}

// §7.3: what nothing speaks against; then, of what is common, that which cuts the rest in halves
// best; then the middle. In (low, high].
std::uint16_t probe_size(const MtuSearch& search) {
  if (search.high_is_open) return search.high;
  const int middle = search.low + (search.high - search.low + 1) / 2;
  const auto distance = [&](std::uint16_t size) {
    return size > middle ? size - middle : middle - size;
  };
  std::uint16_t best = 0;
  for (const std::uint16_t size : kCommon) {
    if (size <= search.low || size > search.high) continue;
    if (best == 0 || distance(size) < distance(best)) best = size;
  }
  return best == 0 ? static_cast<std::uint16_t>(middle) : best;
}

// PMTU_RAISE_TIMER of RFC 8899 §5.1.1: paths grow, too, and nobody says so. Nothing waits for it:
// it is looked at when there is something to send.
bool may_search(Core& core, Tcb& tcb, Instant now) {
  MtuSearch& search = *tcb.mtu_search;
  if (!is_complete(search)) return now >= search.not_before;
  if (now < search.raise_at) return false;
  update_mss(core, tcb, now);
  search.high = upper_bound(tcb);
  search.high_is_open = true;
  search.losses = 0;
  search_again_later(core, search, now);
  return !is_complete(search);
}

// The probe's part of the scoreboard; null if it is acknowledged.
Range* find_probe(const Tcb& tcb) {
  for (Range* range = tcb.scoreboard.first(); range != nullptr; range = range->next) {
    if (range->end > tcb.mtu_search->begin) return range;
  }
  return nullptr;
}

// §7.6.1.
void succeed(Core& core, Tcb& tcb, Instant now) {
  MtuSearch& search = *tcb.mtu_search;
  search.low = std::max(search.low, search.size);
  search.high = std::max(search.low, search.high);
  search.size = 0;
  search.losses = 0;
  search_again_later(core, search, now);
  update_mss(core, tcb, now);
}

// One more of its size is lost; three are one too many.
void note_loss(Core& core, Tcb& tcb, Instant now) {
  MtuSearch& search = *tcb.mtu_search;
  ++search.lost;
  ++core.counters.mtu_probes_lost;
  if (++search.losses >= kMaxProbes) {
    const auto most = static_cast<std::uint16_t>(std::min<int>(search.high, search.size - 1));
    search.high = std::max(search.low, most);
    search.high_is_open = false;
    search.losses = 0;
    search_again_later(core, search, now);
  }
  search.size = 0;
}

// §7.6.2: alone, it is no sign of congestion.
void fail_alone(Core& core, Tcb& tcb, Instant now) {
  note_loss(core, tcb, now);
  tcb.mtu_search->is_repairing = true;
  tcb.mtu_search->not_before = now + probe_interval(tcb);
}

}  // namespace

std::uint32_t packet_overhead(const Tcb& tcb) {
  constexpr std::uint32_t kTimestampBytes = 12;
  return bare_headers(tcb) + (tcb.timestamps_on ? kTimestampBytes : 0) +
         (tcb.authentication != nullptr ? kAuthenticationBytes : 0);
}

void begin_mtu_search(Core& core, Tcb& tcb, Instant now) {
  if (core.config.mtu_probing != MtuProbing::kAlways || tcb.mtu_search != nullptr) return;
  tcb.mtu_search = core.mtu_searches.take();  // as many as connections
  tcb.path_mtu = core.network.mtu_to(tcb.tuple.remote.address, now);
  tcb.mtu_search->low = base_mtu(core, tcb);
  tcb.mtu_search->high = upper_bound(tcb);
  search_again_later(core, *tcb.mtu_search, now);
}

// The first answer is to take the path for a black hole of long packets; what follows when that
// does not help, too.
void see_full_stop(Core& core, Tcb& tcb, Instant now) {
  if (core.config.mtu_probing == MtuProbing::kOff || tcb.retries < kFullStop) return;
  const Range* first = tcb.scoreboard.first();
  // A router has said what is wrong, or there is nothing that could be cut.
  if (tcb.soft_error != End::kNone || first == nullptr) return;
  MtuSearch* search = tcb.mtu_search;
  const std::uint16_t base = base_mtu(core, tcb);
  const bool from_base = search != nullptr && search->low <= base;
  const std::uint16_t next =
      from_base ? std::max<std::uint16_t>(search->low / 2, floor_mtu(tcb)) : base;
  const std::uint32_t payload = std::min<std::uint32_t>(first->size(), first->segment);
  if (payload + packet_overhead(tcb) <= next) return;
  ++core.counters.black_holes;
  if (search == nullptr) {
    search = tcb.mtu_search = core.mtu_searches.take();
    search->high = upper_bound(tcb);
  }
  search->low = next;
  search->high_is_open = true;
  search->losses = 0;
  search_again_later(core, *search, now);
}

void forget_mtu_search(Core& core, Tcb& tcb) {
  if (tcb.mtu_search != nullptr) core.mtu_searches.give(tcb.mtu_search);
  tcb.mtu_search = nullptr;
}

std::uint16_t effective_mtu(Tcb& tcb) {
  if (tcb.mtu_search == nullptr) return tcb.path_mtu;
  MtuSearch& search = *tcb.mtu_search;
  if (const std::uint16_t most = upper_bound(tcb); most < search.high) {
    search.high = most;
    search.high_is_open = true;
    search.losses = 0;
    search.low = std::min(search.low, most);
  }
  return search.low;
}

DueProbe due_mtu_probe(Core& core, Tcb& tcb, std::uint64_t unsent, Instant now) {
  if (tcb.mtu_search == nullptr || tcb.mtu_search->size != 0) return {};
  if (!may_search(core, tcb, now)) return {};
  const bool calm = tcb.recovery == RecoveryState::kOpen && tcb.scoreboard.sacked() == 0 &&
                    tcb.scoreboard.lost() == 0 && tcb.dup_acks == 0 && !tcb.is_urgent() &&
                    !tcb.syn_ack_owed && tcb.srtt > Duration{};
  if (!calm) return {};
  // Options that only some segments have take their room from the payload, here too.
  const std::uint32_t segment = segment_payload(tcb);
  const std::uint32_t options = packet_overhead(tcb) + (tcb.mss - segment);
  const std::uint32_t payload = probe_size(*tcb.mtu_search) - options;
  const std::uint32_t needed = payload + kFollowers * segment;
  if (unsent < needed || tcb.snd_wnd < needed || tcb.congestion.cwnd < needed) return {};
  const bool in_window = tcb.snd_nxt + needed <= tcb.snd_una + tcb.snd_wnd;
  return {.payload = payload,
          .has_room = in_window && tcb.in_flight() + payload <= tcb.congestion.cwnd};
}

void mtu_probe_sent(Core& core, Tcb& tcb, Seq begin, Seq end) {
  MtuSearch& search = *tcb.mtu_search;
  search.size = probe_size(search);
  search.begin = begin;
  search.end = end;
  search.is_repairing = false;
  ++search.probes;
  ++core.counters.mtu_probes;
}

void judge_mtu_probe(Core& core, Tcb& tcb, Instant now) {
  if (tcb.mtu_search == nullptr || tcb.mtu_search->size == 0) return;
  const Range* probe = find_probe(tcb);
  if (probe == nullptr || probe->begin >= tcb.mtu_search->end || probe->sacked) {
    succeed(core, tcb, now);
  } else if (probe->lost) {
    const bool alone =
        tcb.recovery <= RecoveryState::kDisorder && tcb.scoreboard.lost() == probe->size();
    // §7.6.4: with others it says nothing, and the same size is tried again.
    alone ? fail_alone(core, tcb, now) : cancel_mtu_probe(tcb);
  }
}

std::uint32_t probe_bytes_to_repair(Tcb& tcb) {
  if (tcb.mtu_search == nullptr || !tcb.mtu_search->is_repairing) return 0;
  MtuSearch& search = *tcb.mtu_search;
  std::uint32_t bytes = 0;
  for (Range* range = find_probe(tcb); range != nullptr && range->begin < search.end;
       range = range->next) {
    if (range->lost && !range->ever_retransmitted) bytes += range->size();
  }
  search.is_repairing = bytes > 0;
  return bytes;
}

void mtu_probe_timed_out(Core& core, Tcb& tcb, Instant now) {
  if (tcb.mtu_search == nullptr) return;
  tcb.mtu_search->is_repairing = false;
  if (tcb.mtu_search->size == 0) return;
  note_loss(core, tcb, now);
  tcb.mtu_search->not_before = now + kTimeoutPenalty * probe_interval(tcb);
}

void cancel_mtu_probe(Tcb& tcb) {
  if (tcb.mtu_search != nullptr) tcb.mtu_search->size = 0;
}

void drop_refused_mtu_probe(Core& core, Tcb& tcb, Instant now) {
  if (tcb.mtu_search == nullptr || tcb.mtu_search->size <= tcb.mtu_search->high) return;
  Range* probe = find_probe(tcb);
  if (probe != nullptr && !probe->sacked && !probe->lost) tcb.scoreboard.mark_lost(*probe);
  judge_mtu_probe(core, tcb, now);
}

bool is_mtu_probe(const Tcb& tcb, const Range& range) {
  return tcb.mtu_search != nullptr && tcb.mtu_search->size != 0 &&
         range.begin == tcb.mtu_search->begin;
}

}  // namespace tideline::tcp
