// SPDX-License-Identifier: Apache-2.0
// The search for a path's MTU, segment by segment. The sections are those of RFC 4821; over whole
// paths: mtu_path_test.cc.
#include <gtest/gtest.h>

#include "tcp/script.h"

namespace {

// §7.2: classic path MTU discovery, as long as nothing vanishes.
SCRIPT(MtuProbe, Established_NothingVanishes_NoProbes, R"(
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
  +0.01 < . 1:1(0) ack 14601
  info path_mtu 1500
  info mtu_probes 0
)")

// §7.2, §7.5, §7.6.1: from base_mtu to what the link has, with one probe.
SCRIPT(MtuProbe, RcvAck_Established_OfTheProbe_RaisesTheMss, R"(
  config mtu_probing always
  given ESTABLISHED
  info path_mtu 1024
  +0 write 10000
  +0 > . 1:1461(1460) ack 1
  +0 > . 1461:2445(984) ack 1
  +0 > . 2445:3429(984) ack 1
  +0 > . 3429:4413(984) ack 1
  +0 > . 4413:5397(984) ack 1
  +0 > . 5397:6381(984) ack 1
  +0 > . 6381:7365(984) ack 1
  +0 > . 7365:8349(984) ack 1
  +0 > . 8349:9333(984) ack 1
  info path_mtu 1024
  +0.01 < . 1:1(0) ack 1461
  +0 > P. 9333:10001(668) ack 1
  info path_mtu 1500
  info mss 1460
  info mtu_probes 1
  info mtu_probes_lost 0
  +0.01 < . 1:1(0) ack 10001
)")

// What stands beside the payload counts: the packet has 1500 bytes.
SCRIPT(MtuProbe, Send_Established_WithTimestamps_LeavesThemRoom, R"(
  config mtu_probing always
  given ESTABLISHED <mss 1460,sackOK,TS val 500 ecr 0,wscale 7>
  info mss 972
  +0 write 4364
  +0 > . 1:1449(1448) ack 1
  +0 > . 1449:2421(972) ack 1
  +0 > . 2421:3393(972) ack 1
  +0 > P. 3393:4365(972) ack 1
  +0.01 < . 1:1(0) ack 4365 <TS val 600 ecr 10>
  info mss 1448
)")

// As do blocks of SACK, while there are some to tell.
SCRIPT(MtuProbe, Send_Established_WithSackBlocks_LeavesThemRoom, R"(
  config mtu_probing always
  given ESTABLISHED
  +0 < P. 11:21(10) ack 1
  +0 > . 1:1(0) ack 1 <sack 11:21>
  +0 write 4364
  +0 > . 1:1449(1448) ack 1 <sack 11:21>
  +0 > . 1449:2421(972) ack 1 <sack 11:21>
  +0 > . 2421:3393(972) ack 1 <sack 11:21>
  +0 > P. 3393:4365(972) ack 1 <sack 11:21>
  +0.01 < . 1:1(0) ack 4365
  info mss 1460
)")

// §7.6.2: lost alone, it costs no window; the next waits for as many round trips as the window has
// packets, and three of a size are lost before it is given up (RFC 8899 §5.1.2).
SCRIPT(MtuProbe, RcvSack_Established_BehindTheProbe_SendsItAgainAndKeepsTheWindow, R"(
  config mtu_probing always
  given ESTABLISHED
  +0 write 4412
  +0 > . 1:1461(1460) ack 1
  +0 > . 1461:2445(984) ack 1
  +0 > . 2445:3429(984) ack 1
  +0 > P. 3429:4413(984) ack 1
  info cwnd 10
  +0.01 < . 1:1(0) ack 1 <sack 1461:2445>
  +0 < . 1:1(0) ack 1 <sack 1461:3429>
  +0 < . 1:1(0) ack 1 <sack 1461:4413>
  +0 > . 1:985(984) ack 1
  +0 > . 985:1461(476) ack 1
  info cwnd 10
  info recovery 1
  +0.01 < . 1:1(0) ack 4413
  info recovery 0
  info cwnd 10
  info mtu_probes_lost 1
  info path_mtu 1024
  # Ten round trips of ten milliseconds are not over yet.
  +0.05 write 4920
  +0 > . 4413:5397(984) ack 1
  +0 > . 5397:6381(984) ack 1
  +0 > . 6381:7365(984) ack 1
  +0 > . 7365:8349(984) ack 1
  +0 > P. 8349:9333(984) ack 1
  +0.01 < . 1:1(0) ack 9333
  +0.05 write 4412
  +0 > . 9333:10793(1460) ack 1
  +0 > . 10793:11777(984) ack 1
  +0 > . 11777:12761(984) ack 1
  +0 > P. 12761:13745(984) ack 1
  +0.01 < . 1:1(0) ack 13745
  info path_mtu 1500
  info mtu_probes 2
)")

// Three of a size, and what is common below it is next: 1280 cuts 1024 to 1499 in halves best.
SCRIPT(MtuProbe, RcvSack_Established_ThreeProbesLost_TriesAnotherSize, R"(
  config mtu_probing always
  config no_delay
  given ESTABLISHED
  +0 write 4412
  +0 > . 1:1461(1460) ack 1
  +0 > . 1461:2445(984) ack 1
  +0 > . 2445:3429(984) ack 1
  +0 > P. 3429:4413(984) ack 1
  +0.01 < . 1:1(0) ack 1 <sack 1461:4413>
  +0 > . 1:985(984) ack 1
  +0 > . 985:1461(476) ack 1
  +0.01 < . 1:1(0) ack 4413
  +1 write 4412
  +0 > . 4413:5873(1460) ack 1
  +0 > . 5873:6857(984) ack 1
  +0 > . 6857:7841(984) ack 1
  +0 > P. 7841:8825(984) ack 1
  +0.01 < . 1:1(0) ack 4413 <sack 5873:8825>
  +0 > . 4413:5397(984) ack 1
  +0 > . 5397:5873(476) ack 1
  +0.01 < . 1:1(0) ack 8825
  +1 write 4412
  +0 > . 8825:10285(1460) ack 1
  +0 > . 10285:11269(984) ack 1
  +0 > . 11269:12253(984) ack 1
  +0 > P. 12253:13237(984) ack 1
  +0.01 < . 1:1(0) ack 8825 <sack 10285:13237>
  +0 > . 8825:9809(984) ack 1
  +0 > . 9809:10285(476) ack 1
  +0.01 < . 1:1(0) ack 13237
  info mtu_probes_lost 3
  info cwnd 10
  +1 write 4192
  +0 > . 13237:14477(1240) ack 1
  +0 > . 14477:15461(984) ack 1
  +0 > . 15461:16445(984) ack 1
  +0 > P. 16445:17429(984) ack 1
  +0.01 < . 1:1(0) ack 17429
  info path_mtu 1280
)")

// Without SACK three duplicates tell, and the whole probe goes again.
SCRIPT(MtuProbe, RcvDuplicates_Established_WithoutSack_SendsItAgainAndKeepsTheWindow, R"(
  config mtu_probing always
  config no_sack
  given ESTABLISHED <mss 1460,wscale 7>
  +0 write 4412
  +0 > . 1:1461(1460) ack 1
  +0 > . 1461:2445(984) ack 1
  +0 > . 2445:3429(984) ack 1
  +0 > P. 3429:4413(984) ack 1
  +0.01 < . 1:1(0) ack 1
  +0 < . 1:1(0) ack 1
  +0 > nothing
  +0 < . 1:1(0) ack 1
  +0 > . 1:985(984) ack 1
  +0 > . 985:1461(476) ack 1
  info cwnd 10
  +0.01 < . 1:1(0) ack 4413
  info cwnd 10
  info mtu_probes_lost 1
)")

// What was lost before it is repaired first; then the probe is found lost with others.
SCRIPT(MtuProbe, RcvPartialAck_Recovery_WithoutSack_IsInconclusive, R"(
  config mtu_probing always
  config no_sack
  config no_delay
  given ESTABLISHED <mss 1460,wscale 7>
  +0 write 984
  +0 > P. 1:985(984) ack 1
  +0 write 4412
  +0 > . 985:2445(1460) ack 1
  +0 > . 2445:3429(984) ack 1
  +0 > . 3429:4413(984) ack 1
  +0 > P. 4413:5397(984) ack 1
  +0.01 < . 1:1(0) ack 1
  +0 < . 1:1(0) ack 1
  +0 < . 1:1(0) ack 1
  +0 > . 1:985(984) ack 1
  +0.01 < . 1:1(0) ack 985
  +0 > . 985:1969(984) ack 1
  +0 > . 1969:2445(476) ack 1
  +0.01 < . 1:1(0) ack 5397
  info path_mtu 1024
  info mtu_probes_lost 0
)")

// The repair may be lost, too: then the path is full.
SCRIPT(MtuProbe, RcvSack_Disorder_RepairIsLost_IsCongestion, R"(
  config mtu_probing always
  config no_delay
  given ESTABLISHED
  +0 write 4412
  +0 > . 1:1461(1460) ack 1
  +0 > . 1461:2445(984) ack 1
  +0 > . 2445:3429(984) ack 1
  +0 > P. 3429:4413(984) ack 1
  +0.01 < . 1:1(0) ack 1 <sack 1461:4413>
  +0 > . 1:985(984) ack 1
  +0 > . 985:1461(476) ack 1
  +0.005 write 984
  +0 > P. 4413:5397(984) ack 1
  +0.02 < . 1:1(0) ack 1 <sack 1461:5397>
  +0 > . 1:985(984) ack 1
  info recovery 3
  +0.01 < . 1:1(0) ack 985 <sack 1461:5397>
  +0 > . 985:1461(476) ack 1
  +0.01 < . 1:1(0) ack 5397
)")

// §7.6.4: with others it says nothing, and what was lost is congestion.
SCRIPT(MtuProbe, RcvSack_Established_OthersAreLostToo_IsInconclusive, R"(
  config mtu_probing always
  given ESTABLISHED
  +0 write 5396
  +0 > . 1:1461(1460) ack 1
  +0 > . 1461:2445(984) ack 1
  +0 > . 2445:3429(984) ack 1
  +0 > . 3429:4413(984) ack 1
  +0 > P. 4413:5397(984) ack 1
  +0.01 < . 1:1(0) ack 1 <sack 2445:5397>
  +0 > . 1:985(984) ack 1
  +0 > . 985:1461(476) ack 1
  +0 > . 1461:2445(984) ack 1
  info recovery 3
  info mtu_probes_lost 0
  +0.01 < . 1:1(0) ack 5397
)")

// §7.6.3: a time-out is congestion, whatever else it was; the window is as after any other.
SCRIPT(MtuProbe, Timeout_Established_OfTheProbe_IsCongestion, R"(
  config mtu_probing always
  config no_sack
  given ESTABLISHED <mss 1460,wscale 7>
  +0 write 4412
  +0 > . 1:1461(1460) ack 1
  +0 > . 1461:2445(984) ack 1
  +0 > . 2445:3429(984) ack 1
  +0 > P. 3429:4413(984) ack 1
  +0.21 > . 1:985(984) ack 1
  info cwnd 1
  info mtu_probes_lost 1
  +0.01 < . 1:1(0) ack 4413
)")

// §7.6.2: what a router says of the probe bounds the search.
SCRIPT(MtuProbe, RcvTooBig_Established_OfTheProbe_BoundsTheSearch, R"(
  config mtu_probing always
  given ESTABLISHED
  +0 write 4412
  +0 > . 1:1461(1460) ack 1
  +0 > . 1461:2445(984) ack 1
  +0 > . 2445:3429(984) ack 1
  +0 > P. 3429:4413(984) ack 1
  +0.01 error too_big 1 1400
  +0 > . 1:985(984) ack 1
  +0 > . 985:1461(476) ack 1
  info cwnd 10
  info recovery 0
  info path_mtu 1024
  +0.01 < . 1:1(0) ack 4413
  +1 write 4312
  +0 > . 4413:5773(1360) ack 1
  +0 > . 5773:6757(984) ack 1
  +0 > . 6757:7741(984) ack 1
  +0 > P. 7741:8725(984) ack 1
  +0.01 < . 1:1(0) ack 8725
  info path_mtu 1400
)")

// §7.4: not without enough data behind it to tell of its loss.
SCRIPT(MtuProbe, Send_Established_LittleData_IsNoProbe, R"(
  config mtu_probing always
  given ESTABLISHED
  +0 write 4411
  +0 > . 1:985(984) ack 1
  +0 > . 985:1969(984) ack 1
  +0 > . 1969:2953(984) ack 1
  +0 > . 2953:3937(984) ack 1
  +0 > P. 3937:4412(475) ack 1
  +0.01 < . 1:1(0) ack 4412
  info mtu_probes 0
)")

// §7.7: after three retransmissions, for R1 of RFC 9293 is three; then half, but no less than 552.
SCRIPT(MtuProbe, Timeout_Established_OfLongPackets_FallsToBase, R"(
  config no_sack
  given ESTABLISHED <mss 1460,wscale 7>
  +0 write 2920
  +0 > . 1:1461(1460) ack 1
  +0 > P. 1461:2921(1460) ack 1
  +0.21 > . 1:1461(1460) ack 1
  +0.42 > . 1:1461(1460) ack 1
  +0.84 > . 1:1461(1460) ack 1
  count black_holes 0
  +1.68 > . 1:985(984) ack 1
  count black_holes 1
  info path_mtu 1024
  +3.36 > . 1:513(512) ack 1
  info path_mtu 552
  +6.72 > . 1:513(512) ack 1
  count black_holes 2
  +0.01 < . 1:1(0) ack 513
  # As they were cut.
  +0 > . 513:985(472) ack 1
  +0 > . 985:1461(476) ack 1
  +0.01 < . 1:1(0) ack 1461
  +0 > . 1461:1973(512) ack 1
  +0 > . 1973:2485(512) ack 1
  +0 > P. 2485:2921(436) ack 1
  +0.01 < . 1:1(0) ack 2921
)")

SCRIPT(MtuProbe, Timeout_Established_Off_KeepsTheMss, R"(
  config no_sack
  config mtu_probing off
  given ESTABLISHED <mss 1460,wscale 7>
  +0 write 1460
  +0 > P. 1:1461(1460) ack 1
  +0.21 > P. 1:1461(1460) ack 1
  +0.42 > P. 1:1461(1460) ack 1
  +0.84 > P. 1:1461(1460) ack 1
  +1.68 > P. 1:1461(1460) ack 1
  +3.36 > P. 1:1461(1460) ack 1
  +0.01 < . 1:1(0) ack 1461
  count black_holes 0
)")

// What is short cannot have been too long.
SCRIPT(MtuProbe, Timeout_Established_OfShortPackets_KeepsTheMss, R"(
  config no_sack
  given ESTABLISHED <mss 1460,wscale 7>
  +0 write 984
  +0 > P. 1:985(984) ack 1
  +0.21 > P. 1:985(984) ack 1
  +0.42 > P. 1:985(984) ack 1
  +0.84 > P. 1:985(984) ack 1
  +1.68 > P. 1:985(984) ack 1
  +0.01 < . 1:1(0) ack 985
  count black_holes 0
  info path_mtu 1500
)")

// A reason is known: it is not the length.
SCRIPT(MtuProbe, Timeout_Established_HostUnreachable_KeepsTheMss, R"(
  config no_sack
  given ESTABLISHED <mss 1460,wscale 7>
  +0 write 1460
  +0 > P. 1:1461(1460) ack 1
  +0.1 error host_unreachable 1
  +0.11 > P. 1:1461(1460) ack 1
  +0.42 > P. 1:1461(1460) ack 1
  +0.84 > P. 1:1461(1460) ack 1
  +1.68 > P. 1:1461(1460) ack 1
  +0.01 < . 1:1(0) ack 1461
  count black_holes 0
)")

// RFC 8899 §5.1.1, PMTU_RAISE_TIMER: a search that is over begins again, from where it ended.
SCRIPT(MtuProbe, Send_Established_AfterTenMinutes_SearchesAgain, R"(
  config mtu_probing always
  config mtu 1400
  config no_delay
  given ESTABLISHED
  +0 write 4312
  +0 > . 1:1361(1360) ack 1
  +0 > . 1361:2345(984) ack 1
  +0 > . 2345:3329(984) ack 1
  +0 > P. 3329:4313(984) ack 1
  +0.01 < . 1:1(0) ack 4313
  info path_mtu 1400
  +599 path_carries 1500
  +0 write 5540
  +0 > . 4313:5673(1360) ack 1
  +0 > . 5673:7033(1360) ack 1
  +0 > . 7033:8393(1360) ack 1
  +0 > . 8393:9753(1360) ack 1
  +0 > P. 9753:9853(100) ack 1
  +0.01 < . 1:1(0) ack 9853
  +1 write 5540
  +0 > . 9853:11313(1460) ack 1
  +0 > . 11313:12673(1360) ack 1
  +0 > . 12673:14033(1360) ack 1
  +0 > P. 14033:15393(1360) ack 1
  +0.01 < . 1:1(0) ack 15393
  info path_mtu 1500
)")

}  // namespace
