// SPDX-License-Identifier: Apache-2.0
#include "api/stream_state.h"

#include <algorithm>
#include <utility>

namespace tideline::api {

namespace {

tcp::CongestionAlgorithm congestion_of(Congestion congestion) {
  switch (congestion) {
    case Congestion::kCubic:
      return tcp::CongestionAlgorithm::kCubic;
    case Congestion::kReno:
      return tcp::CongestionAlgorithm::kReno;
    case Congestion::kBbr:
      return tcp::CongestionAlgorithm::kBbr;
    case Congestion::kDctcp:
      return tcp::CongestionAlgorithm::kDctcp;
  }
  return tcp::CongestionAlgorithm::kCubic;
}

}  // namespace

tcp::StreamOptions to_tcp(const StreamOptions& options) {
  tcp::StreamOptions tcp{.no_delay = options.no_delay,
                         .quick_ack = options.quick_ack,
                         .congestion = congestion_of(options.congestion),
                         .user_timeout = options.user_timeout};
  if (options.keepalive > Duration::zero()) {
    tcp.keepalive = true;
    tcp.keepalive_idle = options.keepalive;
  }
  return tcp;
}

void StreamState::open(const StreamOptions& options) {
  send_.reset(options.send_buffer);
  receive_.reset(std::min(options.receive_buffer, kMostReceiveBuffer));
  id_ = {};
  tuple_ = {};
  end_ = tcp::End::kNone;
  connected_ = peer_closed_ = wants_room_ = has_lent_ = shuts_down_later_ = is_spoilt_ = false;
  queued = nullptr;
  held_by_program_ = true;
}

void StreamState::join(tcp::ConnectionId id, const tcp::Tuple& tuple, bool connected) {
  id_ = id;
  tuple_ = tuple;
  connected_ = connected;
  held_by_tcp_ = true;
}

void StreamState::give_up() {
  held_by_program_ = false;
  let_go();
}

Stream::State StreamState::state() const {
  if (end_ != tcp::End::kNone) return Stream::State::kEnded;
  return connected_ ? Stream::State::kOpen : Stream::State::kConnecting;
}

bool StreamState::is_sending_on() {
  if (held_by_program_ || !held_by_tcp_) return false;
  if (send_.has_loans()) return true;  // also of one that has failed: frames may still borrow
  return end_ == tcp::End::kNone && runtime().tcp().info(id_).state != tcp::State::kFinWait2;
}

std::span<const std::byte> StreamState::front() {
  const auto bytes = receive_.front();
  end_if_spoilt();
  return bytes;
}

std::size_t StreamState::read(std::span<std::byte> buffer) {
  const std::size_t size = receive_.read(buffer);
  end_if_spoilt();
  if (size > 0) consumed();
  return size;
}

bool StreamState::settle(Instant now) {
  if (receive_.is_holding() && now - holds_since_ < kHoldTime) return false;
  receive_.settle();
  end_if_spoilt();
  is_holder_ = false;
  return true;
}

void StreamState::end_if_spoilt() {
  if (!receive_.is_spoilt() || std::exchange(is_spoilt_, true)) return;
  if (end_ == tcp::End::kNone && held_by_tcp_) {
    runtime().tcp().abort(id_, runtime().now());
  } else {
    end_ = tcp::End::kReset;
    if (held_by_program_) mark(Ready::kEnded | Ready::kReadable);
  }
}

// What an end in peace leaves is the peer's to read for longer: its program may only be stopped.
void StreamState::withdraw(port::Port& port, Instant before) const {
  constexpr Duration kLongPatience = std::chrono::minutes(1);
  if (end_ == tcp::End::kNone || !held_by_tcp_) return;
  if (end_ == tcp::End::kFinished) before -= kLongPatience;
  for (std::uint64_t offset = send_.released(); offset < send_.end();) {
    const auto piece = send_.at(offset, SIZE_MAX);
    port.withdraw(piece, before);
    offset += piece.size();
  }
}

void StreamState::want_room() {
  const bool asked = std::exchange(wants_room_, true);
  if (!asked && send_.is_starved()) runtime().wait_for_memory(*this);
}

bool StreamState::lend(std::span<const std::byte> memory) {
  if (!send_.lend(memory)) return false;
  has_lent_ = true;
  wrote();
  return true;
}

// TCP forgets a connection that is closed before it is open (RFC 9293 §3.10.4), and what was
// written with it; here it waits until it is open.
void StreamState::shut_down() {
  if (state() == Stream::State::kConnecting) {
    shuts_down_later_ = true;
  } else {
    runtime().tcp().shut_down(id_, runtime().now());
  }
}

void StreamState::close() {
  forget();
  runtime().forget_waiting(*this);
  set_context(nullptr);
  held_by_program_ = false;
  const bool later = state() == Stream::State::kConnecting && send_.end() > 0;
  if (held_by_tcp_ && later) {
    shuts_down_later_ = true;
  } else if (held_by_tcp_) {
    runtime().tcp().close(id_, receive_.readable() > 0, runtime().now());
  } else {
    let_go();
  }
}

void StreamState::abort() {
  if (held_by_tcp_) runtime().tcp().abort(id_, runtime().now());
  end_ = tcp::End::kAborted;
  close();
}

void StreamState::let_go() {
  if (held_by_program_ || held_by_tcp_) return;
  send_.reset(0);
  receive_.reset(0);
  if (std::exchange(is_holder_, false)) runtime().remove_holder(*this);
  runtime().give_back(*this);
}

void StreamState::established(tcp::ConnectionId id, Instant now) {
  connected_ = true;
  if (!held_by_program_) {
    runtime().tcp().close(id, false, now);
    return;
  }
  if (shuts_down_later_) runtime().tcp().shut_down(id, now);
  mark(Ready::kWritable);
}

void StreamState::readable(tcp::ConnectionId /*id*/, Instant now) {
  end_if_spoilt();
  if (receive_.is_holding() && !std::exchange(is_holder_, true)) {
    holds_since_ = now;
    runtime().add_holder(*this);
  }
  if (held_by_program_) mark(Ready::kReadable);
}

void StreamState::peer_closed(tcp::ConnectionId /*id*/, Instant /*now*/) {
  peer_closed_ = true;
  if (held_by_program_) mark(Ready::kReadable);
}

void StreamState::writable(tcp::ConnectionId /*id*/, Instant /*now*/) {
  if (!held_by_program_) return;
  if (wants_room_ && send_.room() > 0) {
    wants_room_ = false;
    runtime().forget_waiting(*this);
    mark(Ready::kWritable);
  }
  if (has_lent_) {
    has_lent_ = send_.has_loans();
    mark(Ready::kReleased);
  }
}

void StreamState::ended(tcp::ConnectionId /*id*/, tcp::End reason, Instant /*now*/) {
  end_ = is_spoilt_ ? tcp::End::kReset : reason;
  if (held_by_program_) mark(Ready::kEnded | Ready::kReadable);
}

void StreamState::released(tcp::ConnectionId /*id*/, Instant /*now*/) {
  held_by_tcp_ = false;
  let_go();
}

ListenerState::~ListenerState() {
  runtime().tcp().close(id_);
  while (StreamState* stream = accept()) stream->abort();
}

Status ListenerState::listen(std::uint16_t port) {
  auto id = runtime().tcp().listen(
      {.port = port}, {.backlog = options_.backlog, .stream = to_tcp(options_.stream)}, *this);
  if (!id) return fail(std::move(id.error()));
  id_ = *id;
  return {};
}

StreamState* ListenerState::accept() {
  StreamState* stream = first_;
  if (stream == nullptr) return nullptr;
  first_ = std::exchange(stream->queued, nullptr);
  if (first_ == nullptr) last_ = nullptr;
  --waiting_;
  runtime().tcp().accepted(stream->id());
  return stream;
}

tcp::Attachment ListenerState::incoming(tcp::ListenerId /*listener*/, tcp::ConnectionId id,
                                        const tcp::Tuple& tuple, Instant /*now*/) {
  // TCP counts those that live; one that was reset waits here for accept(), too.
  if (waiting_ >= options_.backlog) return {};
  StreamState* stream = runtime().make_stream(options_.stream);
  if (stream == nullptr) return {};
  ++waiting_;
  stream->join(id, tuple, true);
  (last_ == nullptr ? first_ : last_->queued) = stream;
  last_ = stream;
  mark(Ready::kReadable);
  return stream->attachment();
}

}  // namespace tideline::api
