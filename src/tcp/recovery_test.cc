// SPDX-License-Identifier: Apache-2.0
// Loss and its repair, segment by segment: RFC 8985, 6937, 6582, 5682, 3522, 3708.
#include "tcp/script.h"

namespace {

SCRIPT(Recovery, ThreeSackedSegments_RepairTheFirstAtOnce, R"(
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
  +0.01 < . 1:1(0) ack 1 <sack 1461:2921>
  +0 < . 1:1(0) ack 1 <sack 1461:4381>
  +0 > nothing
  info recovery 1
  +0 < . 1:1(0) ack 1 <sack 1461:5841>
  +0 > . 1:1461(1460) ack 1
  info recovery 3
  info ssthresh 5
  +0.01 < . 1:1(0) ack 14601
  info recovery 0
  info cwnd 5
  count ranges 0
)")

SCRIPT(Recovery, FewerAreWaitedForAsReordering, R"(
  given ESTABLISHED
  +0 write 4380
  +0 > . 1:1461(1460) ack 1
  +0 > . 1461:2921(1460) ack 1
  +0 > P. 2921:4381(1460) ack 1
  +0.01 < . 1:1(0) ack 1 <sack 1461:2921>
  +0 > nothing
  +0.0025 > . 1:1461(1460) ack 1
  +0.01 < . 1:1(0) ack 4381
)")

SCRIPT(Recovery, SackOfTheFin_RepairsWhatWasBefore, R"(
  given ESTABLISHED
  +0 write 1000
  +0 > P. 1:1001(1000) ack 1
  +0 shutdown
  +0 > F. 1001:1001(0) ack 1
  +0.01 < . 1:1(0) ack 1 <sack 1001:1002>
  +0 > nothing
  +0.0025 > P. 1:1001(1000) ack 1
  +0.01 < . 1:1(0) ack 1002
)")

SCRIPT(Recovery, LateSegment_IsNoLoss, R"(
  given ESTABLISHED
  +0 write 2920
  +0 > . 1:1461(1460) ack 1
  +0 > P. 1461:2921(1460) ack 1
  +0.01 < . 1:1(0) ack 1 <sack 1461:2921>
  +0.001 < . 1:1(0) ack 2921
  +0.5 > nothing
  info recovery 0
)")

SCRIPT(Recovery, LostTail_IsProbed, R"(
  given ESTABLISHED
  +0 write 4380
  +0 > . 1:1461(1460) ack 1
  +0 > . 1461:2921(1460) ack 1
  +0 > P. 2921:4381(1460) ack 1
  +0.022 > P. 2921:4381(1460) ack 1
  count probes 1
  +0.011 < . 1:1(0) ack 1 <sack 2921:4381>
  +0 > . 1:1461(1460) ack 1
  +0.01 < . 1:1(0) ack 1461 <sack 2921:4381>
  +0 > . 1461:2921(1460) ack 1
  +0.01 < . 1:1(0) ack 4381
  count timeouts 0
)")

SCRIPT(Recovery, Probe_PrefersNewData, R"(
  given ESTABLISHED
  +0 write 1460
  +0 > P. 1:1461(1460) ack 1
  +0.1 write 100
  +0 > P. 1461:1561(100) ack 1
  +0.01 < . 1:1(0) ack 1561
  count probes 0
)")

SCRIPT(Recovery, ProbeThatRepairedALoss_ReducesTheWindow, R"(
  config reno
  given ESTABLISHED
  +0 write 2920
  +0 > . 1:1461(1460) ack 1
  +0 > P. 1461:2921(1460) ack 1
  +0.01 < . 1:1(0) ack 1461
  +0.21 > P. 1461:2921(1460) ack 1
  +0.01 < . 1:1(0) ack 2921
  +0 write 100
  +0 > P. 2921:3021(100) ack 1
  +0.01 < . 1:1(0) ack 3021
  count timeouts 0
)")

SCRIPT(Recovery, WithoutSack_ThreeDuplicatesRepair, R"(
  config reno
  given ESTABLISHED <mss 1460>
  +0 < . 1:1(0) ack 1 win 65535
  +0 write 8760
  +0 > . 1:1461(1460) ack 1
  +0 > . 1461:2921(1460) ack 1
  +0 > . 2921:4381(1460) ack 1
  +0 > . 4381:5841(1460) ack 1
  +0 > . 5841:7301(1460) ack 1
  +0 > P. 7301:8761(1460) ack 1
  +0.01 < . 1:1(0) ack 1 win 65535
  +0 < . 1:1(0) ack 1 win 65535
  +0 > nothing
  +0 < . 1:1(0) ack 1 win 65535
  +0 > . 1:1461(1460) ack 1
  +0.01 < . 1:1(0) ack 2921 win 65535
  +0 > . 2921:4381(1460) ack 1
  +0.01 < . 1:1(0) ack 8761 win 65535
  info recovery 0
)")

SCRIPT(Recovery, Timeout_SendsTheFirstAndStartsSlowly, R"(
  config reno
  given ESTABLISHED <mss 1460>
  +0 < . 1:1(0) ack 1 win 65535
  +0 write 4380
  +0 > . 1:1461(1460) ack 1
  +0 > . 1461:2921(1460) ack 1
  +0 > P. 2921:4381(1460) ack 1
  +0.21 > . 1:1461(1460) ack 1
  info cwnd 1
  info recovery 4
  +0.01 < . 1:1(0) ack 1461 win 65535
  +0 > . 1461:2921(1460) ack 1
  +0 > P. 2921:4381(1460) ack 1
  +0.01 < . 1:1(0) ack 4381 win 65535
  info recovery 0
)")

SCRIPT(Recovery, SpuriousTimeout_IsUndone, R"(
  config reno
  given ESTABLISHED
  +0 write 4380
  +0 > . 1:1461(1460) ack 1
  +0 > . 1461:2921(1460) ack 1
  +0 > P. 2921:4381(1460) ack 1
  +0.022 > P. 2921:4381(1460) ack 1
  +0.21 > . 1:1461(1460) ack 1
  info recovery 4
  +0.01 < . 1:1(0) ack 2921
  count undone 1
  info cwnd 10
  +0.01 < . 1:1(0) ack 4381
)")

SCRIPT(Recovery, Dsack_UndoesANeedlessRepair, R"(
  config reno
  given ESTABLISHED
  +0 write 7300
  +0 > . 1:1461(1460) ack 1
  +0 > . 1461:2921(1460) ack 1
  +0 > . 2921:4381(1460) ack 1
  +0 > . 4381:5841(1460) ack 1
  +0 > P. 5841:7301(1460) ack 1
  +0.01 < . 1:1(0) ack 1 <sack 1461:5841>
  +0 > . 1:1461(1460) ack 1
  info recovery 3
  +0.001 < . 1:1(0) ack 5841
  +0.009 < . 1:1(0) ack 5841 <sack 1:1461>
  count undone 1
  info recovery 0
  +0.01 < . 1:1(0) ack 7301
)")

SCRIPT(Recovery, RenegedSack_IsSentAgainAfterTimeout, R"(
  given ESTABLISHED
  +0 write 4380
  +0 > . 1:1461(1460) ack 1
  +0 > . 1461:2921(1460) ack 1
  +0 > P. 2921:4381(1460) ack 1
  +0.01 < . 1:1(0) ack 1 <sack 1461:4381>
  +0.0025 > . 1:1461(1460) ack 1
  +0.01 < . 1:1(0) ack 1461
  +0.21 > . 1461:2921(1460) ack 1
  +0.01 < . 1:1(0) ack 4381
)")

SCRIPT(Recovery, DuplicateData_IsReportedByDsack, R"(
  given ESTABLISHED
  +0 < . 1:101(100) ack 1
  +0 > . 1:1(0) ack 101
  +0 < . 1:101(100) ack 1
  +0 > . 1:1(0) ack 101 <sack 1:101>
)")

// RFC 8985 §6.2, step 2: the round trip is that of the latest delivery, late as it may be; so what
// was sent with it is not lost yet. And an acknowledgment that was overtaken tells what it sacks.
SCRIPT(Recovery, Rack_GoesByTheLatestDelivery, R"(
  config gso
  given ESTABLISHED <mss 1000,sackOK,wscale 7>
  +0 write 10000
  +0 > P. 1:2001(2000) ack 1
  +0 > P. 2001:4001(2000) ack 1
  +0 > P. 4001:6001(2000) ack 1
  +0 > P. 6001:8001(2000) ack 1
  +0 > P. 8001:10001(2000) ack 1
  +0.01 < . 1:1(0) ack 1 win 320 <sack 1001:2001>
  +0 < . 1:1(0) ack 1 win 320 <sack 1001:3001>
  +0 < . 1:1(0) ack 1 win 320 <sack 1001:3001 8001:9001>
  +0 > . 1:1001(1000) ack 1
  +0.012 < . 1:1(0) ack 4001 win 320 <sack 8001:9001>
  +0 > P. 4001:6001(2000) ack 1
  +0 > . 6001:7001(1000) ack 1
  info reordering 6
  +0 write 10000
  +0.002 < . 1:1(0) ack 3001 win 320 <sack 5001:7001>
  +0 > . 7001:8001(1000) ack 1
  +0 > . 10001:11001(1000) ack 1
)")

// RFC 8985 §6.2, step 4: what came twice was waited for too shortly.
SCRIPT(Recovery, Dsack_LetsReorderingTakeLonger, R"(
  given ESTABLISHED
  +0 write 1460
  +0 > P. 1:1461(1460) ack 1
  +0.01 < . 1:1(0) ack 1461
  +0 < . 1:1(0) ack 1461 <sack 1:1461>
  +0 write 4380
  +0 > . 1461:2921(1460) ack 1
  +0 > . 2921:4381(1460) ack 1
  +0 > P. 4381:5841(1460) ack 1
  +0.01 < . 1:1(0) ack 1461 <sack 2921:4381>
  +0.004 > nothing
  +0.001 > . 1461:2921(1460) ack 1
  +0.01 < . 1:1(0) ack 5841
)")

// RFC 8985 §7.3: what Nagle's algorithm has kept back.
SCRIPT(Recovery, LostTail_IsProbedWithNewData, R"(
  given ESTABLISHED
  +0 write 100
  +0 > P. 1:101(100) ack 1
  +0 write 100
  +0.21 > P. 101:201(100) ack 1
  count probes 1
  +0.01 < . 1:1(0) ack 1 <sack 101:201>
  +0 > . 1:101(100) ack 1
  +0.01 < . 1:1(0) ack 201
  count timeouts 0
)")

// RFC 5682 §3.1 without SACK. Step 2a: a duplicate says nothing for the original.
SCRIPT(Recovery, Timeout_WithoutSack_DuplicateRepairs, R"(
  config reno
  given ESTABLISHED <mss 1460,wscale 7>
  +0 write 4380
  +0 > . 1:1461(1460) ack 1
  +0 > . 1461:2921(1460) ack 1
  +0 > P. 2921:4381(1460) ack 1
  +0.21 > . 1:1461(1460) ack 1
  +0 write 2920
  +0.01 < . 1:1(0) ack 1
  +0.01 < . 1:1(0) ack 1461
  +0 > . 1461:2921(1460) ack 1
  +0 > . 2921:4381(1460) ack 1
  count undone 0
  +0.01 < . 1:1(0) ack 4381
  +0 > . 4381:5841(1460) ack 1
  +0 > P. 5841:7301(1460) ack 1
  +0.01 < . 1:1(0) ack 7301
)")

// Step 2b sends new data, step 3a goes back to what is lost.
SCRIPT(Recovery, Timeout_WithoutSack_DuplicateOfNewDataRepairs, R"(
  config reno
  given ESTABLISHED <mss 1460,wscale 7>
  +0 write 4380
  +0 > . 1:1461(1460) ack 1
  +0 > . 1461:2921(1460) ack 1
  +0 > P. 2921:4381(1460) ack 1
  +0.21 > . 1:1461(1460) ack 1
  +0 write 2920
  +0.01 < . 1:1(0) ack 1461
  +0 > . 4381:5841(1460) ack 1
  +0 > P. 5841:7301(1460) ack 1
  +0.01 < . 1:1(0) ack 1461
  +0 > . 1461:2921(1460) ack 1
  +0 < . 1:1(0) ack 1461
  +0 > . 2921:4381(1460) ack 1
  count undone 0
  +0.01 < . 1:1(0) ack 7301
  count timeouts 1
)")

// What was sacked before has been counted, or was not to be.
SCRIPT(Recovery, Window_GrowsByWhatIsDelivered, R"(
  config gso
  given ESTABLISHED <mss 1000,sackOK,wscale 7>
  +0 write 15000
  +0 > P. 1:2001(2000) ack 1
  +0 > P. 2001:4001(2000) ack 1
  +0 > P. 4001:6001(2000) ack 1
  +0 > P. 6001:8001(2000) ack 1
  +0 > P. 8001:10001(2000) ack 1
  +0.011 < . 1:1(0) ack 1 win 320 <sack 1001:2001>
  +0 > . 10001:11001(1000) ack 1
  +0.001 < . 1:1(0) ack 1 win 320 <sack 1001:3001>
  +0 > . 11001:12001(1000) ack 1
  info cwnd 10
  +0.001 < . 1:1(0) ack 3001 win 320
  info cwnd 11
  +0 > P. 12001:14001(2000) ack 1
)")

}  // namespace
