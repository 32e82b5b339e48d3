// SPDX-License-Identifier: Apache-2.0
// What owners choose of a connection: when they hear of it, and how much of theirs may wait.
#include "tcp/script.h"

namespace tideline::tcp::test {
namespace {

// --- What ICMP says: IP_RECVERR, as Linux has it.

SCRIPT(TellPathErrors, RcvError_Established_IsToldAtOnceAndForgotten, R"(
  config tell_path_errors
  given ESTABLISHED
  +0 write 100
  +0 > P. 1:101(100) ack 1
  +0 error host_unreachable 1
  events path_failed
  +0 error time_exceeded 1
  events path_failed
  +0 error port_unreachable 101
  events
  state ESTABLISHED
)")

SCRIPT(TellPathErrors, RcvError_SynSent_IsToldAndEnds, R"(
  config tell_path_errors
  given SYN_SENT
  +0 error host_unreachable 0
  events path_failed ended:unreachable released
)")

SCRIPT(TellPathErrors, RcvTimeExceeded_SynSent_IsToldAndEnds, R"(
  config tell_path_errors
  given SYN_SENT
  +0 error time_exceeded 0
  events path_failed ended:unreachable released
)")

SCRIPT(TellPathErrors, RcvTimeExceeded_SynSent_IsNoReasonForWhoDoesNotAsk, R"(
  given SYN_SENT
  +0 error time_exceeded 0
  events
  state SYN_SENT
)")

// RFC 4443 §2.4 (a): it comes this far, and is not known to be the end.
SCRIPT(TellPathErrors, RcvUnknown_SynSent_IsSoft, R"(
  given SYN_SENT
  +0 error unknown 0
  events
  state SYN_SENT
)")

SCRIPT(TellPathErrors, RcvUnknown_SynSent_IsToldAndNoEnd, R"(
  config tell_path_errors
  given SYN_SENT
  +0 error unknown 0
  events path_failed
  state SYN_SENT
)")

// --- A FIN behind a hole.

SCRIPT(Tcp, RcvFin_Established_BehindAHoleIsSacked, R"(
  given ESTABLISHED
  +0 < F. 101:101(0) ack 1 win 512
  +0 > . 1:1(0) ack 1 <sack 101:102>
  +0.01 < P. 51:101(50) ack 1 win 512
  +0 > . 1:1(0) ack 1 <sack 51:102>
  +0.01 < P. 1:51(50) ack 1 win 512
  +0 > . 1:1(0) ack 102
  state CLOSE_WAIT
)")

// --- TCP_DEFER_ACCEPT, as Linux has it.

SCRIPT(DeferAccept, RcvAck_SynReceived_WaitsForData, R"(
  config defer_accept 3
  given SYN_RECEIVED
  +0.1 < . 1:1(0) ack 1 win 512
  +0 > nothing
  state SYN_RECEIVED
  events
  count accept_deferred 1
  +0.5 < P. 1:101(100) ack 1 win 512
  +0 > . 1:1(0) ack 101
  state ESTABLISHED
  events incoming readable
  +0 read 100
)")

// The time is counted in time-outs of the SYN-ACK: 1 + 2 seconds.
SCRIPT(DeferAccept, NoData_AsksOnceMoreAndIsContentWithAnAck, R"(
  config defer_accept 3
  given SYN_RECEIVED
  +0.1 < . 1:1(0) ack 1 win 512
  +2.8 > nothing
  +0.1 > S. 0:0(0) ack 1
  +0.01 < . 1:1(0) ack 1 win 512
  +0 > nothing
  state ESTABLISHED
  events incoming
  info cwnd 10
)")

SCRIPT(DeferAccept, NoAck_RepeatsTheSynAckAsEver, R"(
  config defer_accept 10
  given SYN_RECEIVED
  +1 > S. 0:0(0) ack 1
  +2 > S. 0:0(0) ack 1
  +0.1 < . 1:1(0) ack 1 win 512
  +3.8 > nothing
  +0.1 > nothing
  state SYN_RECEIVED
)")

SCRIPT(DeferAccept, SilentPeer_IsForgotten, R"(
  config defer_accept 3
  given SYN_RECEIVED
  +0.1 < . 1:1(0) ack 1 win 512
  +2.9 > S. 0:0(0) ack 1
  +4 > S. 0:0(0) ack 1
  +8 > S. 0:0(0) ack 1
  +16 > S. 0:0(0) ack 1
  +33 > nothing
  count connections 0
  events
)")

SCRIPT(DeferAccept, RcvFin_SynReceived_IsHandedOver, R"(
  config defer_accept 3
  given SYN_RECEIVED
  +0.1 < F. 1:1(0) ack 1 win 512
  +0 > . 1:1(0) ack 2
  state CLOSE_WAIT
  events incoming peer_closed
)")

SCRIPT(DeferAccept, Connect_AcknowledgesWithData, R"(
  config defer_accept 1
  +0 connect
  +0 > S 0:0(0)
  +0.1 < S. 0:0(0) ack 1 win 1000 <mss 1000,sackOK,wscale 7>
  +0.05 > nothing
  +0 write 100
  +0 > P. 1:101(100) ack 1
  +0.1 < . 1:1(0) ack 101
  +1 > nothing
)")

SCRIPT(DeferAccept, Connect_AcknowledgesInTheEnd, R"(
  config defer_accept 1
  +0 connect
  +0 > S 0:0(0)
  +0.1 < S. 0:0(0) ack 1 win 1000 <mss 1000,sackOK,wscale 7>
  +0.19 > nothing
  +0.01 > . 1:1(0) ack 1
)")

// --- TCP_NOTSENT_LOWAT, as Linux has it: a frame may wait in any case.

SCRIPT(NotSentLowat, Established_WantsAFrameAtLeast, R"(
  config notsent_lowat 1
  given ESTABLISHED <mss_1000,sackOK,wscale_7>
  wanted 1000
  hungry yes
)")

SCRIPT(NotSentLowat, Unsent_IsBounded, R"(
  config notsent_lowat 4000
  given ESTABLISHED <mss_1000,sackOK,wscale_7>
  wanted 4000
  +0 write 4000
  +0 > . 1:1001(1000) ack 1
  +0 > . 1001:2001(1000) ack 1
  +0 > . 2001:3001(1000) ack 1
  +0 > P. 3001:4001(1000) ack 1
  wanted 4000
  hungry yes
  +0 write 10000
  +0 > . 4001:5001(1000) ack 1
  +0 > . 5001:6001(1000) ack 1
  +0 > . 6001:7001(1000) ack 1
  +0 > . 7001:8001(1000) ack 1
  +0 > . 8001:9001(1000) ack 1
  +0 > . 9001:10001(1000) ack 1
  wanted 0
  hungry no
  +0.01 < . 1:1(0) ack 1001 win 512
  +0 > . 10001:11001(1000) ack 1
  +0 > . 11001:12001(1000) ack 1
  wanted 2000
  hungry no
  +0 < . 1:1(0) ack 2001 win 512
  +0 > . 12001:13001(1000) ack 1
  +0 > P. 13001:14001(1000) ack 1
  wanted 4000
  hungry yes
)")

SCRIPT(NotSentLowat, Chosen_Later, R"(
  given ESTABLISHED <mss_1000,sackOK,wscale_7>
  +0 write 20000
  +0 > . 1:1001(1000) ack 1
  +0 > . 1001:2001(1000) ack 1
  +0 > . 2001:3001(1000) ack 1
  +0 > . 3001:4001(1000) ack 1
  +0 > . 4001:5001(1000) ack 1
  +0 > . 5001:6001(1000) ack 1
  +0 > . 6001:7001(1000) ack 1
  +0 > . 7001:8001(1000) ack 1
  +0 > . 8001:9001(1000) ack 1
  +0 > . 9001:10001(1000) ack 1
  hungry yes
  config notsent_lowat 20000
  +0 option no_delay
  hungry no
  wanted 10000
  config notsent_lowat 0
  +0 option no_delay
  hungry yes
)")

}  // namespace
}  // namespace tideline::tcp::test
