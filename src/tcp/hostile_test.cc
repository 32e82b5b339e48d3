// SPDX-License-Identifier: Apache-2.0
// Segments that are malformed, forged, or meant to exhaust us: after each, a connection that was
// open before still transfers data.
#include "tcp/script.h"

namespace {

SCRIPT(Hostile, BadChecksum_IsDropped, R"(
  given ESTABLISHED
  +0 < R 1:1(0) badsum
  +0 < P. 1:101(100) ack 1 badsum
  +0 > nothing
  count tcp_checksum 2
  +0 < P. 1:101(100) ack 1
  +0 > . 1:1(0) ack 101
)")

SCRIPT(Hostile, SegmentToAGroup_IsDropped, R"(
  given LISTEN
  +0 < S 0:0(0) win 1000 group
  +0 < . 1:1(0) ack 1 port 999 group
  +0 > nothing
  count to_group 2
  count connections 0
)")

SCRIPT(Hostile, SmallMss_IsRaised, R"(
  given LISTEN
  +0 < S 0:0(0) win 65535 <mss 1>
  +0 > S. 0:0(0) ack 1
  +0 < . 1:1(0) ack 1 win 65535
  info mss 64
)")

SCRIPT(Hostile, SynOptionsOnData_AreIgnored, R"(
  given ESTABLISHED
  +0 < P. 1:101(100) ack 1 win 512 <mss 100,wscale 0>
  +0 > . 1:1(0) ack 101
  info mss 1460
)")

SCRIPT(Hostile, LargeWindowScale_IsBounded, R"(
  given LISTEN
  +0 < S 0:0(0) win 65535 <mss 1460,wscale 99>
  +0 > S. 0:0(0) ack 1
  +0 < . 1:1(0) ack 1 win 65535
  state ESTABLISHED
  +0 < P. 1:101(100) ack 1 win 1
  +0 > . 1:1(0) ack 101
)")

SCRIPT(Hostile, SackOfNothing_IsIgnored, R"(
  config no_delay
  given ESTABLISHED
  +0 write 100
  +0 > P. 1:101(100) ack 1
  +0 < . 1:1(0) ack 1 win 512 <sack 5000:6000 60:50>
  +0 < . 1:1(0) ack 1 win 512 <sack 90:4000>
  info sacked 0
  +0 < . 1:1(0) ack 101 win 512
)")

// Whoever has bytes of a segment and not the segment would cut our list into pieces.
SCRIPT(Hostile, OneByteSacks_ArePassedOver, R"(
  given ESTABLISHED
  +0 write 1460
  +0 > P. 1:1461(1460) ack 1
  +0.01 < . 1:1(0) ack 1 win 512 <sack 10:11 20:21 30:31>
  +0 < . 1:1(0) ack 1 win 512 <sack 40:41 50:51 60:61>
  info sacked 0
  +0 < . 1:1(0) ack 1461 win 512
  count ranges 0
)")

SCRIPT(Hostile, UrgentPointers_AreOnlyPointers, R"(
  given ESTABLISHED
  +0 < UP. 1:101(100) ack 1 urg 65535
  +0 > . 1:1(0) ack 101
  +0 < U. 101:101(0) ack 1 urg 0
  +0 > nothing
  +0 < UP. 101:102(1) ack 1 urg 0
  +0 > . 1:1(0) ack 102
  +0 read 101
)")

SCRIPT(Hostile, NoFlags_AreDropped, R"(
  given ESTABLISHED
  +0 < P 1:101(100)
  +0 < FPU 1:101(100)
  +0 > nothing
  count no_ack 2
  state ESTABLISHED
)")

SCRIPT(Hostile, SynFin_IsDropped, R"(
  given LISTEN
  +0 < SF 0:0(0) win 1000
  +0 < SR 0:0(0) win 1000
  +0 > nothing
  count flags 1
  count connections 0
)")

SCRIPT(Hostile, SynWithData_AcknowledgesTheSynOnly, R"(
  given LISTEN
  +0 < S 0:100(100) win 1000 <mss 1000>
  +0 > S. 0:0(0) ack 1
  +0.01 < P. 1:101(100) ack 1 win 1000
  +0 > . 1:1(0) ack 101
  +0 read 100
)")

SCRIPT(Hostile, AckOfTheUnsent_IsChallengedAndItsDataDropped, R"(
  given ESTABLISHED
  +1 < P. 1:101(100) ack 90000 win 512
  +0 > . 1:1(0) ack 1
  events
  count ack_unacceptable 1
)")

SCRIPT(Hostile, AncientAck_IsChallengedAndItsDataDropped, R"(
  given ESTABLISHED
  +0 write 100
  +0 > P. 1:101(100) ack 1
  +0.01 < . 1:1(0) ack 101 win 512
  +1 < P. 1:101(100) ack 4294800000 win 512
  +0 > . 101:101(0) ack 1
  events writable
  count ack_unacceptable 1
)")

SCRIPT(Hostile, Challenges_AreLimited, R"(
  given ESTABLISHED
  +1 < R 2:2(0)
  +0 > . 1:1(0) ack 1
  +0.1 < R 3:3(0)
  +0.1 < S 1:1(0) win 512
  +0 > nothing
  count challenge_limited 2
  +0.5 < R 2:2(0)
  +0 > . 1:1(0) ack 1
)")

SCRIPT(Hostile, ResetOfNothing_IsNotAnswered, R"(
  given LISTEN
  +0 < R. 1:1(0) ack 1 port 999
  +0 > nothing
)")

SCRIPT(Hostile, OldTimestamp_IsDroppedAndAcknowledged, R"(
  given ESTABLISHED <mss 1460,sackOK,TS val 1000 ecr 0,wscale 7>
  +0 < P. 1:101(100) ack 1 <TS val 1010 ecr 1>
  +0 > . 1:1(0) ack 101 <TS val * ecr 1010>
  +0 < P. 101:201(100) ack 1 <TS val 999 ecr 1>
  +0 > . 1:1(0) ack 101 <TS val * ecr 1010>
  count paws 1
  +0 < R 101:101(0) <TS val 1 ecr 1>
  events readable ended:reset released
)")

SCRIPT(Hostile, OutOfOrderTimestamp_IsNotEchoed, R"(
  given ESTABLISHED <mss 1460,sackOK,TS val 1000 ecr 0,wscale 7>
  +0 < P. 201:301(100) ack 1 <TS val 2000 ecr 1>
  +0 > . 1:1(0) ack 1 <TS val * ecr 1000,sack 201:301>
)")

SCRIPT(Hostile, ShrunkenWindow_IsObeyed, R"(
  given ESTABLISHED
  +0 < . 1:1(0) ack 1 win 8
  +0 write 3000
  +0.21 > . 1:1025(1024) ack 1
  +0.01 < . 1:1(0) ack 1 win 4
  +0 < . 1:1(0) ack 1025 win 0
  +0.21 > . 1024:1024(0) ack 1
  +0.01 < . 1:1(0) ack 1025 win 4
  +0.21 > . 1025:1537(512) ack 1
  +0.01 < . 1:1(0) ack 1537 win 512
  +0 > . 1537:2997(1460) ack 1
  +0 > P. 2997:3001(4) ack 1
)")

SCRIPT(Hostile, RetransmissionWithOtherData_DoesNotChangeWhatWasTaken, R"(
  given ESTABLISHED
  +0 < . 1:101(100) ack 1
  +0 > . 1:1(0) ack 101
  +0 < . 1:201(200) ack 1
  +0 > . 1:1(0) ack 201 <sack 1:101>
  +0 read 200
)")

SCRIPT(Hostile, OverlappingHoles_AreFilledOnce, R"(
  given ESTABLISHED
  +0 < . 301:401(100) ack 1
  +0 > . 1:1(0) ack 1 <sack 301:401>
  +0 < . 101:351(250) ack 1
  +0 > . 1:1(0) ack 1 <sack 301:351 101:401>
  +0 < . 1:1(0) ack 1
  +0 < . 1:501(500) ack 1
  +0 > . 1:1(0) ack 501
  +0 read 500
  count ranges 0
)")

SCRIPT(Hostile, OneByteHoles_AreBounded, R"(
  config max_out_of_order 2
  given ESTABLISHED
  +0 < . 3:4(1) ack 1
  +0 > . 1:1(0) ack 1 <sack 3:4>
  +0 < . 5:6(1) ack 1
  +0 > . 1:1(0) ack 1 <sack 5:6 3:4>
  +0 < . 7:8(1) ack 1
  +0 > . 1:1(0) ack 1 <sack 5:6 3:4>
  count ranges 2
  count out_of_order_full 1
  +0 < . 1:8(7) ack 1
  +0 > . 1:1(0) ack 8
  +0 read 7
)")

SCRIPT(Hostile, DataBeyondTheWindow_IsTrimmed, R"(
  config buffer 1024
  config window 1024
  given ESTABLISHED
  +0 < . 1:1025(1024) ack 1
  +0 > . 1:1(0) ack 1025
  +0 < . 1025:1525(500) ack 1
  +0 > . 1:1(0) ack 1025
)")

SCRIPT(Hostile, AckDivision_DoesNotOpenTheWindowFaster, R"(
  config reno
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
  +0.01 < . 1:1(0) ack 366 win 1000
  +0 < . 1:1(0) ack 731 win 1000
  +0 < . 1:1(0) ack 1096 win 1000
  +0 < . 1:1(0) ack 1461 win 1000
  info cwnd 11
)")

SCRIPT(Hostile, DataAfterClose_IsReset, R"(
  given ESTABLISHED
  +0 close
  +0 > F. 1:1(0) ack 1
  +0.01 < P. 1:101(100) ack 1
  +0 > R 1:1(0)
  events ended:aborted released
)")

SCRIPT(Hostile, RebootedPeer_IsHeard, R"(
  given ESTABLISHED
  +10 write 100
  +0 > P. 1:101(100) ack 1
  +0.01 < R 1:1(0)
  events ended:reset released
)")

SCRIPT(Hostile, PathErrorsOutsideTheFlight_AreIgnored, R"(
  given ESTABLISHED
  +0 write 100
  +0 > P. 1:101(100) ack 1
  +0 error port_unreachable 5000
  +0 error too_big 4294900000 600
  +0 > nothing
  count path_error_ignored 2
  info mss 1460
)")

SCRIPT(Hostile, HardErrorOfAConnection_IsSoft, R"(
  given ESTABLISHED
  +0 write 100
  +0 > P. 1:101(100) ack 1
  +0 error port_unreachable 1
  state ESTABLISHED
  +0.01 < . 1:1(0) ack 101
  events writable
)")

SCRIPT(Hostile, HardErrorWhileConnecting_Ends, R"(
  given SYN_SENT
  +0 error port_unreachable 0
  events ended:refused released
)")

SCRIPT(Hostile, SynFlood_IsAnsweredWithCookies, R"(
  config backlog 1
  config buffer 65536
  given SYN_RECEIVED
  +0.1 < S 5000:5000(0) win 1000 <mss 1460,sackOK,TS val 77 ecr 0,wscale 7> port 51000
  +0 > S. 0:0(0) ack 5001 <mss 1460,sackOK,TS val * ecr 77,wscale 7> port 51000
  count cookies_out 1
  count connections 1
  +0.01 < . 5001:5001(0) ack 9 win 512 port 51000
  +0 > R 9:9(0) port 51000
  count cookie_invalid 1
  +0.01 < P. 5001:5101(100) ack 1 win 512 <TS val 78 ecr 0> port 51000
  count cookies_in 1
  +0 > . 1:1(0) ack 5101 <TS val * ecr 78> port 51000
)")

SCRIPT(Hostile, AcceptQueue_IsBounded, R"(
  config backlog 1
  given ESTABLISHED
  +0.1 < S 5000:5000(0) win 1000 <mss 1460> port 51000
  +0 > nothing
  count accept_queue_full 1
  count connections 1
)")

}  // namespace
