// SPDX-License-Identifier: Apache-2.0
// Urgent data: RFC 9293 §3.8.5, RFC 6093. The pointer is to the byte behind the last urgent one, as
// all senders have it.
#include "tcp/script.h"

namespace tideline::tcp::test {
namespace {

SCRIPT(Urgent, Write_PointsBehindTheLastByte, R"(
  given ESTABLISHED
  +0 write 10 urgent
  +0 > UP. 1:11(10) ack 1 urg 10
  +0.01 < . 1:1(0) ack 11
  +0 write 5
  +0 > P. 11:16(5) ack 1
)")

// Nothing waits for Nagle, and each segment has a pointer of its own.
SCRIPT(Urgent, Write_LongerThanASegment_PointsFromEach, R"(
  config gso
  given ESTABLISHED
  +0 write 100
  +0 > P. 1:101(100) ack 1
  +0 write 3000 urgent
  +0 > U. 101:1561(1460) ack 1 urg 3000
  +0 > U. 1561:3021(1460) ack 1 urg 1540
  +0 > UP. 3021:3101(80) ack 1 urg 80
)")

// MUST-31: urgent sequences of any length. The pointer says what it can.
SCRIPT(Urgent, Write_FurtherThanThePointer, R"(
  config no_timestamps
  given ESTABLISHED <mss_1000,wscale_7>
  +0 write 70000 urgent
  +0 > U. 1:1001(1000) ack 1 urg 65535
  +0 > U. 1001:2001(1000) ack 1 urg 65535
  +0 > U. 2001:3001(1000) ack 1 urg 65535
  +0 > U. 3001:4001(1000) ack 1 urg 65535
  +0 > U. 4001:5001(1000) ack 1 urg 65535
  +0 > U. 5001:6001(1000) ack 1 urg 65000
  +0 > U. 6001:7001(1000) ack 1 urg 64000
  +0 > U. 7001:8001(1000) ack 1 urg 63000
  +0 > U. 8001:9001(1000) ack 1 urg 62000
  +0 > U. 9001:10001(1000) ack 1 urg 61000
)")

SCRIPT(Urgent, Retransmission_PointsAgain, R"(
  given ESTABLISHED
  +0 write 10 urgent
  +0 > UP. 1:11(10) ack 1 urg 10
  +0.21 > UP. 1:11(10) ack 1 urg 10
)")

SCRIPT(Urgent, ClosedWindow_IsToldWithAnAcknowledgment, R"(
  given ESTABLISHED
  +0 < . 1:1(0) ack 1 win 0
  +0 write 10 urgent
  +0 > nothing
  +0 < P. 1:11(10) ack 1 win 0
  +0 > U. 1:1(0) ack 11 urg 10
)")

SCRIPT(Urgent, RcvUrg_Established_MarksTheByteBefore, R"(
  given ESTABLISHED
  +0 < UP. 1:11(10) ack 1 urg 10
  +0 > . 1:1(0) ack 11
  mark 9
  events readable
)")

// MUST-32: what has yet to come is told at once.
SCRIPT(Urgent, RcvUrg_Established_AheadOfItsData, R"(
  given ESTABLISHED
  +0 < U. 1:1(0) ack 1 urg 50
  +0 > nothing
  mark 49
  events readable
  +0 < P. 1:101(100) ack 1
  +0 > . 1:1(0) ack 101
)")

SCRIPT(Urgent, RcvUrg_Established_OldOnesAndRepetitionsAreNone, R"(
  given ESTABLISHED
  +0 < U. 1:1(0) ack 1 urg 50
  +0 < U. 1:1(0) ack 1 urg 40
  mark 49
  +0 < P. 1:101(100) ack 1
  +0 > . 1:1(0) ack 101
  +0 < U. 101:101(0) ack 1 urg 60
  mark 159
  +0 < P. 101:201(100) ack 1
  +0 > . 1:1(0) ack 201
  +0 < U. 201:201(0) ack 1 urg 0
  mark 200
)")

// It begins before what is expected: the pointer counts from where the segment began.
SCRIPT(Urgent, RcvUrg_Established_OfASegmentThatIsTrimmed, R"(
  given ESTABLISHED
  +0 < P. 1:11(10) ack 1
  +0 > . 1:1(0) ack 11
  +0 < UP. 1:31(30) ack 1 urg 30
  +0 > . 1:1(0) ack 31
  mark 29
)")

SCRIPT(Urgent, RcvUrg_CloseWait_IsNone, R"(
  given CLOSE_WAIT
  events
  +0 < U. 2:2(0) ack 1 urg 5
  mark 18446744073709551615
)")

}  // namespace
}  // namespace tideline::tcp::test
