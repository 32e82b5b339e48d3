// SPDX-License-Identifier: Apache-2.0
// Tests of single segments, in the notation of packetdrill: one connection of ours, a peer that is
// the script, virtual time. Sequence numbers are counted from each side's SYN, which is 0.
//
//   SCRIPT(Tcp, RcvRst_Established_OutOfWindowIsDropped, R"(
//     given ESTABLISHED                    # with `<mss 1460,sackOK,wscale 7>`, or what is given
//     +0.1 < R 90000:90000(0) win 0        # seconds after the line before; a segment comes
//     +0 > nothing                         # or one that must have been sent by now
//     state ESTABLISHED
//   )")
//
// Before `given`: config ecn | accurate_ecn | no_timestamps | no_window_scaling | no_sack | gso |
//   ipv6 | backlog N | buffer N | mtu N | no_delay | cork | keepalive IDLE INTERVAL PROBES |
//   user_timeout SECONDS | reno | bbr | dctcp | fast | pacing BYTES_PER_SECOND | fast_open MOST |
//   defer_accept SECONDS | notsent_lowat BYTES | tell_path_errors | mtu_probing off|always.
// given LISTEN | SYN_SENT | ... | TIME_WAIT.
// +T < FLAGS SEQ:END(SIZE) [ack N] [win N] [urg N] [<OPTIONS>] [ect0|ect1|ce] [badsum] [group]
//   [port N] [more]       more: the next comes in the same burst
// +T > FLAGS SEQ:END(SIZE) [ack N] [win N] [urg N] [<OPTIONS>] [ect] [port N]   |   > nothing
//   FLAGS: S F R P U E W A (AE) and . for ACK. P is compared only if the script has it.
//   OPTIONS: mss N, sackOK, wscale N, TS val N ecr N (`*` is any), sack A:B ..., FO [COOKIE],
//   accecn e0 N ce N e1 N
// +T connect | listen | write N [more|record|urgent] | read N | consume | shutdown | close | abort
//   connect again: the connection before is over
// +T option NAME
// +T path_carries MTU: what an error said of it is forgotten
// +T error KIND SEQ [MTU]: the network says so; port_unreachable, host_unreachable, too_big, ...
// mark OFFSET: of the peer's stream, that it calls urgent
// wanted BYTES, hungry yes|no: what the owner is told of notsent_lowat
// state NAME; events NAME...: all since the last look; count NAME N; info NAME N
#pragma once

#include <gtest/gtest.h>

#include <string_view>

namespace tideline::tcp::test {

void run_script(std::string_view text, int line);

}  // namespace tideline::tcp::test

// NOLINTNEXTLINE(bugprone-macro-parentheses): names
#define SCRIPT(suite, name, text) \
  TEST(suite, name) { tideline::tcp::test::run_script(text, __LINE__); }
