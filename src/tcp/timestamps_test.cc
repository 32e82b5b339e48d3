// SPDX-License-Identifier: Apache-2.0
// RFC 7323, RFC 6191: windows that are scaled, what timestamps tell of old segments and of new
// connections.
#include "tcp/script.h"

namespace {

// RFC 7323 §2.2: of the peer's SYN 1000 bytes are 1000 bytes, and ours has 65535.
SCRIPT(WindowScale, OfSyns_IsNone, R"(
  +0 connect
  +0 > S 0:0(0) win 65535 <mss 1460,sackOK,TS val 0 ecr 0,wscale 7>
  +0.01 < S. 0:0(0) ack 1 win 1000 <mss 1460,wscale 7>
  +0 > . 1:1(0) ack 1 win 511
  +0 write 1200
  +0 > . 1:1001(1000) ack 1
  +0.01 < . 1:1(0) ack 1001 win 10
  +0 > P. 1001:1201(200) ack 1
  +0.01 < . 1:1(0) ack 1201 win 10
)")

SCRIPT(WindowScale, OfSynAcks_IsNone, R"(
  given LISTEN
  +0 < S 0:0(0) win 1000 <mss 1460,wscale 7>
  +0 > S. 0:0(0) ack 1 win 65535
)")

// §5.5: a clock of that age has gone round, or may have.
SCRIPT(Timestamps, OldOnes_AreBelievedAfter24Days, R"(
  given ESTABLISHED <mss 1460,sackOK,TS val 1000 ecr 0,wscale 7>
  +2073500 < P. 1:101(100) ack 1 <TS val 5 ecr 1>
  +0 > . 1:1(0) ack 1
  count paws 1
  +200 < P. 1:101(100) ack 1 <TS val 5 ecr 1>
  +0 > . 1:1(0) ack 101 <TS val * ecr 5>
  count paws 1
)")

// RFC 2883 §4.3: what came twice is told, though its timestamp is old.
SCRIPT(Timestamps, OldOneOfADuplicate_IsReportedByDsack, R"(
  given ESTABLISHED <mss 1460,sackOK,TS val 1000 ecr 0,wscale 7>
  +0 < P. 1:101(100) ack 1 <TS val 1010 ecr 1>
  +0 > . 1:1(0) ack 101
  +0 < P. 1:101(100) ack 1 <TS val 999 ecr 1>
  +0 > . 1:1(0) ack 101 <TS val * ecr 1010,sack 1:101>
  count paws 1
)")

// RFC 6191 §2: whatever the number.
SCRIPT(Timestamps, RcvSyn_TimeWait_LaterReopens, R"(
  given TIME_WAIT <mss 1460,sackOK,TS val 1000 ecr 0,wscale 7>
  +1 < S 0:0(0) win 512 <mss 1460,TS val 1001 ecr 0>
  +0 > S. 0:0(0) ack 1
  count connections 1
)")

SCRIPT(Timestamps, RcvSyn_TimeWait_SameReopensWithALaterNumber, R"(
  given TIME_WAIT <mss 1460,sackOK,TS val 1000 ecr 0,wscale 7>
  +1 < S 0:0(0) win 512 <mss 1460,TS val 1000 ecr 0>
  +0 > . 2:2(0) ack 2
  state TIME_WAIT
  +0 < S 1000:1000(0) win 512 <mss 1460,TS val 1000 ecr 0>
  +0 > S. 0:0(0) ack 1001
  count connections 1
)")

SCRIPT(Timestamps, RcvSyn_TimeWait_EarlierIsChallenged, R"(
  given TIME_WAIT <mss 1460,sackOK,TS val 1000 ecr 0,wscale 7>
  +1 < S 1000:1000(0) win 512 <mss 1460,TS val 999 ecr 0>
  +0 > . 2:2(0) ack 2
  state TIME_WAIT
)")

}  // namespace
