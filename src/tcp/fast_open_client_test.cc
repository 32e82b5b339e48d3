// SPDX-License-Identifier: Apache-2.0
// RFC 7413, the side that opens.
#include <memory>

#include "tcp/script.h"
#include "tcp/test_net.h"

namespace tideline::tcp::test {
namespace {

// §4.1.2, §4.2.1: the first connection asks, those after it take their data along.
SCRIPT(FastOpenClient, Connect_AsksForACookieAndUsesIt, R"(
  config fast
  +0 connect
  +0 > S 0:0(0) <mss 1460,TS val * ecr 0,sackOK,wscale 7,FO>
  +0.01 < S. 0:0(0) ack 1 win 65535 <mss 1400,FO 0102030405060708>
  +0 > . 1:1(0) ack 1
  events established
  +0 abort
  +0 > R. 1:1(0) ack 1
  events ended:aborted released

  +0 connect
  +1 > nothing
  state SYN_SENT
  events
  +0 write 100
  +0 > S 0:100(100) <mss 1460,TS val * ecr 0,sackOK,wscale 7,FO 0102030405060708>
  +0.01 < S. 0:0(0) ack 101 win 65535 <mss 1400>
  +0 > . 101:101(0) ack 1
  state ESTABLISHED
  events writable
  info syn_data 1
  +0 write 50
  +0 > P. 101:151(50) ack 1
  +0.01 < P. 1:11(10) ack 151
  +0 > . 151:151(0) ack 11
  +0 read 10
)")

// As much as the segment of the server's takes, less the options; the rest follows as ever.
SCRIPT(FastOpenClient, Write_LongerThanASegment_FillsTheSyn, R"(
  config fast
  +0 connect
  +0 > S 0:0(0)
  +0.01 < S. 0:0(0) ack 1 win 65535 <mss 600,FO 01020304>
  +0 > . 1:1(0) ack 1
  +0 abort
  +0 > R. 1:1(0) ack 1
  +0 connect
  +0 write 1000
  +0 > S 0:572(572) <mss 1460,TS val * ecr 0,sackOK,wscale 7,FO 01020304>
  +0.01 < S. 0:0(0) ack 573 win 65535 <mss 600>
  +0 > P. 573:1001(428) ack 1
  +0.01 < . 1:1(0) ack 1001
  +1 > nothing
)")

// §4.2.2: the server takes the SYN alone, or a part. What is left goes at once.
SCRIPT(FastOpenClient, RcvSynAck_OfTheSynAlone_SendsTheDataAgain, R"(
  config fast
  +0 connect
  +0 > S 0:0(0)
  +0.01 < S. 0:0(0) ack 1 win 65535 <mss 1460,FO 0102030405060708>
  +0 > . 1:1(0) ack 1
  +0 abort
  +0 > R. 1:1(0) ack 1
  +0 connect
  +0 write 100
  +0 > S 0:100(100) <mss 1460,TS val * ecr 0,sackOK,wscale 7,FO 0102030405060708>
  # The cookie was wrong: here is a new one.
  +0.01 < S. 0:0(0) ack 1 win 65535 <mss 1460,FO 1112131415161718>
  +0 > P. 1:101(100) ack 1
  info syn_data 0
  +0.01 < . 1:1(0) ack 101
  +0 abort
  +0 > R. 101:101(0) ack 1
  +0 connect
  +0 write 100
  +0 > S 0:100(100) <mss 1460,TS val * ecr 0,sackOK,wscale 7,FO 1112131415161718>
  +0.01 < S. 0:0(0) ack 61 win 65535 <mss 1460>
  +0 > P. 61:101(40) ack 1
  +0.01 < . 1:1(0) ack 101
  +1 > nothing
)")

// Two SYNs with data cross: RFC 9293 §3.5, figure 7. Each end has the other's SYN alone; the peer
// has our data, too, and its own comes again.
SCRIPT(FastOpenClient, RcvSyn_SynSent_CrossesOurData, R"(
  config fast
  +0 connect
  +0 > S 0:0(0)
  +0.01 < S. 0:0(0) ack 1 win 65535 <mss 1460,FO 0102030405060708>
  +0 > . 1:1(0) ack 1
  +0 abort
  +0 > R. 1:1(0) ack 1
  +0 connect
  +0 write 100
  +0 > S 0:100(100) <mss 1460,TS val * ecr 0,sackOK,wscale 7,FO 0102030405060708>
  +0.01 < S 0:50(50) win 65535 <mss 1460,sackOK,FO 1112131415161718>
  +0 > S. 0:0(0) ack 1 <mss 1460,sackOK>
  state SYN_RECEIVED
  +0.01 < S. 0:0(0) ack 101 win 65535 <mss 1460,sackOK>
  +0 > . 101:101(0) ack 1 <sack 0:1>
  state ESTABLISHED
  info syn_data 1
  info fast_open_failure 0
  +0.1 < P. 1:51(50) ack 101 win 65535
  +0 > . 101:101(0) ack 51
  +0 read 50
  +1 > nothing
)")

// The same, and the peer takes the SYN alone, or a part.
SCRIPT(FastOpenClient, RcvSynAck_SynReceived_OfAPart, R"(
  config fast
  +0 connect
  +0 > S 0:0(0)
  +0.01 < S. 0:0(0) ack 1 win 65535 <mss 1460,FO 0102030405060708>
  +0 > . 1:1(0) ack 1
  +0 abort
  +0 > R. 1:1(0) ack 1
  +0 connect
  +0 write 100
  +0 > S 0:100(100)
  +0.01 < S 0:0(0) win 65535 <mss 1460>
  +0 > S. 0:0(0) ack 1
  +0.01 < S. 0:0(0) ack 1 win 65535 <mss 1460>
  +0 > P. 1:101(100) ack 1
  info syn_data 0
  info fast_open_failure 2
  +0.01 < . 1:1(0) ack 101 win 65535
  +0 abort
  +0 > R. 101:101(0) ack 1
  +0 connect
  +0 write 100
  +0 > S 0:100(100)
  +0.01 < S 0:0(0) win 65535 <mss 1460>
  +0 > S. 0:0(0) ack 1
  # No SYN-ACK: ours has answered the peer's SYN.
  +0.01 < . 1:1(0) ack 61 win 65535
  +0 > P. 61:101(40) ack 1
  info syn_data 1
  +0.01 < . 1:1(0) ack 101 win 65535
  +1 > nothing
)")

SCRIPT(FastOpenClient, RcvSynAck_SynReceived_BeyondTheData_IsReset, R"(
  config fast
  +0 connect
  +0 > S 0:0(0)
  +0.01 < S. 0:0(0) ack 1 win 65535 <mss 1460,FO 0102030405060708>
  +0 > . 1:1(0) ack 1
  +0 abort
  +0 > R. 1:1(0) ack 1
  +0 connect
  +0 write 100
  +0 > S 0:100(100)
  +0.01 < S 0:0(0) win 65535 <mss 1460>
  +0 > S. 0:0(0) ack 1
  +0.01 < S. 0:0(0) ack 102 win 65535 <mss 1460>
  +0 > R 102:102(0)
  state SYN_RECEIVED
)")

// An acknowledgment of what was not in the SYN.
SCRIPT(FastOpenClient, RcvSynAck_BeyondTheData_IsReset, R"(
  config fast
  +0 connect
  +0 > S 0:0(0)
  +0.01 < S. 0:0(0) ack 1 win 65535 <mss 1460,FO 0102030405060708>
  +0 > . 1:1(0) ack 1
  +0 abort
  +0 > R. 1:1(0) ack 1
  +0 connect
  +0 write 100
  +0 > S 0:100(100)
  +0.01 < S. 0:0(0) ack 102 win 65535 <mss 1460>
  +0 > R 102:102(0)
  state SYN_SENT
)")

// §4.1.3: the path drops SYNs with data. Then the SYN goes alone, and so do those of the next
// minute; the loss after it keeps off for two.
SCRIPT(FastOpenClient, LostSyn_GoesAgainAlone_AndKeepsOffForAWhile, R"(
  config fast
  +0 connect
  +0 > S 0:0(0)
  +0.01 < S. 0:0(0) ack 1 win 65535 <mss 1460,FO 0102030405060708>
  +0 > . 1:1(0) ack 1
  +0 abort
  +0 > R. 1:1(0) ack 1
  +0 connect
  +0 write 100
  +0 > S 0:100(100) <mss 1460,TS val * ecr 0,sackOK,wscale 7,FO 0102030405060708>
  +1 > S 0:0(0) <mss 1460,TS val * ecr 0,sackOK,wscale 7>
  +0.01 < S. 0:0(0) ack 1 win 65535 <mss 1460>
  +0 > P. 1:101(100) ack 1
  +0.01 < . 1:1(0) ack 101
  +0 abort
  +0 > R. 101:101(0) ack 1

  +10 connect
  +0 > S 0:0(0) <mss 1460,TS val * ecr 0,sackOK,wscale 7>
  +0.01 < S. 0:0(0) ack 1 win 65535 <mss 1460>
  +0 > . 1:1(0) ack 1
  +0 abort
  +0 > R. 1:1(0) ack 1

  +51 connect
  +0 write 100
  +0 > S 0:100(100) <mss 1460,TS val * ecr 0,sackOK,wscale 7,FO 0102030405060708>
  +1 > S 0:0(0) <mss 1460,TS val * ecr 0,sackOK,wscale 7>
  +0 abort
  +100 connect
  +0 > S 0:0(0) <mss 1460,TS val * ecr 0,sackOK,wscale 7>
  +0 abort
  +21 connect
  +0 write 100
  +0 > S 0:100(100) <mss 1460,TS val * ecr 0,sackOK,wscale 7,FO 0102030405060708>
)")

// The first SYN was only late: the server has taken the data already.
SCRIPT(FastOpenClient, RcvSynAck_OfTheFirstSyn_AfterTheSecond, R"(
  config fast
  +0 connect
  +0 > S 0:0(0)
  +0.01 < S. 0:0(0) ack 1 win 65535 <mss 1460,FO 0102030405060708>
  +0 > . 1:1(0) ack 1
  +0 abort
  +0 > R. 1:1(0) ack 1
  +0 connect
  +0 write 100
  +0 > S 0:100(100)
  +1 > S 0:0(0)
  +0.01 < S. 0:0(0) ack 101 win 65535 <mss 1460>
  +0 > . 101:101(0) ack 1
  state ESTABLISHED
)")

// §7.2.1: the handshake passes, and then nothing does. Whatever does that stands near us.
SCRIPT(FastOpenClient, BlackHole_KeepsOffForAnHour, R"(
  config fast
  +0 connect
  +0 > S 0:0(0)
  +0.01 < S. 0:0(0) ack 1 win 65535 <mss 1460,FO 0102030405060708>
  +0 > . 1:1(0) ack 1
  +0 abort
  +0 > R. 1:1(0) ack 1
  +0 connect
  +0 write 100
  +0 > S 0:100(100)
  +0.01 < S. 0:0(0) ack 101 win 65535 <mss 1460>
  +0 > . 101:101(0) ack 1
  +0 write 50
  +0 > P. 101:151(50) ack 1
  +0.21 > P. 101:151(50) ack 1
  +0.42 > P. 101:151(50) ack 1
  +0.84 > P. 101:151(50) ack 1
  +0 abort
  +0 > R. 151:151(0) ack 1
  +3500 connect
  +0 > S 0:0(0) <mss 1460,TS val * ecr 0,sackOK,wscale 7>
  +0 abort
  +200 connect
  +0 write 100
  +0 > S 0:100(100)
)")

SCRIPT(FastOpenClient, RcvRst_SynSent_WithDataWritten_IsRefused, R"(
  config fast
  +0 connect
  +0 > S 0:0(0)
  +0.01 < S. 0:0(0) ack 1 win 65535 <mss 1460,FO 0102030405060708>
  +0 > . 1:1(0) ack 1
  +0 abort
  +0 > R. 1:1(0) ack 1
  events established ended:aborted released
  +0 connect
  +0 write 100
  +0 > S 0:100(100)
  +0.01 < R. 0:0(0) ack 101
  events ended:refused released
  count connections 0
)")

// What was written before close() arrives, and then a FIN.
SCRIPT(FastOpenClient, Close_SynSent_WithDataWritten_IsOrderly, R"(
  config fast
  +0 connect
  +0 > S 0:0(0)
  +0.01 < S. 0:0(0) ack 1 win 65535 <mss 1460,FO 0102030405060708>
  +0 > . 1:1(0) ack 1
  +0 abort
  +0 > R. 1:1(0) ack 1
  +0 connect
  +0 write 100
  +0 > S 0:100(100)
  +0 close
  +0.01 < S. 0:0(0) ack 101 win 65535 <mss 1460>
  +0 > F. 101:101(0) ack 1
  +0.01 < F. 1:1(0) ack 102
  +0 > . 102:102(0) ack 2
  state TIME_WAIT
)")

SCRIPT(FastOpenClient, Close_SynSent_WithNothingWritten_IsSilent, R"(
  config fast
  +0 connect
  +0 > S 0:0(0)
  +0.01 < S. 0:0(0) ack 1 win 65535 <mss 1460,FO 0102030405060708>
  +0 > . 1:1(0) ack 1
  +0 abort
  +0 > R. 1:1(0) ack 1
  +0 connect
  +0 close
  +1 > nothing
  count connections 0
)")

// Both have opened: neither has a listener, and the data waits for the handshake.
SCRIPT(FastOpenClient, RcvSyn_SynSent_SendsTheDataLater, R"(
  config fast
  +0 connect
  +0 > S 0:0(0)
  +0.01 < S. 0:0(0) ack 1 win 65535 <mss 1460,FO 0102030405060708>
  +0 > . 1:1(0) ack 1
  +0 abort
  +0 > R. 1:1(0) ack 1
  +0 connect
  +0 write 100
  +0 > S 0:100(100)
  +0.01 < S 0:0(0) win 65535 <mss 1460>
  +0 > S. 0:0(0) ack 1
  +0.01 < . 1:1(0) ack 1
  +0 > P. 1:101(100) ack 1
)")

SCRIPT(FastOpenClient, Connect_OverIpv6_TheSame, R"(
  config ipv6
  config fast
  +0 connect
  +0 > S 0:0(0) <mss 1440,TS val * ecr 0,sackOK,wscale 7,FO>
  +0.01 < S. 0:0(0) ack 1 win 65535 <mss 1440,FO 0102030405060708>
  +0 > . 1:1(0) ack 1
  +0 abort
  +0 > R. 1:1(0) ack 1
  +0 connect
  +0 write 100
  +0 > S 0:100(100) <mss 1440,TS val * ecr 0,sackOK,wscale 7,FO 0102030405060708>
)")

// Whole hosts: through paths that lose, one connection after the other, all data as sent.
TEST(FastOpenClient, HostsExchangeDataWhateverIsLost) {
  std::uint64_t with_data = 0;
  for (const bool ipv4 : {true, false}) {
    Config config;
    config.fast_open = true;
    SimNet net({.loss = 0.02, .duplicate = 0.02, .reorder = 0.1}, 7, config);
    for (std::uint16_t round = 0; round < 20; ++round) {
      SimFlow flow(net, ipv4, static_cast<std::uint16_t>(kPort + round), 2U * round + 1, 3000, 5000,
                   1 << 16, {.fast_open = true});
      EXPECT_TRUE(net.run([&] {
        flow.step();
        return flow.is_over();
      })) << "round "
          << round;
      flow.expect_intact();
      if (flow.early) ++with_data;
    }
  }
  EXPECT_GT(with_data, 10U);
}

}  // namespace
}  // namespace tideline::tcp::test
