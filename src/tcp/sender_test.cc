// SPDX-License-Identifier: Apache-2.0
// The sending side, segment by segment: Nagle, cork, windows, probes, time-outs, and the timers of
// a connection's life.
#include "tcp/script.h"

namespace {

SCRIPT(Sender, Syn_IsSentAgainUntilItIsHopeless, R"(
  +0 connect
  +0 > S 0:0(0) <mss 1460,sackOK,TS val 0 ecr 0,wscale 7>
  +1 > S 0:0(0)
  +2 > S 0:0(0)
  +4 > S 0:0(0)
  +8 > S 0:0(0)
  +16 > S 0:0(0)
  +32 > S 0:0(0)
  +64.1 > nothing
  events ended:timed_out released
)")

SCRIPT(Sender, SynAck_IsSentAgain, R"(
  given SYN_RECEIVED
  +1 > S. 0:0(0) ack 1
  +2 > S. 0:0(0) ack 1
  +0.1 < . 1:1(0) ack 1
  state ESTABLISHED
)")

SCRIPT(Sender, WithoutOptions_NoneAreSent, R"(
  given ESTABLISHED <mss 1460>
  +0 write 10
  +0 > P. 1:11(10) ack 1 <nop>
  +0.01 < P. 11:21(10) ack 11
  +0 > . 11:11(0) ack 1 <nop>
  +0 < R 1:1(0)
)")

SCRIPT(Sender, Timestamps_AreEchoed, R"(
  given ESTABLISHED <mss 1460,sackOK,TS val 500 ecr 0,wscale 7>
  info mss 1448
  +0.1 < P. 1:11(10) ack 1 <TS val 600 ecr 10>
  +0 > . 1:1(0) ack 11 <TS val 110 ecr 600>
)")

SCRIPT(Sender, Nagle_HoldsTheSecondSmallSegment, R"(
  given ESTABLISHED
  +0 write 100
  +0 > P. 1:101(100) ack 1
  +0 write 100
  +0 write 100
  +0 > nothing
  +0.01 < . 1:1(0) ack 101
  +0 > P. 101:301(200) ack 1
  +0.01 < . 1:1(0) ack 301
)")

SCRIPT(Sender, NoDelay_SendsAtOnce, R"(
  config no_delay
  given ESTABLISHED
  +0 write 100
  +0 > P. 1:101(100) ack 1
  +0 write 100
  +0 > P. 101:201(100) ack 1
  +0.01 < . 1:1(0) ack 201
)")

SCRIPT(Sender, Cork_HoldsForATimeout, R"(
  config cork
  given ESTABLISHED
  +0 write 2000
  +0 > . 1:1461(1460) ack 1
  +0.01 < . 1:1(0) ack 1461
  +0.2 > P. 1461:2001(540) ack 1
  +0.01 < . 1:1(0) ack 2001
  +0 write 100
  +0.1 option uncork
  +0 > P. 2001:2101(100) ack 1
  +0.01 < . 1:1(0) ack 2101
)")

// Half of the window at most; the peer's PSH is at the end of each.
SCRIPT(Sender, SuperFrames_CarryWholeSegments, R"(
  config gso
  given LISTEN
  +0 < S 0:0(0) win 65535 <mss 1460,sackOK,wscale 7>
  +0 > S. 0:0(0) ack 1
  +0 < . 1:1(0) ack 1
  +0 write 14700
  +0 > P. 1:7301(7300) ack 1
  +0 > P. 7301:14601(7300) ack 1
  +0 < . 1:1(0) ack 14601
  +0 > P. 14601:14701(100) ack 1
  +0.01 < . 1:1(0) ack 14701
)")

SCRIPT(Sender, SuperFrames_OfALongPathAreShort, R"(
  config gso
  given ESTABLISHED
  +0 write 5840
  +0 > P. 1:2921(2920) ack 1
  +0 > P. 2921:5841(2920) ack 1
  +0.01 < . 1:1(0) ack 5841
)")

SCRIPT(Sender, MoreToCome_WaitsForItOrForAnAcknowledgment, R"(
  config no_delay
  given ESTABLISHED
  +0 write 40 more
  +0.05 > nothing
  +0 write 60
  +0 > P. 1:101(100) ack 1
  +0.01 < . 1:1(0) ack 101
  +0 write 1500 more
  +0 > . 101:1561(1460) ack 1
  +0.01 < . 1:1(0) ack 1561
  +0 > . 1561:1601(40) ack 1
  +0.01 < . 1:1(0) ack 1601
  +0 write 10 more
  +0.205 > nothing
  +0.005 > P. 1601:1611(10) ack 1
  +0.01 < . 1:1(0) ack 1611
)")

SCRIPT(Sender, NoDelay_SendsWhatACorkHolds, R"(
  config cork
  given ESTABLISHED
  +0 write 40
  +0.05 > nothing
  +0 option no_delay
  +0 > P. 1:41(40) ack 1
  +0 write 40
  +0.05 > nothing
  +0 option uncork
  +0 > P. 41:81(40) ack 1
  +0.01 < . 1:1(0) ack 81
)")

SCRIPT(Sender, Records_ShareNoSegment, R"(
  config no_delay
  given ESTABLISHED
  +0 write 14600
  +0 > . 1:1461(1460) ack 1
  +0 > . 1461:2921(1460) ack 1
  +0 > . 2921:4381(1460) ack 1
  +0 > . 4381:5841(1460) ack 1
  +0 > . 5841:7301(1460) ack 1
  +0 > . 7301:8761(1460) ack 1
  +0 > . 8761:10221(1460) ack 1
  +0 > . 10221:11681(1460) ack 1
  +0 > . 11681:13141(1460) ack 1
  +0 > P. 13141:14601(1460) ack 1
  +0 write 300
  +0 write 100 record
  +0 write 100 record
  +0 write 100
  +0.01 < . 1:1(0) ack 14601
  +0 > P. 14601:15001(400) ack 1
  +0 > P. 15001:15101(100) ack 1
  +0 > P. 15101:15201(100) ack 1
  +0.01 < . 1:1(0) ack 15201
)")

SCRIPT(Sender, ZeroWindow_IsProbedEverMoreRarely, R"(
  given ESTABLISHED
  +0 < . 1:1(0) ack 1 win 0
  +0 write 100
  +0.21 > . 0:0(0) ack 1
  +0.01 < . 1:1(0) ack 1 win 0
  +0.41 > . 0:0(0) ack 1
  +0.01 < . 1:1(0) ack 1 win 0
  +0.83 > . 0:0(0) ack 1
  +0.01 < . 1:1(0) ack 1 win 512
  +0 > P. 1:101(100) ack 1
  +0.01 < . 1:1(0) ack 101
)")

SCRIPT(Sender, Timeout_BacksOffAndGivesUpAfterUserTimeout, R"(
  config user_timeout 3
  given ESTABLISHED <mss 1460>
  +0 write 100
  +0 > P. 1:101(100) ack 1
  +0.21 > P. 1:101(100) ack 1
  +0.42 > P. 1:101(100) ack 1
  +0.84 > P. 1:101(100) ack 1
  +1.53 > R. 101:101(0) ack 1
  events ended:timed_out released
)")

SCRIPT(Sender, Keepalive_ProbesAndGivesUp, R"(
  config keepalive 10 2 2
  given ESTABLISHED
  +10 > . 0:0(0) ack 1
  +0.01 < . 1:1(0) ack 1
  +10 > . 0:0(0) ack 1
  +2 > . 0:0(0) ack 1
  +2 > R. 1:1(0) ack 1
  events ended:timed_out released
)")

SCRIPT(Sender, DelayedAck_ComesAfterQuickOnesAreUsedUp, R"(
  given ESTABLISHED
  +0 < P. 1:11(10) ack 1
  +0 > . 1:1(0) ack 11
  +0 < P. 11:21(10) ack 1
  +0 > . 1:1(0) ack 21
  +0 < P. 21:31(10) ack 1
  +0 > . 1:1(0) ack 31
  +0 < P. 31:41(10) ack 1
  +0 > . 1:1(0) ack 41
  +0 < P. 41:51(10) ack 1
  +0 > . 1:1(0) ack 51
  +0 < P. 51:61(10) ack 1
  +0 > . 1:1(0) ack 61
  +0 < P. 61:71(10) ack 1
  +0 > . 1:1(0) ack 71
  +0 < P. 71:81(10) ack 1
  +0 > . 1:1(0) ack 81
  +0 < P. 81:91(10) ack 1
  +0 > . 1:1(0) ack 91
  +0 < P. 91:101(10) ack 1
  +0 > . 1:1(0) ack 101
  +0 < P. 101:111(10) ack 1
  +0 > . 1:1(0) ack 111
  +0 < P. 111:121(10) ack 1
  +0 > . 1:1(0) ack 121
  +0 < P. 121:131(10) ack 1
  +0 > . 1:1(0) ack 131
  +0 < P. 131:141(10) ack 1
  +0 > . 1:1(0) ack 141
  +0 < P. 141:151(10) ack 1
  +0 > . 1:1(0) ack 151
  +0 < P. 151:161(10) ack 1
  +0 > . 1:1(0) ack 161
  +0 < P. 161:171(10) ack 1
  +0 > nothing
  +0.04 > . 1:1(0) ack 171
  +0 < P. 171:181(10) ack 1
  +0.01 write 5
  +0 > P. 1:6(5) ack 181
  +0.01 < . 181:181(0) ack 6
)")

SCRIPT(Sender, ClosedWindow_OpensWhenHalfIsRead, R"(
  config buffer 4096
  config window 4096
  given ESTABLISHED
  +0 < P. 1:1461(1460) ack 1
  +0 > . 1:1(0) ack 1461
  +0 < P. 1461:2921(1460) ack 1
  +0 > . 1:1(0) ack 2921
  +0 < P. 2921:4097(1176) ack 1
  +0 > . 1:1(0) ack 4097 win 0
  +0.1 read 1000
  +0 > nothing
  +0 read 1100
  +0 > . 1:1(0) ack 4097 win 16
)")

SCRIPT(Sender, Shutdown_SendsFinBehindTheData, R"(
  given ESTABLISHED
  +0 write 100
  +0 shutdown
  +0 > P. 1:101(100) ack 1
  +0 > F. 101:101(0) ack 1
  state FIN_WAIT_1
  +0.01 < . 1:1(0) ack 102
  state FIN_WAIT_2
)")

SCRIPT(Sender, Abort_Resets, R"(
  given ESTABLISHED
  +0 write 100
  +0 > P. 1:101(100) ack 1
  +0 abort
  +0 > R. 101:101(0) ack 1
  events ended:aborted released
)")

SCRIPT(Sender, FinWait2_EndsAfterAMinuteOnceClosed, R"(
  given FIN_WAIT_2
  +0 close
  +59 > nothing
  state FIN_WAIT_2
  +1.1 > nothing
  count connections 0
)")

SCRIPT(Sender, PathMtu_IsObeyed, R"(
  given ESTABLISHED
  +0 write 2000
  +0 > . 1:1461(1460) ack 1
  +0 > P. 1461:2001(540) ack 1
  +0.01 error too_big 1 1000
  +0 > . 1:961(960) ack 1
  +0 > . 961:1461(500) ack 1
  +0 > P. 1461:2001(540) ack 1
  info mss 960
  +0.01 < . 1:1(0) ack 2001
)")

SCRIPT(Sender, Pacing_SpreadsSegments, R"(
  config pacing 146000
  config gso
  given ESTABLISHED
  +0 write 14600
  +0 > P. 1:2921(2920) ack 1
  +0 > P. 2921:5841(2920) ack 1
  +0 > P. 5841:8761(2920) ack 1
  +0 > P. 8761:11681(2920) ack 1
  +0 > P. 11681:14601(2920) ack 1
  +0.01 < . 1:1(0) ack 14601
  +0 write 8760
  +0 > P. 14601:17521(2920) ack 1
  +0.01 > P. 17521:20441(2920) ack 1
  +0 < . 1:1(0) ack 20441
  +0.02 > P. 20441:23361(2920) ack 1
  +0.01 < . 1:1(0) ack 23361
)")

SCRIPT(Sender, Ecn_IsNegotiatedEchoedAndHeeded, R"(
  config ecn
  +0 connect
  +0 > SEW 0:0(0)
  +0.01 < SE. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,wscale 7>
  +0 > . 1:1(0) ack 1
  +0 write 1460
  +0 > P. 1:1461(1460) ack 1 ect
  +0.01 < P. 1:101(100) ack 1461 ce
  +0 > E. 1461:1461(0) ack 101
  +0 < WP. 101:201(100) ack 1461
  +0 > . 1461:1461(0) ack 201
  info cwnd 10
  +0 < E. 201:201(0) ack 1461
  info cwnd 7
  +0 write 1460
  +0 > WP. 1461:2921(1460) ack 201 ect
  +0.01 < . 201:201(0) ack 2921
)")

// RFC 3168 §6.1.1: what may have been dropped because it asked goes without, and so does the rest.
SCRIPT(Sender, Ecn_SynWithoutAfterOneThatAsked_MarksNothing, R"(
  given LISTEN
  +0 < SEW 0:0(0) win 65535 <mss 1460>
  +0 > SE. 0:0(0) ack 1
  +0.1 < S 0:0(0) win 65535 <mss 1460>
  +0 > SE. 0:0(0) ack 1
  +0.01 < . 1:1(0) ack 1
  +0 write 100
  +0 > P. 1:101(100) ack 1
  +0.01 < . 1:1(0) ack 101
)")

// §6.1.5, §6.1.6: who marks either could do harm without being noticed.
SCRIPT(Sender, Ecn_RetransmissionsAndWindowProbesAreNotEct, R"(
  config ecn
  +0 connect
  +0 > SEW 0:0(0)
  +0.01 < SE. 0:0(0) ack 1 win 65535 <mss 1460>
  +0 > . 1:1(0) ack 1
  +0 write 100
  +0 > P. 1:101(100) ack 1 ect
  +0.21 > P. 1:101(100) ack 1
  +0.01 < . 1:1(0) ack 101 win 0
  +0 write 100
  +0.42 > . 100:100(0) ack 1
  +0.01 < . 1:1(0) ack 101 win 65535
  +0 > PW. 101:201(100) ack 1 ect
  +0.01 < . 1:1(0) ack 201 win 65535
)")

SCRIPT(Sender, Ipv6_UsesItsOwnSizes, R"(
  config ipv6
  given LISTEN
  +0 < S 0:0(0) win 65535
  +0 > S. 0:0(0) ack 1 <mss 1440>
  +0.01 < . 1:1(0) ack 1
  info mss 1220
)")

}  // namespace
