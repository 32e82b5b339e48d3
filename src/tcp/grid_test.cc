// SPDX-License-Identifier: Apache-2.0
// What each state makes of a SYN, an ACK, data, a FIN and a RST: the grid of RFC 9293 §3.10.7.
// Named Rcv<Event>_<State>_<Result>; `tools/grid.py` prints it with its holes.
#include "tcp/script.h"

namespace {

SCRIPT(Tcp, RcvSyn_Listen_IsAnswered, R"(
  given LISTEN
  +0 < S 0:0(0) win 1000 <mss 1000,sackOK,wscale 7>
  +0 > S. 0:0(0) ack 1 <mss 1460,sackOK,wscale 7>
)")

SCRIPT(Tcp, RcvAck_Listen_IsReset, R"(
  given LISTEN
  +0 < . 5:5(0) ack 77
  +0 > R 77:77(0)
)")

SCRIPT(Tcp, RcvData_Listen_IsReset, R"(
  given LISTEN
  +0 < P. 5:105(100) ack 77
  +0 > R 77:77(0)
)")

SCRIPT(Tcp, RcvFin_Listen_IsDropped, R"(
  given LISTEN
  +0 < F 5:5(0)
  +0 > nothing
  count no_ack 1
)")

SCRIPT(Tcp, RcvRst_Listen_IsDropped, R"(
  given LISTEN
  +0 < R 5:5(0)
  +0 > nothing
)")

SCRIPT(Tcp, RcvSyn_SynSent_OpensSimultaneously, R"(
  given SYN_SENT
  +0.1 < S 0:0(0) win 1000 <mss 1000,sackOK,wscale 7>
  +0 > S. 0:0(0) ack 1
  state SYN_RECEIVED
  +0.1 < S. 0:0(0) ack 1 win 1000 <mss 1000,sackOK,wscale 7>
  # Should our SYN-ACK be lost, this will do.
  +0 > . 1:1(0) ack 1 <sack 0:1>
  state ESTABLISHED
  events established
)")

SCRIPT(Tcp, RcvSyn_SynSent_EstablishesWithAck, R"(
  given SYN_SENT
  +0.1 < S. 0:0(0) ack 1 win 1000 <mss 1000>
  +0 > . 1:1(0) ack 1
  state ESTABLISHED
  events established
  info mss 1000
)")

SCRIPT(Tcp, RcvAck_SynSent_UnacceptableIsReset, R"(
  given SYN_SENT
  +0.1 < . 0:0(0) ack 99
  +0 > R 99:99(0)
  state SYN_SENT
  +0.008 > S 0:0(0)
  +0.1 < . 0:0(0) ack 99
  +0 > R 99:99(0)
  +0.1 > nothing
)")

SCRIPT(Tcp, RcvAck_SynSent_WithoutSynIsDropped, R"(
  given SYN_SENT
  +0.1 < . 0:0(0) ack 1
  +0 > nothing
  state SYN_SENT
)")

SCRIPT(Tcp, RcvData_SynSent_IsDropped, R"(
  given SYN_SENT
  +0.1 < P. 1:101(100) ack 1
  +0 > nothing
  state SYN_SENT
)")

SCRIPT(Tcp, RcvFin_SynSent_IsDropped, R"(
  given SYN_SENT
  +0.1 < F. 1:1(0) ack 1
  +0 > nothing
  state SYN_SENT
)")

SCRIPT(Tcp, RcvRst_SynSent_Refuses, R"(
  given SYN_SENT
  +0.1 < R. 0:0(0) ack 1
  +0 > nothing
  events ended:refused released
)")

SCRIPT(Tcp, RcvRst_SynSent_WithWrongAckIsDropped, R"(
  given SYN_SENT
  +0.1 < R. 0:0(0) ack 7
  +0.1 < R 0:0(0)
  +0 > nothing
  state SYN_SENT
)")

SCRIPT(Tcp, RcvSyn_SynReceived_IsAnsweredAgain, R"(
  given SYN_RECEIVED
  +0.1 < S 0:0(0) win 65535 <mss 1460,sackOK,wscale 7>
  +0 > S. 0:0(0) ack 1
  count connections 1
)")

SCRIPT(Tcp, RcvAck_SynReceived_Establishes, R"(
  given SYN_RECEIVED
  +0.1 < . 1:1(0) ack 1 win 512
  +0 > nothing
  state ESTABLISHED
  events incoming
)")

SCRIPT(Tcp, RcvAck_SynReceived_WrongIsReset, R"(
  given SYN_RECEIVED
  +0.1 < . 1:1(0) ack 5 win 512
  +0 > R 5:5(0)
  count connections 1
)")

SCRIPT(Tcp, RcvData_SynReceived_EstablishesAndIsTaken, R"(
  given SYN_RECEIVED
  +0.1 < P. 1:101(100) ack 1 win 512
  +0 > . 1:1(0) ack 101
  state ESTABLISHED
  +0 read 100
)")

SCRIPT(Tcp, RcvFin_SynReceived_EstablishesAndCloses, R"(
  given SYN_RECEIVED
  +0.1 < F. 1:1(0) ack 1 win 512
  +0 > . 1:1(0) ack 2
  state CLOSE_WAIT
  events incoming peer_closed
)")

SCRIPT(Tcp, RcvRst_SynReceived_IsForgotten, R"(
  given SYN_RECEIVED
  +0.1 < R 1:1(0)
  +0 > nothing
  count connections 0
  events
)")

SCRIPT(Tcp, RcvSyn_Established_IsChallenged, R"(
  given ESTABLISHED
  +1 < S 1:1(0) win 512
  +0 > . 1:1(0) ack 1
  state ESTABLISHED
  +1 < S 0:0(0) win 512
  +0 > . 1:1(0) ack 1
  +1 < S. 90000000:90000000(0) ack 1 win 512
  +0 > . 1:1(0) ack 1
  state ESTABLISHED
  events
)")

SCRIPT(Tcp, RcvAck_Established_FreesWhatWasSent, R"(
  given ESTABLISHED
  +0 write 1000
  +0 > P. 1:1001(1000) ack 1
  +0.01 < . 1:1(0) ack 1001 win 512
  events writable
  count ranges 0
)")

SCRIPT(Tcp, RcvData_Established_IsPublished, R"(
  given ESTABLISHED
  +0 < P. 1:1001(1000) ack 1 win 512
  +0 > . 1:1(0) ack 1001
  events readable
  +0 read 1000
)")

SCRIPT(Tcp, RcvFin_Established_ClosesTheirSide, R"(
  given ESTABLISHED
  +0 < FP. 1:501(500) ack 1 win 512
  +0 > . 1:1(0) ack 502
  state CLOSE_WAIT
  events readable peer_closed
  +0 read 500
  +0 write 10
  +0 > P. 1:11(10) ack 502
)")

SCRIPT(Tcp, RcvFin_Established_WaitsForTheHole, R"(
  given ESTABLISHED
  +0 < F. 501:1001(500) ack 1 win 512
  +0 > . 1:1(0) ack 1 <sack 501:1001>
  state ESTABLISHED
  +0 < . 1:501(500) ack 1 win 512
  +0 > . 1:1(0) ack 1002
  state CLOSE_WAIT
  events readable peer_closed
  +0 read 1000
)")

SCRIPT(Tcp, RcvRst_Established_Resets, R"(
  given ESTABLISHED
  +0 < R 1:1(0)
  +0 > nothing
  events ended:reset released
  count connections 0
)")

SCRIPT(Tcp, RcvRst_Established_InWindowIsChallenged, R"(
  given ESTABLISHED
  +1 < R 2:2(0)
  +0 > . 1:1(0) ack 1
  state ESTABLISHED
  count rst_challenged 1
)")

SCRIPT(Tcp, RcvRst_Established_OutOfWindowIsDropped, R"(
  given ESTABLISHED
  +0.1 < R 90000:90000(0)
  +0 > nothing
  state ESTABLISHED
)")

SCRIPT(Tcp, RcvSyn_FinWait1_IsChallenged, R"(
  given FIN_WAIT_1
  +0.01 < S 1:1(0) win 512
  +0 > . 2:2(0) ack 1
  state FIN_WAIT_1
)")

SCRIPT(Tcp, RcvAck_FinWait1_OfFinGoesOn, R"(
  given FIN_WAIT_1
  +0.01 < . 1:1(0) ack 2 win 512
  +0 > nothing
  state FIN_WAIT_2
)")

SCRIPT(Tcp, RcvData_FinWait1_IsPublished, R"(
  given FIN_WAIT_1
  +0.01 < . 1:101(100) ack 1 win 512
  +0 > . 2:2(0) ack 101
  state FIN_WAIT_1
  events readable
  +0 read 100
)")

SCRIPT(Tcp, RcvFin_FinWait1_ClosesSimultaneously, R"(
  given FIN_WAIT_1
  +0.01 < F. 1:1(0) ack 1 win 512
  +0 > . 2:2(0) ack 2
  state CLOSING
)")

SCRIPT(Tcp, RcvFin_FinWait1_WithAckWaits, R"(
  given FIN_WAIT_1
  +0.01 < F. 1:1(0) ack 2 win 512
  +0 > . 2:2(0) ack 2
  state TIME_WAIT
  events peer_closed ended:finished released
)")

SCRIPT(Tcp, RcvRst_FinWait1_Resets, R"(
  given FIN_WAIT_1
  +0.01 < R 1:1(0)
  events ended:reset released
)")

SCRIPT(Tcp, RcvSyn_FinWait2_IsChallenged, R"(
  given FIN_WAIT_2
  +1 < S 1:1(0) win 512
  +0 > . 2:2(0) ack 1
  state FIN_WAIT_2
)")

SCRIPT(Tcp, RcvAck_FinWait2_ChangesNothing, R"(
  given FIN_WAIT_2
  +1 < . 1:1(0) ack 2 win 512
  +0 > nothing
  state FIN_WAIT_2
)")

SCRIPT(Tcp, RcvData_FinWait2_IsPublished, R"(
  given FIN_WAIT_2
  +1 < . 1:101(100) ack 2 win 512
  +0 > . 2:2(0) ack 101
  events readable
  +0 read 100
)")

SCRIPT(Tcp, RcvData_FinWait2_AfterCloseIsReset, R"(
  given FIN_WAIT_2
  +0 close
  +1 < . 1:101(100) ack 2 win 512
  +0 > R 2:2(0)
  events ended:aborted released
  count connections 0
)")

SCRIPT(Tcp, RcvFin_FinWait2_Waits, R"(
  given FIN_WAIT_2
  +1 < F. 1:1(0) ack 2 win 512
  +0 > . 2:2(0) ack 2
  state TIME_WAIT
  events peer_closed ended:finished released
  +60.1 > nothing
  count connections 0
)")

SCRIPT(Tcp, RcvRst_FinWait2_Resets, R"(
  given FIN_WAIT_2
  +1 < R 1:1(0)
  events ended:reset released
)")

SCRIPT(Tcp, RcvSyn_CloseWait_IsChallenged, R"(
  given CLOSE_WAIT
  +1 < S 2:2(0) win 512
  +0 > . 1:1(0) ack 2
  state CLOSE_WAIT
)")

SCRIPT(Tcp, RcvAck_CloseWait_FreesWhatWasSent, R"(
  given CLOSE_WAIT
  +0 write 10
  +0 > P. 1:11(10) ack 2
  +0.01 < . 2:2(0) ack 11 win 512
  events writable
)")

SCRIPT(Tcp, RcvData_CloseWait_IsIgnored, R"(
  given CLOSE_WAIT
  +0 < . 2:102(100) ack 1 win 512
  +0 > nothing
  events
  state CLOSE_WAIT
)")

SCRIPT(Tcp, RcvFin_CloseWait_IsAcknowledgedAgain, R"(
  given CLOSE_WAIT
  +1 < F. 1:1(0) ack 1 win 512
  +0 > . 1:1(0) ack 2
  state CLOSE_WAIT
  events
)")

SCRIPT(Tcp, RcvRst_CloseWait_Resets, R"(
  given CLOSE_WAIT
  +0 < R 2:2(0)
  events ended:reset released
)")

SCRIPT(Tcp, RcvSyn_Closing_IsChallenged, R"(
  given CLOSING
  +0.01 < S 2:2(0) win 512
  +0 > . 2:2(0) ack 2
  state CLOSING
)")

SCRIPT(Tcp, RcvAck_Closing_OfFinWaits, R"(
  given CLOSING
  +0.01 < . 2:2(0) ack 2 win 512
  +0 > nothing
  state TIME_WAIT
)")

SCRIPT(Tcp, RcvAck_Closing_OfLessChangesNothing, R"(
  given CLOSING
  +0.01 < . 2:2(0) ack 1 win 512
  +0 > nothing
  state CLOSING
)")

SCRIPT(Tcp, RcvData_Closing_IsIgnored, R"(
  given CLOSING
  +0.01 < . 2:102(100) ack 1 win 512
  +0 > nothing
  state CLOSING
)")

SCRIPT(Tcp, RcvFin_Closing_IsAcknowledgedAgain, R"(
  given CLOSING
  +0.01 < F. 1:1(0) ack 1 win 512
  +0 > . 2:2(0) ack 2
  state CLOSING
)")

SCRIPT(Tcp, RcvRst_Closing_Ends, R"(
  given CLOSING
  +0.01 < R 2:2(0)
  events ended:reset released
)")

SCRIPT(Tcp, RcvSyn_LastAck_IsChallenged, R"(
  given LAST_ACK
  +0.01 < S 2:2(0) win 512
  +0 > . 2:2(0) ack 2
  state LAST_ACK
)")

SCRIPT(Tcp, RcvAck_LastAck_Ends, R"(
  given LAST_ACK
  +0.01 < . 2:2(0) ack 2 win 512
  +0 > nothing
  events ended:finished released
  count connections 0
)")

SCRIPT(Tcp, RcvData_LastAck_IsIgnored, R"(
  given LAST_ACK
  +0.01 < . 2:102(100) ack 1 win 512
  +0 > nothing
  state LAST_ACK
)")

SCRIPT(Tcp, RcvFin_LastAck_IsAcknowledgedAgain, R"(
  given LAST_ACK
  +0.01 < F. 1:1(0) ack 1 win 512
  +0 > . 2:2(0) ack 2
  state LAST_ACK
)")

SCRIPT(Tcp, RcvRst_LastAck_Ends, R"(
  given LAST_ACK
  +0.01 < R 2:2(0)
  events ended:reset released
)")

SCRIPT(Tcp, RcvSyn_TimeWait_NewerReopens, R"(
  given TIME_WAIT
  +1 < S 1000:1000(0) win 512 <mss 1460>
  +0 > S. 0:0(0) ack 1001
  count connections 1
)")

SCRIPT(Tcp, RcvSyn_TimeWait_OlderIsChallenged, R"(
  given TIME_WAIT
  +1 < S 0:0(0) win 512 <mss 1460>
  +0 > . 2:2(0) ack 2
  state TIME_WAIT
)")

SCRIPT(Tcp, RcvAck_TimeWait_ChangesNothing, R"(
  given TIME_WAIT
  +1 < . 2:2(0) ack 2 win 512
  +0 > nothing
  state TIME_WAIT
)")

SCRIPT(Tcp, RcvData_TimeWait_IsIgnored, R"(
  given TIME_WAIT
  +1 < . 2:102(100) ack 2 win 512
  +0 > nothing
  state TIME_WAIT
)")

SCRIPT(Tcp, RcvFin_TimeWait_IsAcknowledgedAndWaitsAnew, R"(
  given TIME_WAIT
  +50 < F. 1:1(0) ack 2 win 512
  +0 > . 2:2(0) ack 2
  +30 > nothing
  state TIME_WAIT
  +31 > nothing
  count connections 0
)")

SCRIPT(Tcp, RcvRst_TimeWait_IsIgnored, R"(
  given TIME_WAIT
  +1 < R 2:2(0)
  +0 > nothing
  state TIME_WAIT
  count time_wait_rst 1
)")

// A peer that was killed, or restarted, and came upon the ports of its last life.
SCRIPT(Tcp, RcvRst_TimeWait_EndsItAfterSyn, R"(
  given TIME_WAIT
  +1 < S 0:0(0) win 512 <mss 1460>
  +0 > . 2:2(0) ack 2
  +0 < R 2:2(0)
  count connections 0
  count time_wait_rst 0
)")

SCRIPT(Tcp, RcvSynAckWithData_SynSent_TakesIt, R"(
  given SYN_SENT
  +0.01 < S. 0:10(10) ack 1 win 65535 <mss 1460>
  +0 > . 1:1(0) ack 11
  events established readable
  +0 read 10
)")

// What a host has switched off it neither asks for nor grants.
SCRIPT(Tcp, Connect_WithoutOptions_AsksForNone, R"(
  config no_timestamps
  config no_window_scaling
  config no_sack
  +0 connect
  +0 > S 0:0(0) <mss 1460>
  +0.01 < S. 0:0(0) ack 1 win 65535 <mss 1460,TS val 1 ecr 0,sackOK,wscale 7>
  +0 > . 1:1(0) ack 1 win 65535 <>
)")
SCRIPT(Tcp, RcvSyn_Listen_WithoutOptions_GrantsNone, R"(
  config no_timestamps
  config no_window_scaling
  config no_sack
  given LISTEN
  +0 < S 0:0(0) win 65535 <mss 1460,TS val 1 ecr 0,sackOK,wscale 7>
  +0 > S. 0:0(0) ack 1 <mss 1460>
  +0.01 < . 1:1(0) ack 1 win 1000
  +0 < P. 11:21(10) ack 1 win 1000
  +0 > . 1:1(0) ack 1 <>
)")

}  // namespace
