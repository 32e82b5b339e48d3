// SPDX-License-Identifier: Apache-2.0
// RFC 7413, the listener's side. The cookie is that of Linux for this key and these addresses.
#include "tcp/script.h"

namespace tideline::tcp::test {
namespace {

// §4.1.2.
SCRIPT(FastOpen, RcvSyn_Listen_GivesACookieToWhoAsks, R"(
  config fast_open 8
  given LISTEN
  +0 < S 0:0(0) win 65535 <mss 1460,FO>
  +0 > S. 0:0(0) ack 1 <mss 1460,FO b3f936a51baeaf84>
  state SYN_RECEIVED
  +0.01 < . 1:1(0) ack 1
  state ESTABLISHED
)")

SCRIPT(FastOpen, RcvSyn_Listen_GivesNoneUnlessConfigured, R"(
  given LISTEN
  +0 < S 0:0(0) win 65535 <mss 1460,FO>
  +0 > S. 0:0(0) ack 1 <mss 1460>
)")

// §4.2.2: data goes both ways before the peer has answered.
SCRIPT(FastOpen, RcvSyn_Listen_TakesDataWithACookie, R"(
  config fast_open 8
  given LISTEN
  +0 < S 0:10(10) win 65535 <mss 1460,FO b3f936a51baeaf84>
  +0 > S. 0:0(0) ack 11 <mss 1460>
  events incoming readable
  info syn_data 1
  +0 read 10
  +0.01 write 100
  +0 > P. 1:101(100) ack 11
  +0.01 < . 11:11(0) ack 101
  +0 < F. 11:11(0) ack 101
  +0 > . 101:101(0) ack 12
)")

SCRIPT(FastOpen, RcvSyn_Listen_TakesACookieWithoutData, R"(
  config fast_open 8
  given LISTEN
  +0 < S 0:0(0) win 65535 <mss 1460,FO b3f936a51baeaf84>
  +0 > S. 0:0(0) ack 1 <mss 1460>
  events incoming
  info syn_data 0
)")

// §4.1.2: data with a wrong cookie waits for the handshake.
SCRIPT(FastOpen, RcvSyn_Listen_PassesOverDataWithAWrongCookie, R"(
  config fast_open 8
  given LISTEN
  +0 < S 0:10(10) win 65535 <mss 1460,FO aaaaaaaaaaaaaaaa>
  +0 > S. 0:0(0) ack 1 <mss 1460,FO b3f936a51baeaf84>
  events
  +0.01 < P. 1:11(10) ack 1
  +0 > . 1:1(0) ack 11
  events incoming readable
  +0 read 10
)")

// §5.1: who never answers cannot fill more than what is granted.
SCRIPT(FastOpen, RcvSyn_Listen_IsBounded, R"(
  config fast_open 1
  given LISTEN
  +0 < S 0:10(10) win 65535 <mss 1460,FO b3f936a51baeaf84>
  +0 > S. 0:0(0) ack 11 <mss 1460>
  +0 < S 0:10(10) win 65535 <mss 1460,FO b3f936a51baeaf84> port 4711
  +0 > S. 0:0(0) ack 1 <mss 1460> port 4711
)")

SCRIPT(FastOpen, SynAck_GoesAgainUntilThePeerAnswers, R"(
  config fast_open 8
  given LISTEN
  +0 < S 0:10(10) win 65535 <mss 1460,FO b3f936a51baeaf84>
  +0 > S. 0:0(0) ack 11 <mss 1460>
  +1 > S. 0:0(0) ack 11 <mss 1460>
  +2 > S. 0:0(0) ack 11 <mss 1460>
  +0.1 < S 0:10(10) win 65535 <mss 1460,FO b3f936a51baeaf84>
  +0 > S. 0:0(0) ack 11 <mss 1460>
  +0.01 < . 11:11(0) ack 1
  +0 read 10
  +10 > nothing
)")

SCRIPT(FastOpen, SynAck_GoesAgainWithTheData, R"(
  config fast_open 8
  given LISTEN
  +0 < S 0:10(10) win 65535 <mss 1460,FO b3f936a51baeaf84>
  +0 > S. 0:0(0) ack 11 <mss 1460>
  +0 write 100
  +0 > P. 1:101(100) ack 11
  +1 > S. 0:0(0) ack 11 <mss 1460>
  +0 > P. 1:101(100) ack 11
  +0.01 < . 11:11(0) ack 101
  +10 > nothing
)")

SCRIPT(FastOpen, RcvRst_BeforeTheAnswer_Resets, R"(
  config fast_open 8
  given LISTEN
  +0 < S 0:10(10) win 65535 <mss 1460,FO b3f936a51baeaf84>
  +0 > S. 0:0(0) ack 11 <mss 1460>
  +0.01 < R. 11:11(0) ack 1
  events incoming readable ended:reset released
  count connections 0
)")

SCRIPT(FastOpen, Silence_GivesUp, R"(
  config fast_open 8
  given LISTEN
  +0 < S 0:10(10) win 65535 <mss 1460,FO b3f936a51baeaf84>
  +0 > S. 0:0(0) ack 11 <mss 1460>
  +1 > S. 0:0(0) ack 11 <mss 1460>
  +2 > S. 0:0(0) ack 11 <mss 1460>
  +4 > S. 0:0(0) ack 11 <mss 1460>
  +8 > S. 0:0(0) ack 11 <mss 1460>
  +16 > S. 0:0(0) ack 11 <mss 1460>
  +32 > R. 1:1(0) ack 11
  events incoming readable ended:timed_out released
  count connections 0
)")

}  // namespace
}  // namespace tideline::tcp::test
