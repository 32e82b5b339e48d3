// SPDX-License-Identifier: Apache-2.0
// RFC 9768: the handshake and its fall-backs, counters, paths that bleach, mark, strip and mangle.
// Flags in scripts: A is AE, W is CWR, E is ECE.
#include "tcp/script.h"
#include "tcp/test_net.h"
#include "wire/packet_layout.h"
#include "wire/tcp.h"

namespace tideline::tcp::test {
namespace {

// §3.1.1: the SYN-ACK says how the SYN came, the first ACK how the SYN-ACK did.
SCRIPT(AccurateEcn, Connect_IsGranted, R"(
  config accurate_ecn
  +0 connect
  +0 > SAWE 0:0(0)
  +0.01 < SW. 0:0(0) ack 1 win 65535 <mss 1460,accecn e0 1 ce 0>
  +0 > W. 1:1(0) ack 1 <accecn e0 1 ce 0>
  info accurate_ecn 1
  +0 write 100
  +0 > PAE. 1:101(100) ack 1 ect
)")

SCRIPT(AccurateEcn, RcvSyn_Listen_GrantsIt, R"(
  given LISTEN
  +0 < SAWE 0:0(0) win 65535 <mss 1460>
  +0 > SW. 0:0(0) ack 1 <mss 1460,accecn e0 1 ce 0>
  +0.01 < W. 1:1(0) ack 1
  info accurate_ecn 1
  +0 write 100
  +0 > PAE. 1:101(100) ack 1 ect
)")

// §3.1.1: each field of the SYN's IP header has its answer; a mark counts.
SCRIPT(AccurateEcn, RcvSyn_Listen_TellsHowItCame_Ect0, R"(
  given LISTEN
  +0 < SAWE 0:0(0) win 65535 <mss 1460> ect0
  +0 > SA. 0:0(0) ack 1
)")
SCRIPT(AccurateEcn, RcvSyn_Listen_TellsHowItCame_Ect1, R"(
  given LISTEN
  +0 < SAWE 0:0(0) win 65535 <mss 1460> ect1
  +0 > SWE. 0:0(0) ack 1
)")
SCRIPT(AccurateEcn, RcvSyn_Listen_TellsHowItCame_Ce, R"(
  given LISTEN
  +0 < SAWE 0:0(0) win 65535 <mss 1460> ce
  +0 > SAW. 0:0(0) ack 1
  +0.01 < W. 1:1(0) ack 1
  +0 write 100
  +0 > PAW. 1:101(100) ack 1 ect
)")

// §3.1.2: classic ECN, and none.
SCRIPT(AccurateEcn, RcvSyn_Listen_ClassicIsGrantedToWhoAsksForIt, R"(
  given LISTEN
  +0 < SEW 0:0(0) win 65535 <mss 1460>
  +0 > SE. 0:0(0) ack 1 <mss 1460>
  +0.01 < . 1:1(0) ack 1
  info accurate_ecn 0
  info ecn 1
)")

// §3.1.3: what nobody sends yet asks for it as well.
SCRIPT(AccurateEcn, RcvSyn_Listen_UnknownFlagsAreGrantedIt, R"(
  given LISTEN
  +0 < SA 0:0(0) win 65535 <mss 1460>
  +0 > SW. 0:0(0) ack 1
)")

// §3.1.2, table 2: a peer that knows classic ECN only.
SCRIPT(AccurateEcn, RcvSynAck_Classic_FallsBack, R"(
  config accurate_ecn
  +0 connect
  +0 > SAWE 0:0(0)
  +0.01 < SE. 0:0(0) ack 1 win 65535 <mss 1460>
  +0 > . 1:1(0) ack 1 <>
  info accurate_ecn 0
  info ecn 1
  +0 write 100
  +0 > P. 1:101(100) ack 1 ect
  +0.01 < E. 1:1(0) ack 101
  +0 write 100
  +0 > PW. 101:201(100) ack 1 ect
)")
SCRIPT(AccurateEcn, RcvSynAck_Nonce_FallsBackToClassic, R"(
  config accurate_ecn
  +0 connect
  +0 > SAWE 0:0(0)
  +0.01 < SAE. 0:0(0) ack 1 win 65535 <mss 1460>
  +0 > . 1:1(0) ack 1
  info ecn 1
  info accurate_ecn 0
)")
// One that knows none, and one that mirrors flags.
SCRIPT(AccurateEcn, RcvSynAck_None_FallsBack, R"(
  config accurate_ecn
  +0 connect
  +0 > SAWE 0:0(0)
  +0.01 < S. 0:0(0) ack 1 win 65535 <mss 1460>
  +0 > . 1:1(0) ack 1
  info ecn 0
  +0 write 100
  +0 > P. 1:101(100) ack 1
)")
SCRIPT(AccurateEcn, RcvSynAck_Mirrored_FallsBack, R"(
  config accurate_ecn
  +0 connect
  +0 > SAWE 0:0(0)
  +0.01 < SAWE. 0:0(0) ack 1 win 65535 <mss 1460>
  +0 > . 1:1(0) ack 1
  info ecn 0
)")

// §3.1.4.1: the path drops it. A late answer to one of the first is heard, and nothing is marked.
SCRIPT(AccurateEcn, LostSyn_GoesWithoutItTheThirdTime, R"(
  config accurate_ecn
  +0 connect
  +0 > SAWE 0:0(0)
  +1 > SAWE 0:0(0)
  +2 > S 0:0(0)
  +0.01 < SW. 0:0(0) ack 1 win 65535 <mss 1460>
  +0 > W. 1:1(0) ack 1
  info accurate_ecn 1
  +0 write 100
  +0 > PAE. 1:101(100) ack 1
)")

// RFC 3168 §6.1.1: likewise where classic ECN is granted late; marks of the peer's are echoed.
SCRIPT(AccurateEcn, LostSyn_GrantedClassicLate_MarksNothing, R"(
  config accurate_ecn
  +0 connect
  +0 > SAWE 0:0(0)
  +1 > SAWE 0:0(0)
  +2 > S 0:0(0)
  +0.01 < SE. 0:0(0) ack 1 win 65535 <mss 1460>
  +0 > . 1:1(0) ack 1
  info ecn 1
  +0 write 100
  +0 > P. 1:101(100) ack 1
  +0.01 < P. 1:101(100) ack 101 ce
  +0 > E. 101:101(0) ack 101
)")

// §3.1.4.2, §3.2.3.2.2: first without the option, then without the flags.
SCRIPT(AccurateEcn, LostSynAck_GoesWithoutTheOptionAndThenWithoutTheFlags, R"(
  given LISTEN
  +0 < SAWE 0:0(0) win 65535 <mss 1460>
  +0 > SW. 0:0(0) ack 1 <mss 1460,accecn e0 1 ce 0>
  +1 > SW. 0:0(0) ack 1 <mss 1460>
  +2 > S. 0:0(0) ack 1 <mss 1460>
  # The peer has not agreed to anything, then.
  +0.01 < . 1:1(0) ack 1
  +0 write 100
  +0 > PAE. 1:101(100) ack 1
)")

// §3.1.5: it has fallen back while we were answering.
SCRIPT(AccurateEcn, RcvSynWithout_SynReceived_MarksNothing, R"(
  given LISTEN
  +0 < SAWE 0:0(0) win 65535 <mss 1460>
  +0 > SW. 0:0(0) ack 1
  +0.1 < S 0:0(0) win 65535 <mss 1460>
  +0 > SW. 0:0(0) ack 1 <mss 1460>
  +0.01 < W. 1:1(0) ack 1
  +0 write 100
  +0 > PAE. 1:101(100) ack 1
)")

// §3.2.2.3: our SYN was not ECN-capable, and has come so.
SCRIPT(AccurateEcn, RcvSynAck_OfAMangledSyn_MarksNothing, R"(
  config accurate_ecn
  +0 connect
  +0 > SAWE 0:0(0)
  +0.01 < SA. 0:0(0) ack 1 win 65535 <mss 1460>
  +0 > W. 1:1(0) ack 1
  info accurate_ecn 1
  +0 write 100
  +0 > PAE. 1:101(100) ack 1
)")
SCRIPT(AccurateEcn, RcvAck_OfAMangledSynAck_MarksNothing, R"(
  given LISTEN
  +0 < SAWE 0:0(0) win 65535 <mss 1460>
  +0 > SW. 0:0(0) ack 1
  +0.01 < A. 1:1(0) ack 1
  +0 write 100
  +0 > PAE. 1:101(100) ack 1
)")
// §3.2.2.4: the path clears the flags.
SCRIPT(AccurateEcn, RcvSegment_WithClearedCounter_MarksNothing, R"(
  config accurate_ecn
  +0 connect
  +0 > SAWE 0:0(0)
  +0.01 < SW. 0:0(0) ack 1 win 65535 <mss 1460>
  +0 > W. 1:1(0) ack 1
  +0 write 100
  +0 > PAE. 1:101(100) ack 1 ect
  +0.01 < . 1:1(0) ack 101
  +0 write 100
  +0 > PAE. 101:201(100) ack 1
)")

// But they are clear after three marks, too: of data, as the option tells; of DCTCP the SYN, the
// acknowledgment behind it and the first data.
SCRIPT(AccurateEcn, RcvCounter_AfterThreeMarks_IsNotCleared, R"(
  config reno
  config accurate_ecn
  +0 connect
  +0 > SAWE 0:0(0)
  +0.01 < SW. 0:0(0) ack 1 win 65535 <mss 1000,accecn e0 1 ce 0>
  +0 > W. 1:1(0) ack 1
  +0 write 3000
  +0 > AE. 1:1001(1000) ack 1 ect
  +0 > AE. 1001:2001(1000) ack 1 ect
  +0 > PAE. 2001:3001(1000) ack 1 ect
  +0.01 < . 1:1(0) ack 3001 <accecn e0 1 ce 3000>
  +0 write 100
  +0 > PAE. 3001:3101(100) ack 1 ect
)")
SCRIPT(AccurateEcn, RcvCounter_Dctcp_AfterThreeMarks_IsNotCleared, R"(
  config dctcp
  +0 connect
  +0 > SAWE 0:0(0) ect
  +0.01 < SA. 0:0(0) ack 1 win 65535 <mss 1000,accecn e0 1 ce 0> ect0
  +0 > A. 1:1(0) ack 1 ect
  +0 write 1000
  +0 > PAE. 1:1001(1000) ack 1 ect
  +0.01 < . 1:1(0) ack 1001 <accecn e0 1 ce 1000>
  +0 write 100
  +0 > PAE. 1001:1101(100) ack 1 ect
)")
SCRIPT(AccurateEcn, RcvCounter_OfTwoMarks_IsCleared, R"(
  config accurate_ecn
  +0 connect
  +0 > SAWE 0:0(0)
  +0.01 < SW. 0:0(0) ack 1 win 65535 <mss 1000,accecn e0 1 ce 0>
  +0 > W. 1:1(0) ack 1
  +0 write 2000
  +0 > AE. 1:1001(1000) ack 1 ect
  +0 > PAE. 1001:2001(1000) ack 1 ect
  +0.01 < . 1:1(0) ack 2001 <accecn e0 1 ce 2000>
  +0 write 100
  +0 > PAE. 2001:2101(100) ack 1
)")

// §3.2.2: packets are counted modulo 8, bytes told by the option; two marks are told at once.
SCRIPT(AccurateEcn, RcvMarks_Established_AreCounted, R"(
  given LISTEN
  +0 < SAWE 0:0(0) win 65535 <mss 1460>
  +0 > SW. 0:0(0) ack 1
  +0.01 < W. 1:1(0) ack 1
  +0 < PAE. 1:101(100) ack 1 ect0
  +0 > AE. 1:1(0) ack 101 <accecn e0 101 ce 0>
  +0 < PAE. 101:201(100) ack 1 ce
  +0 > AW. 1:1(0) ack 201 <accecn e0 101 ce 100>
  +0 < PAE. 201:301(100) ack 1 ce
  +0 > AWE. 1:1(0) ack 301 <accecn e0 101 ce 200>
  +0 < PAE. 301:401(100) ack 1 ce
  +0 > . 1:1(0) ack 401 <accecn e0 101 ce 300>
  +0 < PAE. 401:501(100) ack 1 ect1
  +0 > . 1:1(0) ack 501 <accecn e0 101 ce 300 e1 101>
  # CWR is a part of the counter, and ends nothing.
  +0 < PAE. 501:601(100) ack 1
  +0 > . 1:1(0) ack 601 <>
  +0 read 600
)")

// What is told is heard: once in a window, and what is told twice counts once.
SCRIPT(AccurateEcn, RcvCounter_Established_ReducesTheWindow, R"(
  config reno
  config accurate_ecn
  +0 connect
  +0 > SAWE 0:0(0)
  +0.01 < SW. 0:0(0) ack 1 win 65535 <mss 1000,accecn e0 1 ce 0>
  +0 > W. 1:1(0) ack 1
  +0 write 10000
  +0 > AE. 1:1001(1000) ack 1 ect
  +0 > AE. 1001:2001(1000) ack 1 ect
  +0 > AE. 2001:3001(1000) ack 1 ect
  +0 > AE. 3001:4001(1000) ack 1 ect
  +0 > AE. 4001:5001(1000) ack 1 ect
  +0 > AE. 5001:6001(1000) ack 1 ect
  +0 > AE. 6001:7001(1000) ack 1 ect
  +0 > AE. 7001:8001(1000) ack 1 ect
  +0 > AE. 8001:9001(1000) ack 1 ect
  +0 > PAE. 9001:10001(1000) ack 1 ect
  +0.01 < AW. 1:1(0) ack 2001
  info marked_packets 1
  info recovery 2
  info ssthresh 4
  +0 < AW. 1:1(0) ack 4001
  info marked_packets 1
  # Two more in the same window.
  +0 < . 1:1(0) ack 6001
  info marked_packets 3
  info ssthresh 4
  # Older than what was heard last.
  +0 < AE. 1:1(0) ack 5001
  info marked_packets 3
  +0 < . 1:1(0) ack 10001
  info marked_packets 3
)")

// Appendix A: the option tells how often the flags went round; without it the worst is believed.
SCRIPT(AccurateEcn, RcvCounter_OfMoreThanSevenPackets_IsReadByTheOption, R"(
  config reno
  config accurate_ecn
  config gso
  +0 connect
  +0 > SAWE 0:0(0)
  +0.01 < SW. 0:0(0) ack 1 win 65535 <mss 1000,accecn e0 1 ce 0>
  +0 > W. 1:1(0) ack 1
  +0 write 10000
  +0 > PAE. 1:2001(2000) ack 1 ect
  +0 > PAE. 2001:4001(2000) ack 1 ect
  +0 > PAE. 4001:6001(2000) ack 1 ect
  +0 > PAE. 6001:8001(2000) ack 1 ect
  +0 > PAE. 8001:10001(2000) ack 1 ect
  +0.01 < AW. 1:1(0) ack 10001 <accecn e0 1001 ce 9000>
  info marked_packets 9
)")
SCRIPT(AccurateEcn, RcvCounter_OfMoreThanSevenPackets_WithoutTheOption, R"(
  config reno
  config accurate_ecn
  config gso
  +0 connect
  +0 > SAWE 0:0(0)
  +0.01 < SW. 0:0(0) ack 1 win 65535 <mss 1000>
  +0 > W. 1:1(0) ack 1
  +0 write 10000
  +0 > PAE. 1:2001(2000) ack 1 ect
  +0 > PAE. 2001:4001(2000) ack 1 ect
  +0 > PAE. 4001:6001(2000) ack 1 ect
  +0 > PAE. 6001:8001(2000) ack 1 ect
  +0 > PAE. 8001:10001(2000) ack 1 ect
  +0.01 < AW. 1:1(0) ack 10001
  info marked_packets 9
)")
// §3.2.3.2.4: somebody clears the option, and is not believed; nor is one that runs backwards.
SCRIPT(AccurateEcn, RcvOption_Cleared_IsIgnored, R"(
  config reno
  config accurate_ecn
  +0 connect
  +0 > SAWE 0:0(0)
  +0.01 < SW. 0:0(0) ack 1 win 65535 <mss 1000>
  +0 > W. 1:1(0) ack 1
  +0 write 1000
  +0 > PAE. 1:1001(1000) ack 1 ect
  +0.01 < AE. 1:1(0) ack 1001 win 65535 <accecn e0 0 ce 77777>
  info marked_packets 0
  +0 write 1000
  +0 > PAE. 1001:2001(1000) ack 1 ect
  +0.01 < AE. 1:1(0) ack 2001 <accecn e0 1 ce 16777215>
  info marked_packets 0
)")

// Half of what is sent at once is marked: DCTCP gets to know how much it is.
SCRIPT(AccurateEcn, Connect_Dctcp_MarksItsSyn, R"(
  config dctcp
  +0 connect
  +0 > SAWE 0:0(0) ect
  +0.01 < SA. 0:0(0) ack 1 win 65535 <mss 1000> ect0
  +0 > A. 1:1(0) ack 1 ect
  +0 write 1000
  +0 > PAE. 1:1001(1000) ack 1 ect
)")

// Opened from both sides: without ECN.
SCRIPT(AccurateEcn, RcvSyn_SynSent_HasNone, R"(
  config accurate_ecn
  +0 connect
  +0 > SAWE 0:0(0)
  +0.01 < SAWE 0:0(0) win 65535 <mss 1460>
  +0 > S. 0:0(0) ack 1
  +0.01 < . 1:1(0) ack 1
  info ecn 0
)")

// Data with the SYN goes together with it.
SCRIPT(AccurateEcn, RcvSyn_Listen_WithFastOpen, R"(
  config fast_open 8
  given LISTEN
  +0 < SAWE 0:10(10) win 65535 <mss 1460,sackOK,TS val 1 ecr 0,wscale 7,FO b3f936a51baeaf84>
  +0 > SW. 0:0(0) ack 11 <mss 1460,sackOK,TS val * ecr 1,wscale 7,accecn e0 1 ce 0>
  +0.01 < W. 11:11(0) ack 1 <TS val 2 ecr 0>
  +0 read 10
  +0 write 10
  +0 > PAE. 1:11(10) ack 11 ect
)")

// --- Whole hosts, and what stands between them.

// The ECN field of a frame's IP header, over IPv4.
std::byte& field_of(std::vector<std::byte>& frame) { return frame[15]; }

// Clears or changes frames on the way; true if `change` did.
using Change = std::function<bool(std::vector<std::byte>& frame)>;

struct Outcome {
  Info client;
  std::uint64_t changed = 0;
};

// A client sends two megabytes through a queue that marks.
Outcome pass_through(const Change& change, CongestionAlgorithm congestion) {
  Config config;
  config.accurate_ecn = true;
  LinkOptions link{.delay = std::chrono::milliseconds(5), .rate = 50'000'000, .queue = 100'000};
  link.mark_threshold = 20'000;
  SimNet net(link, 11, config);
  Outcome outcome;
  net.change = [&](std::vector<std::byte>& frame) {
    if (change && change(frame)) ++outcome.changed;
  };
  SimFlow flow(net, true, kPort, 1, 2'000'000, 1000, 1 << 18, {.congestion = congestion});
  EXPECT_TRUE(net.run([&] {
    flow.step();
    const Info now = net.left().tcp.info(flow.client.id, net.now);
    if (now.state != State::kClosed) outcome.client = now;
    return flow.is_over();
  }));
  flow.expect_intact();
  return outcome;
}

// Finds the TCP header of a frame, and mends its checksum afterwards.
bool change_tcp(std::vector<std::byte>& frame,
                const std::function<bool(wire::TcpHeader&, wire::MutableBytes options)>& change) {
  const auto layout = wire::parse_layout(frame, frame.size());
  if (!layout || layout->protocol != wire::kProtocolTcp) return false;
  const wire::MutableBytes segment = wire::MutableBytes(frame).subspan(layout->l4);
  auto& header = wire::view_as<wire::TcpHeader>(segment);
  const std::size_t size = header.header_size();
  if (!change(header, segment.subspan(sizeof(wire::TcpHeader), size - sizeof(wire::TcpHeader)))) {
    return false;
  }
  const auto& ip = layout->ipv4(frame);
  header.checksum = {};
  auto sum = wire::pseudo_header(ip.source, ip.destination, wire::kProtocolTcp,
                                 static_cast<std::uint32_t>(layout->l4_size()));
  sum.add(wire::Bytes(segment).first(layout->l4_size()));
  header.checksum = wire::be16(sum.checksum());
  return true;
}

TEST(AccurateEcnPath, ThatMarks_IsHeardOf) {
  for (const auto algorithm : {CongestionAlgorithm::kCubic, CongestionAlgorithm::kReno,
                               CongestionAlgorithm::kBbr, CongestionAlgorithm::kDctcp}) {
    const Outcome outcome = pass_through({}, algorithm);
    EXPECT_TRUE(outcome.client.accurate_ecn);
    EXPECT_GT(outcome.client.marked_packets, 3U);
    EXPECT_EQ(outcome.client.bytes_retransmitted, 0U) << "marks come before losses";
  }
}

// ECT is cleared: nothing is marked, all is well but for what the queue then drops.
TEST(AccurateEcnPath, ThatBleaches_DeliversAll) {
  const Outcome outcome = pass_through(
      [](std::vector<std::byte>& frame) {
        const auto layout = wire::parse_layout(frame, frame.size());
        if (!layout || layout->ip_version != 4 || (field_of(frame) & std::byte{3}) == std::byte{}) {
          return false;
        }
        auto& ip = wire::view_as<wire::Ipv4Header>(wire::MutableBytes(frame).subspan(layout->l3));
        const auto before = std::to_integer<std::uint16_t>(frame[14]) << 8 |
                            std::to_integer<std::uint16_t>(frame[15]);
        field_of(frame) &= std::byte{0xfc};
        ip.checksum = wire::be16(
            wire::update_checksum(ip.checksum.value(), static_cast<std::uint16_t>(before),
                                  static_cast<std::uint16_t>(before & 0xfffc)));
        return true;
      },
      CongestionAlgorithm::kCubic);
  EXPECT_TRUE(outcome.client.accurate_ecn);
  EXPECT_EQ(outcome.client.marked_packets, 0U);
  EXPECT_GT(outcome.changed, 1000U);
}

// Options that are not known are taken away: the flags alone tell enough.
TEST(AccurateEcnPath, ThatStripsOptions_IsHeardOf) {
  const Outcome outcome = pass_through(
      [](std::vector<std::byte>& frame) {
        return change_tcp(frame, [](wire::TcpHeader&, wire::MutableBytes options) {
          bool found = false;
          for (std::size_t at = 0; at < options.size();) {
            const auto kind = std::to_integer<unsigned>(options[at]);
            if (kind == 1) {
              ++at;
              continue;
            }
            if (kind == 0 || at + 1 >= options.size()) break;
            const auto size = std::to_integer<std::size_t>(options[at + 1]);
            if (kind == 172 || kind == 174) {
              std::ranges::fill(options.subspan(at, size), std::byte{1});
              found = true;
            }
            at += size;
          }
          return found;
        });
      },
      CongestionAlgorithm::kCubic);
  EXPECT_TRUE(outcome.client.accurate_ecn);
  EXPECT_GT(outcome.client.marked_packets, 3U);
  EXPECT_GT(outcome.changed, 100U);
}

// Reserved flags are cleared, of SYNs too: classic ECN remains.
TEST(AccurateEcnPath, ThatClearsTheReservedFlag_LeavesClassicEcn) {
  const Outcome outcome = pass_through(
      [](std::vector<std::byte>& frame) {
        return change_tcp(frame, [](wire::TcpHeader& header, wire::MutableBytes) {
          if ((header.flags() & wire::kTcpAe) == 0) return false;
          header.offset_flags =
              wire::be16(static_cast<std::uint16_t>(header.offset_flags.value() & ~wire::kTcpAe));
          return true;
        });
      },
      CongestionAlgorithm::kCubic);
  EXPECT_FALSE(outcome.client.accurate_ecn);
  EXPECT_TRUE(outcome.client.ecn);
}

// All flags of ECN are cleared, but not of SYNs: nothing is told, so nothing is marked.
TEST(AccurateEcnPath, ThatClearsAllFlags_IsNotUsed) {
  const Outcome outcome = pass_through(
      [](std::vector<std::byte>& frame) {
        return change_tcp(frame, [](wire::TcpHeader& header, wire::MutableBytes) {
          constexpr std::uint16_t kAll = wire::kTcpAe | wire::kTcpCwr | wire::kTcpEce;
          if ((header.flags() & wire::kTcpSyn) != 0 || (header.flags() & kAll) == 0) return false;
          header.offset_flags =
              wire::be16(static_cast<std::uint16_t>(header.offset_flags.value() & ~kAll));
          return true;
        });
      },
      CongestionAlgorithm::kCubic);
  EXPECT_TRUE(outcome.client.accurate_ecn);
  EXPECT_GT(outcome.changed, 100U);
}

// Losses, duplicates and reordering on top: counters never run away.
TEST(AccurateEcnPath, ThatLosesAndReorders_CountsWhatIsMarked) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    Config config;
    config.accurate_ecn = true;
    LinkOptions link{.delay = std::chrono::milliseconds(2),
                     .loss = 0.01,
                     .duplicate = 0.01,
                     .reorder = 0.02,
                     .mark = 0.05};
    SimNet net(link, seed, config);
    std::uint64_t marks = 0;
    net.watch = [&](const Queued& queued) {
      if (queued.marked && queued.from == 0) ++marks;
    };
    SimFlow flow(net, true, kPort, seed, 1'000'000, 1'000'000, 1 << 17, {});
    Info info;
    EXPECT_TRUE(net.run([&] {
      flow.step();
      const Info now = net.left().tcp.info(flow.client.id, net.now);
      if (now.state != State::kClosed) info = now;
      return flow.is_over();
    }));
    flow.expect_intact();
    EXPECT_TRUE(info.accurate_ecn);
    EXPECT_GT(info.marked_packets, 10U);
  }
}

}  // namespace
}  // namespace tideline::tcp::test
