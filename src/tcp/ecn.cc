// SPDX-License-Identifier: Apache-2.0
#include "tcp/ecn.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "tcp/transmit.h"

namespace tideline::tcp {
namespace {

constexpr std::uint8_t kNotEct = 0;
constexpr std::uint8_t kEct1 = 1;
constexpr std::uint8_t kEct0 = 2;
constexpr std::uint8_t kCe = 3;

constexpr unsigned kAceShift = 6;
constexpr unsigned kAceMask = 7;
static_assert(wire::kTcpEce == 1 << kAceShift && wire::kTcpAe == 4 << kAceShift);

constexpr unsigned kAsksForAccurate = 7;
constexpr unsigned kAsksForClassic = 3;
constexpr unsigned kSynsThatAsk = 2;  // §3.1.4.1
constexpr unsigned kGrantsClassic = 1;
constexpr unsigned kGrantsNonce = 5;                       // RFC 3540: as classic
constexpr std::array<std::uint8_t, 4> kCodes{2, 3, 4, 6};  // of each field, §3.1.1

// The option's counters have 24 bits.
constexpr std::uint32_t kOptionMask = (1U << 24) - 1;
constexpr std::uint32_t kOptionHalf = 1U << 23;

unsigned ace_of(std::uint16_t flags) { return flags >> kAceShift & kAceMask; }
std::uint16_t flags_of(unsigned ace) {
  return static_cast<std::uint16_t>((ace & kAceMask) << kAceShift);
}

std::optional<std::uint8_t> field_of(unsigned code) {
  const auto* const found = std::ranges::find(kCodes, code);
  if (found == kCodes.end()) return std::nullopt;
  return static_cast<std::uint8_t>(found - kCodes.begin());
}

// DCTCP is what wants to know how much was marked; who knows classic ECN alone grants that.
bool asks_for_accurate_ecn(const Core& core, const Tcb& tcb) {
  return core.config.accurate_ecn || tcb.options.congestion == CongestionAlgorithm::kDctcp;
}

AccurateEcn* begin(Core& core, Tcb& tcb, std::uint8_t syn_field) {
  if (tcb.accurate_ecn == nullptr) tcb.accurate_ecn = core.accurate_ecns.take();  // one for each
  tcb.accurate_ecn->syn_field = syn_field;
  if (syn_field == kCe) ++tcb.accurate_ecn->ce_packets;
  return tcb.accurate_ecn;
}

// §3.2.2.3: what the peer says of our SYN or SYN-ACK. A field that no router may have made so is
// the work of something that does not know ECN: nothing is marked from now on.
void judge_handshake(Tcb& tcb, unsigned code) {
  AccurateEcn& ecn = *tcb.accurate_ecn;
  const auto seen = field_of(code);
  if (!seen) return;  // for others to define
  const bool was_ect = tcb.options.congestion == CongestionAlgorithm::kDctcp;
  const std::uint8_t sent = was_ect ? kEct0 : kNotEct;
  if (*seen != sent && !(was_ect && *seen == kCe)) ecn.sends_ect = false;
  if (*seen == kCe) ++ecn.peer_ce_packets;
}

// Of data by the option; and of DCTCP the SYN and the acknowledgment behind it may be marked, too.
bool may_be_three_marks(const Tcb& tcb, const Segment& segment) {
  const auto& option = segment.options.accurate_ecn;
  const auto ce = option ? option->ce() : std::nullopt;
  if (!ce) return false;
  const std::uint32_t bytes = (*ce - tcb.accurate_ecn->peer_ce_bytes) & kOptionMask;
  const std::uint32_t of_data = (bytes + tcb.mss - 1) / tcb.mss;
  const bool marks_all = tcb.options.congestion == CongestionAlgorithm::kDctcp;
  return of_data >= (marks_all ? 1 : 3);
}

std::uint32_t bytes_seen(const AccurateEcn& ecn) {
  return ecn.ce_bytes + ecn.ect0_bytes + ecn.ect1_bytes;
}

}  // namespace

std::uint16_t ecn_flags_of_syn(const Core& core, const Tcb& tcb, bool answer) {
  if (!answer) {
    if (!asks_for_ecn(core, tcb)) return 0;
    if (!asks_for_accurate_ecn(core, tcb)) return flags_of(kAsksForClassic);
    // §3.1.4.1: something may drop what it does not know.
    return tcb.retries < kSynsThatAsk ? flags_of(kAsksForAccurate) : std::uint16_t{0};
  }
  if (!has_accurate_ecn(tcb)) return tcb.ecn_on ? flags_of(kGrantsClassic) : std::uint16_t{0};
  // §3.1.4.2.
  const AccurateEcn& ecn = *tcb.accurate_ecn;
  return ecn.syn_acks < 2 ? flags_of(kCodes[ecn.syn_field]) : std::uint16_t{0};
}

// §3.1.2, §3.1.3: combinations that nobody sends yet ask for this, too.
void grant_ecn(Core& core, Tcb& tcb, const Segment& syn) {
  const unsigned asked = core.config.grants_ecn ? ace_of(syn.flags) : 0;
  tcb.ecn_on = asked == kAsksForClassic;
  if (asked == 0 || asked == kAsksForClassic) return;
  begin(core, tcb, syn.ecn)->awaits_answer = true;
}

void take_granted_ecn(Core& core, Tcb& tcb, const Segment& syn_ack) {
  if (!asks_for_ecn(core, tcb)) return;
  const unsigned code = ace_of(syn_ack.flags);
  const bool accurate = asks_for_accurate_ecn(core, tcb);
  // §3.1.5, RFC 3168 §6.1.1: who has sent a SYN without marks nothing, though the peer has answered
  // an earlier one.
  const bool asked_always = !accurate || tcb.retries < kSynsThatAsk;
  if (code == kGrantsClassic || (accurate && code == kGrantsNonce)) {
    tcb.ecn_on = true;
    tcb.ecn_unmarked = !asked_always;
    return;
  }
  if (!accurate || !field_of(code)) return;  // 111: the peer mirrors flags
  AccurateEcn* ecn = begin(core, tcb, syn_ack.ecn);
  ecn->answers_syn = true;
  if (!asked_always) ecn->sends_ect = false;
  judge_handshake(tcb, code);
}

// §3.1.5, RFC 3168 §6.1.1.
void note_repeated_syn(Tcb& tcb, const Segment& syn) {
  if (ace_of(syn.flags) != 0) return;
  tcb.ecn_unmarked = true;
  if (has_accurate_ecn(tcb)) tcb.accurate_ecn->sends_ect = false;
}

void forget_accurate_ecn(Core& core, Tcb& tcb) {
  if (tcb.accurate_ecn != nullptr) core.accurate_ecns.give(tcb.accurate_ecn);
  tcb.accurate_ecn = nullptr;
}

bool sends_ect(const Tcb& tcb) {
  return has_accurate_ecn(tcb) ? tcb.accurate_ecn->sends_ect : tcb.ecn_on && !tcb.ecn_unmarked;
}

std::uint16_t ecn_flags(const Tcb& tcb) {
  if (!has_accurate_ecn(tcb)) return tcb.ece ? wire::kTcpEce : std::uint16_t{0};
  return flags_of(tcb.accurate_ecn->ce_packets);
}

std::uint16_t ecn_flags_of_answer(const Tcb& tcb) {
  return flags_of(kCodes[tcb.accurate_ecn->syn_field]);
}

void add_ecn_option(const Tcb& tcb, bool syn_ack, wire::TcpOptions& options) {
  if (!has_accurate_ecn(tcb)) return;
  const AccurateEcn& ecn = *tcb.accurate_ecn;
  // §3.2.3.2.2: of SYN-ACKs the first only.
  if (syn_ack ? ecn.syn_acks > 0 : bytes_seen(ecn) == ecn.told_bytes && !ecn.answers_syn) return;
  constexpr std::uint8_t kMostSackBlocks = 2;
  if (options.sack_count > kMostSackBlocks) return;
  // Beside that of authentication there is room for it only where no other is.
  if (tcb.authentication != nullptr && (syn_ack || options.sack_count > 0)) return;
  auto& option = options.accurate_ecn.emplace();
  option.values = {ecn.ect0_bytes & kOptionMask, ecn.ce_bytes & kOptionMask,
                   ecn.ect1_bytes & kOptionMask};
  option.count = ecn.ect1_bytes == 1 ? 2 : 3;
}

void note_ecn_told(Tcb& tcb, bool with_option) {
  if (!has_accurate_ecn(tcb)) return;
  tcb.accurate_ecn->told_ce_packets = tcb.accurate_ecn->ce_packets;
  if (with_option) tcb.accurate_ecn->told_bytes = bytes_seen(*tcb.accurate_ecn);
}

void count_ecn(Tcb& tcb, const Segment& segment) {
  if (!has_accurate_ecn(tcb)) return;
  AccurateEcn& ecn = *tcb.accurate_ecn;
  if (segment.ecn == kEct0) ecn.ect0_bytes += segment.size;
  if (segment.ecn == kEct1) ecn.ect1_bytes += segment.size;
  if (segment.ecn == kCe) {
    const std::uint32_t unit = segment.gso_size;
    ecn.ce_packets += unit == 0 ? 1 : (segment.size + unit - 1) / unit;
    ecn.ce_bytes += segment.size;
    // §3.2.2.5.1: no more than a few marks are told together.
    constexpr std::uint32_t kMostTogether = 2;
    if (segment.size > 0 && ecn.ce_packets - ecn.told_ce_packets >= kMostTogether) {
      tcb.ack_now = true;
    }
  }
  // §3.2.2.1, the answer to our SYN-ACK: only a pure acknowledgment has it.
  const unsigned ace = ace_of(segment.flags);
  const bool first = !std::exchange(ecn.feedback_begun, true);
  const bool pure = segment.size == 0 && segment.options.sack_count == 0;
  if (std::exchange(ecn.awaits_answer, false) && pure && ace != 0) {
    judge_handshake(tcb, ace);
    ecn.feedback_begun = false;  // a counter has not come yet
    return;
  }
  // §3.2.2.4: something clears the flags. But they are 0 after three marks, too.
  if (first && ace == 0 && !may_be_three_marks(tcb, segment)) ecn.sends_ect = false;
}

std::uint32_t read_ecn_feedback(Tcb& tcb, const Segment& segment, std::uint32_t delivered) {
  AccurateEcn& ecn = *tcb.accurate_ecn;
  // What delivers nothing may have been overtaken. Before the first counter there is none.
  if (delivered == 0 || !ecn.feedback_begun) return 0;
  std::optional<std::uint32_t> bytes;
  if (const auto& option = segment.options.accurate_ecn; option && ecn.trusts_option) {
    // Counters that begin at 1 do not come as 0, but from who clears what it does not know.
    const auto ect0 = option->ect0();
    if (ect0 && *ect0 == 0) ecn.trusts_option = false;
    const auto ce = ecn.trusts_option ? option->ce() : std::nullopt;
    if (ce) bytes = (*ce - ecn.peer_ce_bytes) & kOptionMask;
    if (bytes && *bytes >= kOptionHalf) bytes.reset();
  }
  // Appendix A: as many packets as the flags may mean.
  std::uint32_t packets = (ace_of(segment.flags) - ecn.peer_ce_packets) & kAceMask;
  const std::uint32_t most = (delivered + tcb.mss - 1) / tcb.mss;
  if (bytes) {
    const std::uint32_t least = (*bytes + tcb.mss - 1) / tcb.mss;
    while (packets < least) packets += kAceMask + 1;
    ecn.peer_ce_bytes += *bytes;
  } else if (packets > 0 && most > packets) {
    // DEVIATES from §3.2.2.5.2: a counter that stands still is believed. Frames of many segments
    // are acknowledged at once as a rule, and most of them are unmarked.
    packets = most - ((most - packets) & kAceMask);
  }
  ecn.peer_ce_packets += packets;
  if (packets == 0) return 0;
  return bytes.value_or(std::min(packets * tcb.mss, delivered));
}

}  // namespace tideline::tcp
