// SPDX-License-Identifier: Apache-2.0
// When something is sent again, and when a connection is given up: RFC 6298, RFC 9293 §3.8.1 and
// §3.8.6.1.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tcp/script.h"

namespace tideline::tcp::test {
namespace {

constexpr double kRto = 0.21;  // after a handshake of 10 ms
constexpr double kMaxRto = 120;

// What goes `count` times, ever more rarely, from `wait` seconds on. `answer`, if there is one,
// comes 10 ms after each.
std::string repeated(int count, const std::string& segment, const std::string& answer,
                     double wait = kRto) {
  constexpr double kAnswerTime = 0.01;
  // A tick of the wheel comes a little late, and what follows with it.
  constexpr double kLateness = 0.00003;
  std::string text;
  for (double left = wait; count > 0; --count) {
    text += fmt::format("+{:.5f} {}\n", left + kLateness, segment);
    if (!answer.empty()) text += fmt::format("+{} {}\n", kAnswerTime, answer);
    wait = std::min(2 * wait, kMaxRto);
    left = answer.empty() ? wait : wait - kAnswerTime;
  }
  return text;
}

constexpr std::string_view kShrunken = R"(
  given ESTABLISHED <mss 1460,wscale 7>
  +0 write 1000
  +0 > P. 1:1001(1000) ack 1
  +0 < . 1:1(0) ack 1 win 0
)";
constexpr std::string_view kDataAgain = "> P. 1:1001(1000) ack 1";
constexpr std::string_view kStillClosed = "< . 1:1(0) ack 1 win 0";

std::string text_of(std::string_view view) { return std::string(view); }

// RFC 9293 §3.8.6.1, MUST-35, MUST-37: it has nothing to do with time-outs that count.
TEST(Timers, ShrunkenWindow_IsProbedForAsLongAsThePeerAnswers) {
  run_script(text_of(kShrunken) + repeated(20, text_of(kDataAgain), text_of(kStillClosed)) + R"(
  state ESTABLISHED
  +1 < . 1:1(0) ack 1 win 512
  +0 > P. 1:1001(1000) ack 1
  +0.21 > P. 1:1001(1000) ack 1
  +0.01 < . 1:1(0) ack 1001 win 512
  state ESTABLISHED
)",
             __LINE__);
}

TEST(Timers, ShrunkenWindow_OfASilentPeerEnds) {
  run_script(text_of(kShrunken) + repeated(15, text_of(kDataAgain), "") + R"(
  +120 > R. 1001:1001(0) ack 1
  events ended:timed_out released
)",
             __LINE__);
}

// Nobody would ever see the end of it.
TEST(Timers, ShrunkenWindow_IsProbedEightTimesAfterClose) {
  run_script(text_of(kShrunken) + repeated(10, text_of(kDataAgain), text_of(kStillClosed)) +
                 "+0 close\n" + repeated(8, text_of(kDataAgain), text_of(kStillClosed), 119.99) +
                 R"(
  +119.99 > R. 1001:1001(0) ack 1
  events ended:timed_out released
)",
             __LINE__);
}

TEST(Timers, ZeroWindow_IsProbedForAsLongAsThePeerAnswers) {
  run_script("given ESTABLISHED\n+0 < . 1:1(0) ack 1 win 0\n+0 write 1000\n" +
                 repeated(20, "> . 0:0(0) ack 1", text_of(kStillClosed)) + R"(
  +1 < . 1:1(0) ack 1 win 512
  +0 > P. 1:1001(1000) ack 1
  +0.01 < . 1:1(0) ack 1001 win 512
)",
             __LINE__);
}

TEST(Timers, ZeroWindow_IsProbedEightTimesAfterClose) {
  run_script("given ESTABLISHED\n+0 < . 1:1(0) ack 1 win 0\n+0 write 1000\n" +
                 repeated(10, "> . 0:0(0) ack 1", text_of(kStillClosed)) + "+0 close\n" +
                 repeated(8, "> . 0:0(0) ack 1", text_of(kStillClosed), 119.99) + R"(
  +119.99 > R. 1:1(0) ack 1
  events ended:timed_out released
)",
             __LINE__);
}

// RFC 9293 §3.8.6, SHLD-16: what lies beyond the window is not sent again, be it as a probe.
SCRIPT(Timers, ShrunkenWindow_HasNoTailProbe, R"(
  given ESTABLISHED
  +0 write 2920
  +0 > . 1:1461(1460) ack 1
  +0 > P. 1461:2921(1460) ack 1
  +0.01 < . 1:1(0) ack 1461 win 0
  +0.1 > nothing
  +0.32 > P. 1461:2921(1460) ack 1
  +0.01 < . 1:1(0) ack 1461 win 512
  +0 > P. 1461:2921(1460) ack 1
  +0.01 < . 1:1(0) ack 2921 win 512
)")

