// SPDX-License-Identifier: Apache-2.0
// What stands behind a socket's descriptors: the open file, as POSIX has it. Its number is an INET
// socket of the kernel's, its *kernel half*; once a call says that tideline is meant, there is also
// ours. docs/adr/0009.
//
//   undecided --bind any--> both --connect--> ours, or the kernel's (forgotten here)
//       |---connect, bind, sendto---^
//
// Thread: any. Files are pooled and never unmapped, so that a look-up may race with a close.
#pragma once

#include <poll.h>

#include <atomic>
#include <cstdint>

#include "client/sockets.h"
#include "shim/sockets/fd_table.h"

namespace tideline::shim::sockets {

enum class Side : std::uint8_t {
  kUndecided,  // the kernel half answers
  kOurs,
  kBoth,    // bound to any address, or a datagram socket that has sent to both sides
  kKernel,  // decided: its numbers are forgotten one by one
};

// What a program wants to know of each datagram: bits of File::header_info.
inline constexpr unsigned kPacketInfo4 = 1;
inline constexpr unsigned kPacketInfo6 = 2;
inline constexpr unsigned kTrafficClass4 = 4;
inline constexpr unsigned kTrafficClass6 = 8;
inline constexpr unsigned kHopLimit4 = 16;
inline constexpr unsigned kHopLimit6 = 32;

struct File final : Counted {
  // The kernel's socket of that domain (AF_INET, AF_INET6) is `ours` too.
  static File* open(int domain, client::SocketType type, bool nonblocking);
  // The last descriptor and the last call have gone.
  void release();

  static void after_fork_in_child();

  bool is_stream() const { return type == client::SocketType::kStream; }
  client::Socket& socket() const { return *ours.load(std::memory_order_acquire); }
  Side where() const { return side.load(std::memory_order_acquire); }
  bool has_ours() const { return where() == Side::kOurs || where() == Side::kBoth; }
  client::Sharing sharing() const {
    if (shares_port.load(std::memory_order_relaxed)) return client::Sharing::kPort;
    return shares_address.load(std::memory_order_relaxed) ? client::Sharing::kAddress
                                                          : client::Sharing::kNone;
  }
  // What poll(2) says: also that the error queue has something; SO_RCVLOWAT.
  unsigned readiness(unsigned wanted) const {
    const bool queued = notifications() > 0 || socket().has_reports();
    unsigned events = socket().readiness(wanted) | (queued ? unsigned{POLLERR} : 0);
    constexpr unsigned kReadable = POLLIN | POLLRDNORM;
    if ((events & kReadable) != 0 && waits_for_more()) events &= ~kReadable;
    return events;
  }
  // Bytes have come, but not so many as the program waits for, and more may come.
  bool waits_for_more() const;
  std::uint32_t notifications() const {
    return zero_copied.load(std::memory_order_acquire) - told.load(std::memory_order_relaxed);
  }
  // What the program has chosen reaches `ours`.
  void apply_options() { socket().set_options(options); }

  int domain = 0;
  client::SocketType type = client::SocketType::kStream;
  std::atomic<Side> side{Side::kUndecided};
  std::atomic<client::Socket*> ours{nullptr};
  std::atomic<bool> nonblocking{false};
  std::atomic<std::int64_t> receive_timeout_us{0};  // 0: none
  std::atomic<std::int64_t> send_timeout_us{0};
  std::atomic<int> linger_s{-1};              // -1: off
  std::atomic<bool> shares_address{false};    // SO_REUSEADDR
  std::atomic<bool> shares_port{false};       // SO_REUSEPORT
  std::atomic<bool> has_asked_kernel{false};  // a datagram socket: somebody may answer there
  std::atomic<unsigned> header_info{0};       // IP_PKTINFO, IPV6_RECVPKTINFO and their kin
  std::atomic<bool> zero_copy{false};         // SO_ZEROCOPY
  std::atomic<bool> tells_rest{false};        // TCP_INQ
  std::atomic<std::size_t> least_read{1};     // SO_RCVLOWAT
  std::atomic<int> tells_time{0};             // SO_TIMESTAMP or its kin, by name
  std::atomic<bool> keys_are_ours{false};     // of TCP-AO: the kernel half has not taken them
  std::atomic<std::uint32_t> zero_copied{0};  // sends with MSG_ZEROCOPY
  std::atomic<std::uint32_t> told{0};         // of these, on the error queue
  // Changed by setsockopt only, whose callers do not race in earnest.
  client::Options options;
  client::HeaderMarks marks4;  // IP_TOS, IP_TTL; those that hold are among `options`
  client::HeaderMarks marks6;  // IPV6_TCLASS, IPV6_UNICAST_HOPS
  bool whole4 = false;         // IP_MTU_DISCOVER forbids fragments
  bool whole6 = false;
  std::uint16_t segment = 0;  // UDP_SEGMENT
  File* next_free = nullptr;
};

}  // namespace tideline::shim::sockets
