// SPDX-License-Identifier: Apache-2.0
// What TCP_INFO shows, as it is counted.
#include "tcp/script.h"

namespace {

SCRIPT(Figures, OfWhatWasSentAndHasCome, R"(
  given ESTABLISHED
  info delivered 1
  info segments_in 2
  info segments_out 1
  info ack_delay_ms 0
  info receive_mss 536
  +0 write 2000
  +0 > . 1:1461(1460) ack 1
  +0 > P. 1461:2001(540) ack 1
  info segments_unacknowledged 2
  info data_segments_out 2
  info segments_out 3
  info bytes_sent 2000
  +0.01 < . 1:1(0) ack 2001
  info delivered 3
  info segments_unacknowledged 0
  +0.01 < P. 1:1001(1000) ack 2001
  +0 > . 2001:2001(0) ack 1001
  info receive_mss 1000
  +0 < P. 1001:1101(100) ack 2001
  +0 > . 2001:2001(0) ack 1101
  info receive_mss 1000
  info ack_delay_ms 40
  info data_segments_in 2
  info segments_in 5
)")

// A frame of many segments is as many.
SCRIPT(Figures, OfFrames, R"(
  config gso
  given ESTABLISHED
  +0 write 5840
  +0 > P. 1:2921(2920) ack 1
  +0 > P. 2921:5841(2920) ack 1
  info segments_unacknowledged 4
  info data_segments_out 4
  info segments_out 5
  +0.01 < . 1:1(0) ack 1 <sack 1461:2921>
  info delivered 2
  info segments_sacked 1
  info segments_unacknowledged 4
  +0.001 < . 1:1(0) ack 5841
  info delivered 5
  info segments_sacked 0
)")

SCRIPT(Figures, OfLosses, R"(
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
  info segments_sacked 3
  info segments_lost 1
  info segments_in_flight_again 1
  info segments_retransmitted 1
  info bytes_retransmitted 1460
  info data_segments_out 6
  info delivered 4
  # It was only late, and has come twice.
  +0.001 < . 1:1(0) ack 7301
  info delivered 6
  +0.001 < . 1:1(0) ack 7301 <sack 1:1461>
  info duplicates 1
  info reorderings 0
)")

SCRIPT(Figures, OfReordering, R"(
  given ESTABLISHED
  +0 write 4380
  +0 > . 1:1461(1460) ack 1
  +0 > . 1461:2921(1460) ack 1
  +0 > P. 2921:4381(1460) ack 1
  +0.01 < . 1:1(0) ack 1 <sack 2921:4381>
  +0.0001 < . 1:1(0) ack 4381
  info reorderings 1
  info segments_retransmitted 0
  # And of what comes to us.
  +0 < . 1461:2921(1460) ack 4381
  +0 > . 4381:4381(0) ack 1 <sack 1461:2921>
  info out_of_order 1
  info data_segments_in 1
)")

// A row of time-outs lasts until something new is acknowledged.
SCRIPT(Figures, OfTimeouts, R"(
  config no_sack
  given ESTABLISHED
  +0 write 100
  +0 > P. 1:101(100) ack 1
  info timeouts 0
  +0.21 > P. 1:101(100) ack 1
  +0.42 > P. 1:101(100) ack 1
  info timeouts 2
  info timeout_rows 1
  info segments_retransmitted 2
  +0.1 < . 1:1(0) ack 101
  +10 > nothing
  info timed_out_ms 520
  +0 write 100
  +0 > P. 101:201(100) ack 1
  # The time-out is what it was: nothing was sent but once since (RFC 6298 §3).
  +0.84 > P. 101:201(100) ack 1
  info timeout_rows 2
  info timeouts 3
)")

SCRIPT(Figures, OfLostSyns, R"(
  +0 connect
  +0 > S 0:0(0)
  +1 > S 0:0(0)
  +2 > S 0:0(0)
  info timeouts 2
  info timeout_rows 1
  info segments_retransmitted 2
  +0.5 < S. 0:0(0) ack 1 win 65535 <mss 1460>
  +0 > . 1:1(0) ack 1
  info timed_out_ms 2500
  info delivered 1
  +1 > nothing
  info timed_out_ms 2500
)")

// By rounds: of a writer who keeps the window full, and of one who writes little.
SCRIPT(Figures, OfDelivery, R"(
  given ESTABLISHED
  info delivery_rate 0
  +0 write 1000
  +0 > P. 1:1001(1000) ack 1
  +0.1 < . 1:1(0) ack 1001
  info delivery_rate 10000
  info app_limited 1
  # Less of that says nothing; more does.
  +0 write 500
  +0 > P. 1001:1501(500) ack 1
  +0.1 < . 1:1(0) ack 1501
  info delivery_rate 10000
  +0 write 1400
  +0 > P. 1501:2901(1400) ack 1
  +0.1 < . 1:1(0) ack 2901
  info delivery_rate 14000
)")

SCRIPT(Figures, OfDelivery_AFullWindow, R"(
  config gso
  given ESTABLISHED
  +0 write 14600
  +0 > P. 1:2921(2920) ack 1
  +0 > P. 2921:5841(2920) ack 1
  +0 > P. 5841:8761(2920) ack 1
  +0 > P. 8761:11681(2920) ack 1
  +0 > P. 11681:14601(2920) ack 1
  +0.01 < . 1:1(0) ack 14601
  info delivery_rate 1460000
  info app_limited 0
  info delivered 11
)")

SCRIPT(Figures, OfEcn, R"(
  config ecn
  +0 connect
  +0 > SEW 0:0(0)
  +0.01 < SE. 0:0(0) ack 1 win 65535 <mss 1460,wscale 7>
  +0 > . 1:1(0) ack 1
  info ect_seen 0
  +0 < P. 1:101(100) ack 1 ect0
  info ect_seen 1
  +0 > . 1:1(0) ack 101
  +0 write 2000
  +0 > . 1:1461(1460) ack 101 ect
  +0 > P. 1461:2001(540) ack 101 ect
  +0.01 < E. 101:101(0) ack 2001
  info marked_packets 2
)")

}  // namespace