// RFC 6298 §2.3, §2.4: (1 - 1/8) * 10 ms + 1/8 * 50 ms, and so on; the time-out has four times the
// variance, if that is more than 200 ms.
SCRIPT(Timers, RoundTrips_AreAveraged, R"(
  given ESTABLISHED
  info srtt_us 10000
  info rttvar_us 5000
  +0 write 100
  +0 > P. 1:101(100) ack 1
  +0.05 < . 1:1(0) ack 101
  info srtt_us 15000
  info rttvar_us 13750
  info rto_ms 215
  +0 write 100
  +0 > P. 101:201(100) ack 1
  +0.2 < . 1:1(0) ack 201
  info srtt_us 38125
  info rttvar_us 56562
  info rto_ms 264
)")

// §2.5.
TEST(Timers, TimeOut_IsTwoMinutesAtMost) {
  run_script("config mtu_probing off\ngiven ESTABLISHED <mss 1460,wscale 7>\n+0 write 1000\n" +
                 repeated(1, text_of(kDataAgain), "", 0) + repeated(13, text_of(kDataAgain), "") +
                 R"(
  +0.01 < . 1:1(0) ack 1001
)",
             __LINE__);
}

// §3, §5: of which transmission is it the acknowledgment? So there is no sample, and the doubled
// time-out stays until there is one.
SCRIPT(Timers, AckOfARetransmission_WithoutTimestamps_IsNoSample, R"(
  given ESTABLISHED <mss 1460,wscale 7>
  +0 write 100
  +0 > P. 1:101(100) ack 1
  +0.21 > P. 1:101(100) ack 1
  +0.42 > P. 1:101(100) ack 1
  +0.1 < . 1:1(0) ack 101
  info srtt_us 10000
  +0 write 100
  +0 > P. 101:201(100) ack 1
  +0.84 > P. 101:201(100) ack 1
  +0.01 < . 1:1(0) ack 201
  info srtt_us 10000
  +0 write 100
  +0 > P. 201:301(100) ack 1
  +0.01 < . 1:1(0) ack 301
  +0 write 100
  +0 > P. 301:401(100) ack 1
  +0.21 > P. 301:401(100) ack 1
  +0.01 < . 1:1(0) ack 401
)")

// RFC 7323 §4.1: with them it is known.
SCRIPT(Timers, AckOfARetransmission_WithTimestamps_IsASample, R"(
  given ESTABLISHED <mss 1460,TS val 500 ecr 0,wscale 7>
  +0 write 100
  +0 > P. 1:101(100) ack 1
  +0.21 > P. 1:101(100) ack 1
  +0.01 < . 1:1(0) ack 101 <TS val 600 ecr 220>
  info srtt_us 10000
  +0 write 100
  +0 > P. 101:201(100) ack 1
  +0.21 > P. 101:201(100) ack 1
  +0.01 < . 1:1(0) ack 201 <TS val 600 ecr 440>
)")

// But for an answer to the first retransmission that comes after the second, and may be its.
SCRIPT(Timers, AckOfARetransmission_WithAnEarlierTimestamp_IsNoSample, R"(
  given ESTABLISHED <mss 1460,TS val 500 ecr 0,wscale 7>
  +0 write 100
  +0 > P. 1:101(100) ack 1
  +0.21 > P. 1:101(100) ack 1
  +0.42 > P. 1:101(100) ack 1
  +0.01 < . 1:1(0) ack 101 <TS val 600 ecr 220>
  info srtt_us 10000
  +0 write 100
  +0 > P. 101:201(100) ack 1
  +0.84 > P. 101:201(100) ack 1
  +0.01 < . 1:1(0) ack 201 <TS val 600 ecr 1490>
  info srtt_us 10000
)")

// RFC 7323 §4.1: what acknowledges nothing new may have waited for long.
SCRIPT(Timers, AckOfNothingNew_WithTimestamps_IsNoSample, R"(
  given ESTABLISHED <mss 1460,TS val 500 ecr 0,wscale 7>
  +0 write 100
  +0 > P. 1:101(100) ack 1
  +0.21 > P. 1:101(100) ack 1
  +0.1 < . 1:1(0) ack 1 <TS val 600 ecr 1>
  info srtt_us 10000
  +0 < . 1:1(0) ack 101 <TS val 600 ecr 220>
  info srtt_us 21250
)")

// §5.1: who writes little and often would never hear of a loss.
SCRIPT(Timers, NewData_DoesNotPutOffTheTimeOut, R"(
  config no_delay
  given ESTABLISHED <mss 1460,wscale 7>
  +0 write 100
  +0 > P. 1:101(100) ack 1
  +0.1 write 100
  +0 > P. 101:201(100) ack 1
  +0.1 write 100
  +0 > P. 201:301(100) ack 1
  +0.01 > . 1:101(100) ack 1
  +0 > . 101:201(100) ack 1
  +0 > P. 201:301(100) ack 1
  +0.2 write 100
  +0 > P. 301:401(100) ack 1
  +0.22 > . 1:101(100) ack 1
  +0 > . 101:201(100) ack 1
  +0 > . 201:301(100) ack 1
  +0 > P. 301:401(100) ack 1
  +0.01 < . 1:1(0) ack 401
)")

