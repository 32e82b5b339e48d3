// SPDX-License-Identifier: Apache-2.0
// What RFC 9293 asks for beside its event processing (grid_test.cc), a requirement each.
#include "tcp/script.h"
#include "tcp/script_world.h"

namespace tideline::tcp::test {
namespace {

// MUST-15.
SCRIPT(Requirements, RcvSyn_Listen_WithoutMss_SendsSegmentsOf536, R"(
  +0 listen
  +0 < S 0:0(0) win 65535
  +0 > S. 0:0(0) ack 1
  +0.01 < . 1:1(0) ack 1 win 65535
  info mss 536
  +0 write 1072
  +0 > . 1:537(536) ack 1
  +0 > P. 537:1073(536) ack 1
)")

// MUST-15, of who connects.
SCRIPT(Requirements, RcvSynAck_SynSent_WithoutMss_SendsSegmentsOf536, R"(
  given SYN_SENT
  +0.01 < S. 0:0(0) ack 1 win 65535
  +0 > . 1:1(0) ack 1
  info mss 536
)")

// MUST-8: the number of a connection's next incarnation has grown by a tick for each 4 us, about.
TEST(Requirements, InitialSequence_FollowsAClock) {
  World world;
  const auto next = [&](Duration at) {
    world.advance(at);
    world.connect();
    world.tcp().flush(world.now);
    EXPECT_EQ(world.sent.size(), 1U);
    const std::uint32_t number = world.sent.front().header.sequence_number;
    world.tcp().abort(world.id, world.now);
    world.tcp().flush(world.now);
    world.sent.clear();
    return number;
  };
  const std::uint32_t first = next(std::chrono::seconds(1));
  const std::uint32_t second = next(std::chrono::seconds(2));
  const std::uint32_t third = next(std::chrono::hours(2));
  EXPECT_NEAR(second - first, 1e6 / 4.096, 1);
  EXPECT_NEAR(third - first, 7199e6 / 4.096, 1);
}

// MUST-11: who has called connect() hears of it; a listener does not (Tcp.RcvRst_SynReceived_*).
SCRIPT(Requirements, RcvRst_SynReceived_OfConnect_IsRefused, R"(
  given SYN_SENT
  +0.01 < S 0:0(0) win 1000 <mss 1000>
  +0 > S. 0:0(0) ack 1
  state SYN_RECEIVED
  +0.01 < R. 1:1(0) ack 1
  events ended:refused released
  count connections 0
)")

// MUST-42.
SCRIPT(Requirements, Listen_AtThePortOfAConnection, R"(
  +0 connect
  +0 > S 0:0(0)
  +0.01 < S. 0:0(0) ack 1 win 1000 <mss 1000>
  +0 > . 1:1(0) ack 1
  +0 listen
  +0 < S 0:0(0) win 65535 <mss 1460> port 5000
  +0 > S. 0:0(0) ack 1 port 5000
  state ESTABLISHED
  count connections 2
)")

// SHLD-2.
SCRIPT(Requirements, RcvRst_Established_WithData_Resets, R"(
  given ESTABLISHED
  +0 < R. 1:12(11) ack 1
  +0 > nothing
  events ended:reset released
)")

// MUST-20, SHLD-11: after 15 time-outs, more than 100 seconds.
SCRIPT(Requirements, Timeout_Established_FifteenTimes_GivesUp, R"(
  config no_sack
  given ESTABLISHED
  +0 write 100
  +0 > P. 1:101(100) ack 1
  +0.21 > P. 1:101(100) ack 1
  +0.42 > P. 1:101(100) ack 1
  +0.84 > P. 1:101(100) ack 1
  +1.68 > P. 1:101(100) ack 1
  +3.36 > P. 1:101(100) ack 1
  +6.72 > P. 1:101(100) ack 1
  +13.44 > P. 1:101(100) ack 1
  +26.88 > P. 1:101(100) ack 1
  +53.76 > P. 1:101(100) ack 1
  +107.52 > P. 1:101(100) ack 1
  +120 > P. 1:101(100) ack 1
  +120 > P. 1:101(100) ack 1
  +120 > P. 1:101(100) ack 1
  +120 > P. 1:101(100) ack 1
  +120 > P. 1:101(100) ack 1
  info timeouts 15
  events
  +120 > R. 101:101(0) ack 1
  events ended:timed_out released
)")

// After close() 8 will do, and still it takes more than 100 seconds.
SCRIPT(Requirements, Timeout_FinWait1_EightTimes_GivesUp, R"(
  config no_sack
  given ESTABLISHED
  +0 close
  +0 > F. 1:1(0) ack 1
  +0.21 > F. 1:1(0) ack 1
  +0.42 > F. 1:1(0) ack 1
  +0.84 > F. 1:1(0) ack 1
  +1.68 > F. 1:1(0) ack 1
  +3.36 > F. 1:1(0) ack 1
  +6.72 > F. 1:1(0) ack 1
  +13.44 > F. 1:1(0) ack 1
  +26.88 > F. 1:1(0) ack 1
  state FIN_WAIT_1
  +53.76 > R. 2:2(0) ack 1
  count connections 0
)")

// MUST-66: the window is closed, and a RST, an urgent pointer and an acknowledgment are heard.
SCRIPT(Requirements, RcvRst_ClosedWindow_Resets, R"(
  config buffer 4096
  config window 4096
  given ESTABLISHED
  +0 < P. 1:4097(4096) ack 1
  +0 > . 1:1(0) ack 4097 win 0
  events readable
  +0 < R. 4097:4097(0) ack 1
  events ended:reset released
)")

SCRIPT(Requirements, RcvUrg_ClosedWindow_IsHeard, R"(
  config buffer 4096
  config window 4096
  given ESTABLISHED
  +0 < P. 1:4097(4096) ack 1
  +0 > . 1:1(0) ack 4097 win 0
  +0 write 100
  +0 > P. 1:101(100) ack 4097 win 0
  events readable
  +0 < U. 4097:4098(1) ack 101 urg 20
  +0 > . 101:101(0) ack 4097 win 0
  info segments_unacknowledged 0
  mark 4115
  events readable writable
)")

// MUST-58, MUST-59: all that has come is worked off before it is acknowledged.
SCRIPT(Requirements, RcvData_Established_ABurstIsAcknowledgedOnce, R"(
  given ESTABLISHED
  +0 < . 1:1461(1460) ack 1 more
  +0 < . 1461:2921(1460) ack 1 more
  +0 < . 2921:4381(1460) ack 1 more
  +0 < P. 4381:4481(100) ack 1
  +0 > . 1:1(0) ack 4481
  +1 > nothing
)")

// MUST-26, MUST-27: off, unless it is asked for.
SCRIPT(Requirements, Keepalive_IsOff, R"(
  given ESTABLISHED
  +86400 > nothing
)")

// MUST-28: after two hours without anything.
SCRIPT(Requirements, Keepalive_AfterTwoHours, R"(
  config no_timestamps
  given ESTABLISHED
  +0 option keepalive
  +7190 > nothing
  +10 > . 0:0(0) ack 1
)")

}  // namespace
}  // namespace tideline::tcp::test
