// SPDX-License-Identifier: Apache-2.0
#include "tcp_echo.h"

namespace tideline::app {
namespace {

constexpr std::size_t kBuffer = std::size_t{1} << 20;
constexpr std::size_t kMostConnections = 1024;

}  // namespace

Status TcpEcho::listen(std::uint16_t port) {
  const auto id = tcp_.listen({.port = port}, {}, *this);
  if (!id) return fail(id.error());
  return {};
}

tcp::Attachment TcpEcho::incoming(tcp::ListenerId /*listener*/, tcp::ConnectionId id,
                                  const tcp::Tuple& /*tuple*/, Instant /*now*/) {
  if (streams_.size() >= kMostConnections) return {};
  ++connections_;
  tcp_.accepted(id);
  return streams_.emplace_back(*this, kBuffer).attachment();
}

void TcpEcho::Stream::readable(tcp::ConnectionId id, Instant /*now*/) { echo_.tcp_.written(id); }

void TcpEcho::Stream::writable(tcp::ConnectionId id, Instant now) { echo_.tcp_.consumed(id, now); }

void TcpEcho::Stream::peer_closed(tcp::ConnectionId id, Instant now) {
  echo_.tcp_.close(id, false, now);
}

void TcpEcho::Stream::released(tcp::ConnectionId /*id*/, Instant /*now*/) {
  echo_.streams_.remove_if([this](const Stream& each) { return &each == this; });
}

}  // namespace tideline::app
