// SPDX-License-Identifier: Apache-2.0
#include "tcp/fast_open_client.h"

#include <algorithm>

#include "tcp/sender.h"
#include "tcp/transmit.h"

namespace tideline::tcp {

bool delay_syn(Core& core, Tcb& tcb, Instant now) {
  // Beside the option of authentication there is no room for a cookie.
  if (!tcb.options.fast_open || tcb.authentication != nullptr) return false;
  if (!core.fast_open_cache.is_open_to(tcb.tuple, now)) return false;
  const FastOpenCache::Server* server = core.fast_open_cache.find(tcb.tuple);
  tcb.fast_syn = true;
  if (server == nullptr) {
    tcb.fast_open_failure = FastOpenFailure::kNoCookie;
    return false;
  }
  tcb.peer_mss = server->mss;
  update_mss(core, tcb, now);
  tcb.syn_waits = tcb.opened_fast = true;
  return true;
}

void send_delayed_syn(Core& core, Tcb& tcb, Instant now) {
  tcb.write_end = tcb.attachment.send->end();
  if (tcb.write_end == 0) return;
  tcb.syn_waits = false;
  const FastOpenCache::Server* server = core.fast_open_cache.find(tcb.tuple);
  if (server == nullptr) {  // forgotten meanwhile
    send_syn(core, tcb, now);
  } else {
    tcb.snd_nxt = tcb.iss + 1 + send_syn_with_data(core, tcb, server->cookie, now);
  }
  arm(core, tcb, Timer::kRetransmit, now + tcb.rto);
}

bool has_early_data(const Tcb& tcb) {
  return tcb.opened_fast && tcb.attachment.send != nullptr && tcb.attachment.send->end() > 0;
}

void lose_fast_syn(Core& core, Tcb& tcb, Instant now) {
  if (!tcb.fast_syn) return;
  tcb.fast_syn = false;
  core.fast_open_cache.lost(tcb.tuple, now);
}

void take_fast_syn_ack(Core& core, Tcb& tcb, const Segment& segment, Instant now) {
  const auto& cookie = segment.options.fast_open;
  if (tcb.fast_syn) {
    core.fast_open_cache.answered(tcb.tuple);
    if (cookie && cookie->size > 0) {
      core.fast_open_cache.learn(tcb.tuple, {.cookie = *cookie, .mss = tcb.peer_mss}, now);
    }
  }
  tcb.una_offset = segment.ack - (tcb.iss + 1);
  tcb.snd_una = segment.ack;
  tcb.syn_data = tcb.una_offset > 0;
  if (tcb.opened_fast && !tcb.syn_data) {
    tcb.fast_open_failure =
        tcb.fast_syn ? FastOpenFailure::kNotAcknowledged : FastOpenFailure::kRetransmitted;
  }
  if (tcb.syn_data) tcb.progress_at = now;
}

void watch_for_black_hole(Core& core, const Tcb& tcb, Instant now) {
  constexpr std::uint8_t kTries = 2;
  const bool passed = tcb.rcv_offset > 0 || (tcb.una_offset > 0 && !tcb.syn_data);
  if (tcb.opened_fast && !passed && tcb.retries == kTries) core.fast_open_cache.black_hole(now);
}

}  // namespace tideline::tcp