// RFC 8985 §7.2: it puts off a probe, but not beyond the time-out; then that runs from the probe.
TEST(Timers, NewData_PutsOffAProbeUntilTheTimeOut) {
  std::string text = "config no_delay\ngiven ESTABLISHED\n";
  const auto write = [&](int number, const char* wait) {
    text += fmt::format("+{} write 10\n+0 > P. {}:{}(10) ack 1\n", wait, 1 + 10 * number,
                        11 + 10 * number);
  };
  write(0, "0");
  for (int i = 1; i <= 10; ++i) write(i, "0.02");
  text += "+0.01 > P. 101:111(10) ack 1\ncount probes 1\n";
  write(11, "0.1");
  write(12, "0.1");
  text += "+0.005 > nothing\n+0.005 > . 1:11(10) ack 1\ncount timeouts 1\n";
  for (int i = 1; i <= 12; ++i) {
    text += fmt::format("+0 > . {}:{}(10) ack 1\n", 1 + 10 * i, 11 + 10 * i);
  }
  text += "+0.01 < . 1:1(0) ack 131\n";
  run_script(text, __LINE__);
}

// §5.3, and RFC 6675 §5: what is repaired would else time out before its acknowledgment can come.
SCRIPT(Timers, RepairedSegment_HasATimeOutOfItsOwn, R"(
  given ESTABLISHED <mss 1460,wscale 7>
  +0 write 5840
  +0 > . 1:1461(1460) ack 1
  +0 > . 1461:2921(1460) ack 1
  +0 > . 2921:4381(1460) ack 1
  +0 > P. 4381:5841(1460) ack 1
  +0.1 < . 1:1(0) ack 1
  +0 < . 1:1(0) ack 1
  +0 < . 1:1(0) ack 1
  +0 > . 1:1461(1460) ack 1
  +0.2 > nothing
  +0.01 > . 1:1461(1460) ack 1
  count timeouts 1
  +0.01 < . 1:1(0) ack 5841
)")

// §5.7: the path may take longer than the second that a SYN waits.
SCRIPT(Timers, LostSyn_FirstDataWaitsForThreeSeconds, R"(
  +0 connect
  +0 > S 0:0(0)
  +1 > S 0:0(0)
  +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1460,wscale 7>
  +0 > . 1:1(0) ack 1
  +0 write 100
  +0 > P. 1:101(100) ack 1
  +3 > P. 1:101(100) ack 1
  +0.01 < . 1:1(0) ack 101
)")

SCRIPT(Timers, LostSynAck_FirstDataWaitsForThreeSeconds, R"(
  given SYN_RECEIVED <mss 1460,wscale 7>
  +1 > S. 0:0(0) ack 1
  +0.1 < . 1:1(0) ack 1
  +0 write 100
  +0 > P. 1:101(100) ack 1
  +3 > P. 1:101(100) ack 1
  +0.01 < . 1:1(0) ack 101
)")

// RFC 8985 §7.2: a probe does no harm if the path is one. The first sample ends it.
SCRIPT(Timers, LostSyn_FirstDataIsProbedAfterASecond, R"(
  +0 connect
  +0 > S 0:0(0)
  +1 > S 0:0(0)
  +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,wscale 7>
  +0 > . 1:1(0) ack 1
  +0 write 100
  +0 > P. 1:101(100) ack 1
  +1 > P. 1:101(100) ack 1
  count probes 1
  +3 > P. 1:101(100) ack 1
  count timeouts 1
  +0.01 < . 1:1(0) ack 101
  +0 write 100
  +0 > P. 101:201(100) ack 1
  +0.01 < . 1:1(0) ack 201
  info rto_ms 210
)")

// RFC 6928 §2: what is lost twice says that the path is full.
SCRIPT(Timers, LostSyn_LeavesTheInitialWindow, R"(
  +0 connect
  +0 > S 0:0(0)
  +1 > S 0:0(0)
  +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1460>
  +0 > . 1:1(0) ack 1
  info cwnd 10
  info ssthresh 1470879
)")

SCRIPT(Timers, TwoLostSyns_LeaveAWindowOfOneSegment, R"(
  +0 connect
  +0 > S 0:0(0)
  +1 > S 0:0(0)
  +2 > S 0:0(0)
  +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1460>
  +0 > . 1:1(0) ack 1
  info cwnd 1
)")

// RFC 5681 §3.1, equation 4: only the first time.
SCRIPT(Timers, SecondTimeOut_LeavesSsthresh, R"(
  given ESTABLISHED <mss 1460,wscale 7>
  +0 write 2920
  +0 > . 1:1461(1460) ack 1
  +0 > P. 1461:2921(1460) ack 1
  +0.21 > . 1:1461(1460) ack 1
  info ssthresh 7
  +0.42 > . 1:1461(1460) ack 1
  info ssthresh 7
  info cwnd 1
  +0.01 < . 1:1(0) ack 2921
)")

}  // namespace
}  // namespace tideline::tcp::test
