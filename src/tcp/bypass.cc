// SPDX-License-Identifier: Apache-2.0
#include "tcp/bypass.h"

#include <algorithm>

#include "tcp/transmit.h"

namespace tideline::tcp {
namespace {

constexpr std::uint64_t kMostWindow = std::uint64_t{1} << 30;

Tcb* other_end(Core& core, const Tcb& tcb) {
  Tcb* other = core.table.find({.local = tcb.tuple.remote, .remote = tcb.tuple.local});
  return other == &tcb ? nullptr : other;
}

// Segments have a pace, urgent pointers and signatures.
bool may_bypass(const Core& core, const Tcb& tcb) {
  return core.config.local_bypass && tcb.is_local && tcb.may_send() && !tcb.fin_sent &&
         !tcb.syn_ack_owed && tcb.attachment.send != nullptr && !tcb.is_urgent() &&
         tcb.authentication == nullptr && tcb.options.max_pacing_rate == UINT64_MAX;
}

// As process_text() would take a segment, now.
bool takes_text(const Tcb& tcb) {
  return (tcb.state == State::kEstablished || tcb.state == State::kFinWait1 ||
          tcb.state == State::kFinWait2) &&
         !tcb.closed_by_owner && !tcb.fin_received && tcb.attachment.receive != nullptr &&
         tcb.attachment.receive->room_for_copy(0) > 0 && tcb.reassembly.empty();
}

// For `wanted` bytes more.
std::uint32_t room_at(const Tcb& to, std::uint64_t wanted) {
  const std::uint64_t limit = to.attachment.receive->room_for_copy(to.rcv_offset + wanted);
  const std::uint64_t room = limit > to.rcv_offset ? limit - to.rcv_offset : 0;
  return static_cast<std::uint32_t>(std::min(room, kMostWindow));
}

// The reader is slower, or the three take turns on too few cores: the larger the buffers, the fewer
// the turns.
void grow(const Tcb& from, const Tcb& to) {
  ReceiveBuffer& buffer = *to.attachment.receive;
  const std::uint64_t wanted = 2 * (buffer.limit() - buffer.consumed());
  buffer.want(wanted);
  from.attachment.send->want(wanted);
}

void sent(Core& core, Tcb& from, std::uint32_t size, Instant now) {
  from.snd_nxt = from.snd_una = from.snd_nxt + size;
  from.una_offset += size;
  from.high_seq = from.dsack_round = from.flight_round_end = from.rack_fack = from.snd_sml =
      from.snd_nxt;
  from.bytes_sent += size;
  incidents_of(from).bytes_bypassed += size;
  const std::uint32_t segments = segments_of(size, from.mss);
  from.segments_out += segments;
  from.data_segments_out += segments;
  from.delivered += segments;
  from.last_data_sent = from.last_received = from.progress_at = now;
  from.cork_since = kNever;
  release_acknowledged(core, from);
}

void received(Core& core, Tcb& to, std::uint32_t size, Instant now) {
  to.rcv_nxt += size;
  to.is_rcv_up_known &= to.rcv_up >= to.rcv_nxt;
  to.rcv_offset += size;
  to.attachment.receive->publish(to.rcv_offset);
  to.events.readable = true;
  to.last_ack_sent = to.rcv_nxt;
  to.ack_delayed = false;
  to.unacked_bytes = 0;
  disarm(to, Timer::kDelayedAck);
  to.rcv_round_at = {};
  const std::uint32_t segments = segments_of(size, to.mss);
  to.segments_in += segments;
  to.rcv_mss =
      std::max(to.rcv_mss, static_cast<std::uint16_t>(std::min<std::uint32_t>(size, to.mss)));
  to.data_segments_in += segments;
  to.last_received = to.last_data_received = now;
  mark_pending(core, to);
}

// As if it had been told, and by what: what is left of `room`. It opens again when the reader has
// made some: resume_local(). Should that be missed, probes ask, as ever.
void tell_window(Tcb& from, Tcb& to, std::uint32_t room) {
  to.rcv_adv = max(to.rcv_adv, to.rcv_nxt + room);
  from.snd_wnd = room;
  from.max_snd_wnd = std::max(from.max_snd_wnd, from.snd_wnd);
  from.snd_wl1 = from.rcv_nxt;
  from.snd_wl2 = from.snd_una;
  to.snd_wl1 = to.rcv_nxt;
  to.snd_wl2 = to.snd_una;
  if (from.retransmit_mode != RetransmitMode::kPersist || from.snd_wnd == 0) return;
  from.retransmit_mode = RetransmitMode::kNone;
  from.backoff = from.retries = 0;
  disarm(from, Timer::kRetransmit);
}

}  // namespace

void note_local(Core& core, Tcb& tcb) {
  Tcb* other = other_end(core, tcb);
  if (other != nullptr) tcb.is_local = other->is_local = true;
}

bool move_locally(Core& core, Tcb& tcb, Instant now) {
  if (!may_bypass(core, tcb)) return true;
  const std::uint64_t offset = tcb.snd_offset(tcb.snd_nxt);
  const std::uint64_t available = tcb.write_end - offset;
  if (available == 0 && (!tcb.shut_down || tcb.snd_wnd > 0)) return true;
  Tcb* to = other_end(core, tcb);
  if (to == nullptr || !takes_text(*to)) return true;
  if (tcb.outstanding() > 0) {
    // Segments came before: all must have arrived, and be known to have.
    if (tcb.snd_nxt == to->rcv_nxt && to->last_ack_sent != to->rcv_nxt) send_ack(core, *to, now);
    return false;
  }
  if (tcb.snd_nxt != to->rcv_nxt) return true;
  const std::uint32_t room = room_at(*to, available);
  if (room < available) grow(tcb, *to);
  const auto size = static_cast<std::uint32_t>(std::min<std::uint64_t>(available, room));
  for (std::uint32_t moved = 0; moved < size;) {
    const auto bytes = tcb.attachment.send->at(offset + moved, size - moved);
    to->attachment.receive->put_copy(to->rcv_offset + moved, bytes, core.passes);
    moved += static_cast<std::uint32_t>(bytes.size());
  }
  if (size > 0) {
    core.counters.bypassed += size;
    received(core, *to, size, now);
    sent(core, tcb, size, now);
  }
  tell_window(tcb, *to, room - size);
  return true;
}

bool resume_local(Core& core, const Tcb& tcb) {
  if (!tcb.is_local || !takes_text(tcb)) return false;
  Tcb* from = other_end(core, tcb);
  if (from == nullptr || !may_bypass(core, *from) || from->outstanding() > 0) return false;
  if (from->write_end > from->snd_offset(from->snd_nxt) || from->shut_down) {
    mark_pending(core, *from);
  }
  return true;
}

}  // namespace tideline::tcp
