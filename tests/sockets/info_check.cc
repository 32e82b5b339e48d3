// SPDX-License-Identifier: Apache-2.0
// What TCP_INFO tells of a stream, figure by figure.
#include <linux/inet_diag.h>
#include <linux/tcp.h>

#include "fixture.h"

namespace check {
namespace {

// <netinet/tcp.h>, which cannot be included beside <linux/tcp.h>.
constexpr unsigned kEstablished = 1;
constexpr unsigned kClosed = 7;
constexpr unsigned kListen = 10;

// With what Linux has put behind since these headers.
struct Info : tcp_info {
  std::uint32_t rcv_wnd;
  std::uint32_t rehash;
  std::uint16_t total_rto;
  std::uint16_t total_rto_recoveries;
  std::uint32_t total_rto_time;
};

Info info_of(int fd) {
  Info info{};
  socklen_t size = sizeof(info);
  EXPECT_EQ(::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
  EXPECT_EQ(size, sizeof(info));
  return info;
}

// Looks again until `done`, for acknowledgments take a while.
template <typename Done>
Info info_when(int fd, Done&& done) {
  Info info = info_of(fd);
  for (int tries = 0; tries < kPatienceMs && !done(info); ++tries) {
    ::usleep(1000);
    info = info_of(fd);
  }
  return info;
}

// A request and an answer, over a path that loses nothing.
class Exchange : public Sockets {
 protected:
  static constexpr std::uint32_t kRequest = 5000;
  static constexpr std::uint32_t kAnswer = 100;

  void exchange() {
    join();
    send(near_, std::string(kRequest, 'q'));
    std::size_t taken = 0;
    while (taken < kRequest) {
      const std::string got = receive(far_);
      ASSERT_FALSE(got.empty());
      taken += got.size();
    }
    send(far_, std::string(kAnswer, 'a'));
    EXPECT_EQ(receive(near_).size(), kAnswer);
  }
};

TEST_F(Exchange, WhatWasSentIsCounted) {
  exchange();
  const Info info = info_when(near_, [](const Info& now) { return now.tcpi_unacked == 0; });
  EXPECT_EQ(info.tcpi_bytes_sent, kRequest);
  // Linux counts the SYN.
  EXPECT_GE(info.tcpi_bytes_acked, kRequest);
  EXPECT_LE(info.tcpi_bytes_acked, kRequest + 1);
  EXPECT_EQ(info.tcpi_bytes_retrans, 0U);
  EXPECT_EQ(info.tcpi_bytes_received, kAnswer);
  const std::uint32_t least = (kRequest + info.tcpi_snd_mss - 1) / info.tcpi_snd_mss;
  EXPECT_GE(info.tcpi_data_segs_out, least);
  EXPECT_LE(info.tcpi_data_segs_out, least + 10);
  EXPECT_EQ(info.tcpi_delivered, info.tcpi_data_segs_out + 1);  // the SYN
  EXPECT_EQ(info.tcpi_data_segs_in, 1U);
  EXPECT_GT(info.tcpi_segs_out, info.tcpi_data_segs_out);
  EXPECT_GT(info.tcpi_segs_in, info.tcpi_data_segs_in);
  const Info other = info_of(far_);
  EXPECT_EQ(other.tcpi_bytes_received, kRequest);
  EXPECT_EQ(other.tcpi_data_segs_in, info.tcpi_data_segs_out);
  EXPECT_EQ(other.tcpi_data_segs_out, 1U);
}

TEST_F(Exchange, NothingIsAmiss) {
  exchange();
  const Info info = info_when(near_, [](const Info& now) { return now.tcpi_unacked == 0; });
  EXPECT_EQ(info.tcpi_state, kEstablished);
  EXPECT_EQ(info.tcpi_ca_state, TCP_CA_Open);
  EXPECT_EQ(info.tcpi_retransmits, 0U);
  EXPECT_EQ(info.tcpi_probes, 0U);
  EXPECT_EQ(info.tcpi_backoff, 0U);
  EXPECT_EQ(info.tcpi_fastopen_client_fail, 0U);
  EXPECT_EQ(info.tcpi_unacked, 0U);
  EXPECT_EQ(info.tcpi_sacked, 0U);
  EXPECT_EQ(info.tcpi_lost, 0U);
  EXPECT_EQ(info.tcpi_retrans, 0U);
  EXPECT_EQ(info.tcpi_fackets, 0U);
  EXPECT_EQ(info.tcpi_last_ack_sent, 0U);
  EXPECT_EQ(info.tcpi_total_retrans, 0U);
  EXPECT_EQ(info.tcpi_notsent_bytes, 0U);
  EXPECT_EQ(info.tcpi_delivered_ce, 0U);
  EXPECT_EQ(info.tcpi_dsack_dups, 0U);
  EXPECT_EQ(info.tcpi_reord_seen, 0U);
  EXPECT_EQ(info.tcpi_rcv_ooopack, 0U);
  EXPECT_EQ(info.tcpi_rwnd_limited, 0U);
  EXPECT_EQ(info.tcpi_sndbuf_limited, 0U);
  EXPECT_EQ(info.tcpi_reordering, 3U);
  EXPECT_EQ(info.rehash, 0U);
  EXPECT_EQ(info.total_rto, 0U);
  EXPECT_EQ(info.total_rto_recoveries, 0U);
  EXPECT_EQ(info.total_rto_time, 0U);
}

TEST_F(Exchange, ThePathIsMeasured) {
  exchange();
  const Info info = info_when(near_, [](const Info& now) { return now.tcpi_unacked == 0; });
  constexpr unsigned kOptions = TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE;
  EXPECT_EQ(info.tcpi_options & kOptions, kOptions);
  EXPECT_GT(info.tcpi_snd_wscale, 0U);
  EXPECT_GT(info.tcpi_rcv_wscale, 0U);
  EXPECT_GE(info.tcpi_rto, 200'000U);
  EXPECT_EQ(info.tcpi_ato, 40'000U);  // of a delayed acknowledgment
  EXPECT_GT(info.tcpi_pmtu, info.tcpi_snd_mss);
  EXPECT_GT(info.tcpi_advmss, 500U);
  EXPECT_GT(info.tcpi_rtt, 0U);
  EXPECT_GT(info.tcpi_rttvar, 0U);
  EXPECT_GT(info.tcpi_min_rtt, 0U);
  EXPECT_LE(info.tcpi_min_rtt, 10'000'000U);
  EXPECT_GE(info.tcpi_snd_cwnd, 10U);
  EXPECT_EQ(info.tcpi_snd_ssthresh, 0x7fffffffU);
  EXPECT_GT(info.tcpi_snd_wnd, 0U);
  EXPECT_GT(info.rcv_wnd, 0U);
  EXPECT_GT(info.tcpi_rcv_ssthresh, 0U);
  EXPECT_GT(info.tcpi_rcv_space, 0U);
  EXPECT_GT(info.tcpi_pacing_rate, 0U);
  EXPECT_LT(info.tcpi_pacing_rate, UINT64_MAX);
  EXPECT_EQ(info.tcpi_max_pacing_rate, UINT64_MAX);
  // A segment of 100 bytes has come, and the other end has seen longer ones.
  EXPECT_GE(info.tcpi_rcv_mss, 536U);
  EXPECT_LE(info.tcpi_rcv_mss, 1220U);  // what IPv6 carries at least
  EXPECT_GT(info_of(far_).tcpi_rcv_mss, info.tcpi_rcv_mss);
}

TEST_F(Exchange, AgesGrow) {
  exchange();
  const Info info = info_when(near_, [](const Info& now) {
    return now.tcpi_last_data_sent >= 20 && now.tcpi_last_data_recv >= 20 &&
           now.tcpi_last_ack_recv >= 20;
  });
  EXPECT_GE(info.tcpi_last_data_sent, 20U);
  EXPECT_GE(info.tcpi_last_data_recv, 20U);
  EXPECT_GE(info.tcpi_last_ack_recv, 20U);
  // What is sent now is younger than what has come before.
  send(near_, "again");
  const auto is_younger = [](const Info& now) {
    return now.tcpi_last_data_sent < now.tcpi_last_data_recv;
  };
  EXPECT_TRUE(is_younger(info_when(near_, is_younger)));
}

TEST_F(Sockets, AMaximalRateIsTold) {
  join();
  constexpr std::uint64_t kRate = 5'000'000'000;  // more than 32 bits
  ASSERT_EQ(::setsockopt(near_, SOL_SOCKET, SO_MAX_PACING_RATE, &kRate, sizeof(kRate)), 0);
  std::uint64_t rate = 0;
  socklen_t size = sizeof(rate);
  ASSERT_EQ(::getsockopt(near_, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, &size), 0);
  EXPECT_EQ(rate, kRate);
  EXPECT_EQ(info_of(near_).tcpi_max_pacing_rate, kRate);
  EXPECT_LE(info_of(near_).tcpi_pacing_rate, kRate);
}

// What the peer's closed window holds up, and for how long.
TEST_F(Sockets, AClosedWindowIsTold) {
  join();
  set(far_, SOL_SOCKET, SO_RCVBUF, 16 << 10);
  std::size_t written = 0;
  const std::string block(16 << 10, 'x');
  const Info info = info_when(near_, [&](const Info& now) {
    const ssize_t size = ::send(near_, block.data(), block.size(), MSG_DONTWAIT);
    if (size > 0) written += static_cast<std::size_t>(size);
    return size < 0 && now.tcpi_rwnd_limited > 0 && now.tcpi_notsent_bytes > 0;
  });
  EXPECT_GT(info.tcpi_rwnd_limited, 0U);
  EXPECT_GE(info.tcpi_busy_time, info.tcpi_rwnd_limited);
  EXPECT_GT(info.tcpi_notsent_bytes, 0U);
  EXPECT_EQ(info.tcpi_bytes_sent - info.tcpi_bytes_retrans + info.tcpi_notsent_bytes, written);
}

TEST_F(Sockets, AListenersQueueIsTold) {
  listener_ = make(SOCK_STREAM);
  const Address address = own(0);
  ASSERT_EQ(::bind(listener_, address.raw(), address.size), 0) << std::strerror(errno);
  ASSERT_EQ(::listen(listener_, 7), 0);
  EXPECT_EQ(info_of(listener_).tcpi_state, kListen);
  EXPECT_EQ(info_of(listener_).tcpi_unacked, 0U);
  EXPECT_EQ(info_of(listener_).tcpi_sacked, 7U);
  const std::uint16_t port = Address::local_of(listener_).port();
  const Fd one = make(SOCK_STREAM);
  ASSERT_EQ(connect_to(one, port), 0) << std::strerror(errno);
  const Fd two = make(SOCK_STREAM);
  ASSERT_EQ(connect_to(two, port), 0) << std::strerror(errno);
  EXPECT_EQ(
      info_when(listener_, [](const Info& now) { return now.tcpi_unacked == 2; }).tcpi_unacked, 2U);
  const Fd accepted(::accept(listener_, nullptr, nullptr));
  ASSERT_GE(accepted, 0);
  EXPECT_EQ(info_of(listener_).tcpi_unacked, 1U);
}

// What was counted can be asked for when nothing of the connection is left but the socket.
TEST_F(Exchange, TheLastFiguresStay) {
  exchange();
  info_when(near_, [](const Info& now) { return now.tcpi_unacked == 0; });
  const linger reset{.l_onoff = 1, .l_linger = 0};
  ASSERT_EQ(::setsockopt(far_, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
  far_.close();
  ASSERT_NE(wait_events(near_, POLLIN | POLLRDHUP) & POLLHUP, 0);
  const Info info = info_of(near_);
  EXPECT_EQ(info.tcpi_state, kClosed);
  EXPECT_EQ(info.tcpi_bytes_sent, kRequest);
  EXPECT_EQ(info.tcpi_bytes_received, kAnswer);
  EXPECT_GT(info.tcpi_snd_mss, 500U);
  EXPECT_GT(info.tcpi_rtt, 0U);
}

// Of an algorithm that has something to tell, and of one that has not.
TEST_F(Exchange, AlgorithmsTellOfThemselves) {
  exchange();
  ASSERT_EQ(::setsockopt(near_, IPPROTO_TCP, TCP_CONGESTION, "reno", 4), 0);
  tcp_cc_info algorithm{};
  socklen_t size = sizeof(algorithm);
  ASSERT_EQ(::getsockopt(near_, IPPROTO_TCP, TCP_CC_INFO, &algorithm, &size), 0);
  EXPECT_EQ(size, 0U);
  if (::setsockopt(near_, IPPROTO_TCP, TCP_CONGESTION, "bbr", 3) != 0) {
    ASSERT_EQ(errno, ENOENT);  // of a kernel that lacks the module
    return;
  }
  send(near_, "and its model is made");
  EXPECT_FALSE(receive(far_).empty());
  info_when(near_, [](const Info& now) { return now.tcpi_unacked == 0; });
  size = sizeof(algorithm);
  ASSERT_EQ(::getsockopt(near_, IPPROTO_TCP, TCP_CC_INFO, &algorithm, &size), 0);
  EXPECT_EQ(size, sizeof(algorithm.bbr));
  EXPECT_GT(algorithm.bbr.bbr_min_rtt, 0U);
  EXPECT_GT(algorithm.bbr.bbr_pacing_gain, 256U);
  EXPECT_GE(algorithm.bbr.bbr_cwnd_gain, 256U);
  // Less room than it takes: what fits.
  size = sizeof(std::uint32_t);
  ASSERT_EQ(::getsockopt(near_, IPPROTO_TCP, TCP_CC_INFO, &algorithm, &size), 0);
  EXPECT_EQ(size, sizeof(std::uint32_t));
}

}  // namespace
}  // namespace check
