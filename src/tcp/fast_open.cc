// SPDX-License-Identifier: Apache-2.0
#include "tcp/fast_open.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "tcp/handshake.h"
#include "tcp/receiver.h"
#include "tcp/recovery.h"
#include "tcp/sender.h"
#include "tcp/transmit.h"

namespace tideline::tcp {
namespace {

constexpr std::size_t kCookieSize = 8;

// As Linux has it, so that servers of both kinds can share a key behind one address.
std::uint64_t hash_of(const HashKey& key, const Tuple& tuple) {
  std::array<std::uint64_t, 4> words{};
  std::span<std::byte> bytes = std::as_writable_bytes(std::span(words));
  const auto put = [&bytes](const auto& address) {
    std::memcpy(bytes.data(), &address, sizeof(address));
    bytes = bytes.subspan(sizeof(address));
  };
  if (tuple.is_ipv4()) {
    put(tuple.remote.address.mapped_ipv4());
    put(tuple.local.address.mapped_ipv4());
    return siphash<2, 4>(key, std::span<const std::uint64_t>(words).first(1));
  }
  put(tuple.remote.address);
  put(tuple.local.address);
  return siphash<2, 4>(key, words);
}

}  // namespace

wire::FastOpenCookie fast_open_cookie(const Core& core, const Tuple& tuple) {
  wire::FastOpenCookie cookie{.size = kCookieSize};
  const std::uint64_t hash =
      hash_of(core.config.fast_open_key.value_or(fast_open_key(core)), tuple);
  std::memcpy(cookie.bytes.data(), &hash, kCookieSize);
  return cookie;
}

FastOpen judge_fast_open(const Core& core, const Listener& listener, const Segment& syn) {
  const bool offered = core.config.fast_open || listener.options.fast_open > 0;
  if (!offered || !syn.options.fast_open) return FastOpen::kNone;
  if (*syn.options.fast_open != fast_open_cookie(core, syn.tuple)) return FastOpen::kGiveCookie;
  // §5.1: who answers none of them must not fill the queue.
  const std::uint32_t most =
      listener.options.fast_open > 0 ? listener.options.fast_open : listener.options.backlog;
  return listener.unanswered < most ? FastOpen::kAccept : FastOpen::kNone;
}

bool open_fast(Core& core, Tcb& tcb, Listener& listener, Segment& syn, Instant now) {
  if (!hand_over(core, tcb, listener, now)) return false;
  tcb.syn_ack_owed = tcb.fast_child = true;
  ++listener.unanswered;
  // DEVIATES from §4.2: the state is ESTABLISHED, as if the peer had acknowledged our SYN. It does
  // so with its first segment, or the SYN-ACK goes again.
  tcb.retries = 1;  // no time was taken
  become_established(core, tcb, syn, now);
  if (syn.size > 0) {
    tcb.syn_data = true;
    syn.seq += 1;
    process_text(core, tcb, syn, now);
  }
  repeat_fast_open(core, tcb, now);
  arm(core, tcb, Timer::kRetransmit, now + tcb.rto);
  return true;
}

void settle_fast_open(Core& core, Tcb& tcb, Instant now) {
  tcb.syn_ack_owed = false;
  if (Listener* listener = find(core, tcb.listener)) --listener->unanswered;
  if (tcb.retries == 0 && tcb.outstanding() == 0) {
    measure_rtt(core.config, tcb, std::max(now - tcb.last_sent, Duration(1)));
  } else if (tcb.backoff > 0 && tcb.srtt == Duration{}) {
    tcb.rto = core.config.rto_after_lost_syn;  // RFC 6298 §5.7
    tcb.backoff = 0;
  }
  restart_retransmit_timer(core, tcb, now);
}

void repeat_fast_open(Core& core, Tcb& tcb, Instant now) {
  send_syn(core, tcb, now);
  // It acknowledges the data.
  tcb.ack_now = tcb.ack_delayed = false;
  disarm(tcb, Timer::kDelayedAck);
  tcb.retransmit_mode = RetransmitMode::kRto;
}

}  // namespace tideline::tcp
