// SPDX-License-Identifier: Apache-2.0
// Between sockets as programs know them (client/types.h) and the transports: values, who may have
// which port, and what a host says of addresses. For both placements of an engine. Thread: the
// worker's.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>

#include "base/error.h"
#include "client/types.h"
#include "engine/attachment.h"
#include "ip/stack.h"
#include "ip/udp.h"
#include "tcp/stream.h"

namespace tideline::engine {

inline constexpr std::size_t kMostDatagram = 65507;  // bytes that IPv4 carries

inline std::unexpected<client::Failure> refuse(client::Failure failure) {
  return std::unexpected(failure);
}

inline tcp::Endpoint to_tcp(const client::Endpoint& endpoint) {
  return {.address = endpoint.address, .port = endpoint.port};
}
inline ip::UdpSharing to_udp(client::Sharing sharing) {
  return static_cast<ip::UdpSharing>(sharing);
}
inline ip::UdpEndpoint to_udp(const client::Endpoint& endpoint) {
  return {.address = endpoint.address, .port = endpoint.port};
}
inline client::Endpoint to_client(const tcp::Endpoint& endpoint) {
  return {.address = endpoint.address, .port = endpoint.port};
}
inline client::Endpoint to_client(const ip::UdpEndpoint& endpoint) {
  return {.address = endpoint.address, .port = endpoint.port};
}
inline constexpr std::uint8_t kHopLimit = 64;  // of who has not chosen one

// A datagram's headers in both directions.
inline ip::UdpPath to_udp(const client::Endpoint& source, const client::Endpoint& destination,
                          const client::HeaderMarks& marks, bool whole) {
  return {.source = to_udp(source),
          .destination = to_udp(destination),
          .hop_limit = marks.hop_limit == 0 ? kHopLimit : marks.hop_limit,
          .traffic_class = marks.traffic_class,
          .may_fragment = !whole};
}
inline client::HeaderMarks marks_of(const ip::UdpPath& path) {
  return {.traffic_class = path.traffic_class, .hop_limit = path.hop_limit};
}
// What a datagram there may hold without fragments.
std::uint32_t datagram_room(const ip::Stack& stack, const wire::Ipv6Address& to, Instant now);

tcp::StreamOptions to_tcp(const client::Options& options);
client::Failure failure_of(tcp::End end);
client::Failure failure_of(const Error& error);
// `now`: ages are counted up to it.
client::Info to_client(const tcp::Info& info, client::Congestion congestion, Instant now);
// `waiting` of at most `backlog` connections are not yet accepted.
client::Info info_of_listener(std::uint32_t waiting, std::uint32_t backlog,
                              client::Congestion congestion);

// :: or 0.0.0.0.
bool is_any(const wire::Ipv6Address& address);

// Whether a socket at one of them hears of what is sent to the other, unless it is for IPv6 alone.
bool overlap(const wire::Ipv6Address& left, const wire::Ipv6Address& right);

// What a stream has bound.
struct Binding {
  client::Endpoint local{};
  client::Sharing sharing = client::Sharing::kNone;
  uid_t user = 0;
  bool listening = false;
};
// Whether `other` keeps a stream from having what it wants.
bool excludes(const Binding& other, const Binding& wanted);

// RFC 6056 §3.2.
inline constexpr std::uint16_t kFirstFreePort = 32768;
inline constexpr std::uint16_t kLastFreePort = 60999;
// A port that `take(port)` says is free, tried from a random one on; 0: there is none.
template <typename Take>
std::uint16_t find_free_port(Take&& take) {
  constexpr unsigned kPorts = kLastFreePort - kFirstFreePort + 1;
  const auto begin = static_cast<unsigned>(random_seed() % kPorts);
  for (unsigned i = 0; i < kPorts; ++i) {
    const auto port = static_cast<std::uint16_t>(kFirstFreePort + (begin + i) % kPorts);
    if (take(port)) return port;
  }
  return 0;
}

bool owns(ip::Stack& stack, const wire::Ipv6Address& address);
bool reaches(ip::Stack& stack, const wire::Ipv6Address& address);
// One of the host's, to stand for 127.0.0.1 or ::1.
std::optional<wire::Ipv6Address> own_address(ip::Stack& stack, bool ipv4);

}  // namespace tideline::engine
