// SPDX-License-Identifier: Apache-2.0
#include "engine/served_stream.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/clock.h"
#include "client/records.h"
#include "engine/served_channel.h"
#include "engine/served_sockets.h"

namespace tideline::engine {

using client::Failure;
using client::Outcome;
using namespace queue;  // NOLINT(google-build-using-namespace): the bits of flags

namespace {

constexpr std::uint32_t kMostBacklog = 4096;

// As Linux bounds them: neither a segment of a byte nor a probe each nanosecond.
client::Options in_range(client::Options options) {
  constexpr std::uint16_t kLeastSegment = 88;
  constexpr Duration kLeastTime = std::chrono::seconds(1);
  if (options.max_segment != 0) options.max_segment = std::max(options.max_segment, kLeastSegment);
  options.keepalive_idle = std::max(options.keepalive_idle, kLeastTime);
  options.keepalive_interval = std::max(options.keepalive_interval, kLeastTime);
  return options;
}

}  // namespace

bool ServedStream::open(const std::shared_ptr<FamilyMemory>& memory) {
  if (!begin(memory)) return false;
  bound_ = false;
  binding_ = {};
  id_ = {};
  listener_ = {};
  tuple_ = {};
  options_ = {};
  keys_.clear();
  last_info_.reset();
  reports_.clear();
  changed_since_listen_ = false;
  moved_ = 0;
  backlog_ = waiting_ = 0;
  next_ = nullptr;
  return true;
}

bool ServedStream::open_buffers() {
  if (!open_fifos(FamilyMemory::kLeastFifo, FamilyMemory::kLeastFifo)) return false;
  send_.open(options_.send_buffer);
  receive_.open(options_.receive_buffer);
  receive_.keep_room(std::size_t{2} * options_.receive_lowat);
  return true;
}

Outcome<void> ServedStream::bind(const ServedChannel& caller, const client::Endpoint& local,
                                 client::Sharing sharing) {
  if (bound_ || has(kListening | kConnecting | kConnected)) return refuse(Failure::kInvalid);
  if (!caller.may_bind(local)) return refuse(Failure::kNotPermitted);
  if (!is_any(local.address) && !owns(sockets_.stack(), local.address)) {
    return refuse(Failure::kAddressUnknown);
  }
  const auto binding = [&](std::uint16_t port) {
    return Binding{.local = {.address = local.address, .port = port},
                   .sharing = sharing,
                   .user = family().user()};
  };
  const auto is_free = [&](std::uint16_t port) { return !sockets_.is_taken(binding(port)); };
  const std::uint16_t port = local.port == 0 ? find_free_port(is_free) : local.port;
  if (port == 0 || !is_free(port)) return refuse(Failure::kAddressInUse);
  binding_ = binding(port);
  bound_ = true;
  sockets_.bound(*this);
  show_local(binding_.local);
  return {};
}

void ServedStream::unbind() {
  if (!std::exchange(bound_, false)) return;
  sockets_.unbound(*this);
}

Outcome<void> ServedStream::listen(std::uint32_t backlog) {
  if (!has(kListening)) {
    if (!bound_ || has(kConnecting | kConnected)) return refuse(Failure::kInvalid);
    const std::uint32_t most = std::clamp<std::uint32_t>(backlog, 1, kMostBacklog);
    auto id = sockets_.tcp().listen(to_tcp(binding_.local),
                                    {.backlog = most,
                                     .fast_open = options_.fast_open,
                                     .shared = binding_.sharing == client::Sharing::kPort,
                                     .only_ipv6 = options_.only_ipv6,
                                     .stream = to_tcp(options_)},
                                    *this, keys_.kept());
    if (!id) return refuse(failure_of(id.error()));
    listener_ = *id;
    binding_.listening = true;
    set_flags(kListening);
  }
  backlog_ = std::clamp<std::uint32_t>(backlog, 1, kMostBacklog);
  return {};
}

Outcome<void> ServedStream::connect(const ServedChannel& caller,
                                    const std::optional<client::Endpoint>& remote, Instant now) {
  if (!remote) return refuse(Failure::kNotSupported);
  // Why the attempt before has failed is told first, and once; the socket is then as if new.
  if (has(kEnded) && !has(kConnected)) {
    const std::uint32_t error = page().error.exchange(0, std::memory_order_acq_rel);
    if (error != 0) {
      set_flags(flags() & kReported);
      return refuse(client::failure_from(error));
    }
  }
  if (has(kListening)) return refuse(Failure::kInvalid);
  if (has(kConnected) && !has(kEnded)) return refuse(Failure::kConnected);
  if (has(kConnecting)) return refuse(Failure::kWouldBlock);
  if (held_by_tcp_) return refuse(Failure::kNoMemory);  // of an attempt that has failed, just now
  client::Endpoint local = bound_ ? binding_.local : client::Endpoint{};
  if (is_any(local.address)) {
    const auto source = caller.source_for(remote->address);
    if (!source) return refuse(source.error());
    local.address = *source;
  }
  return start_connecting(local, *remote, now);
}

Outcome<void> ServedStream::start_connecting(const client::Endpoint& local,
                                             const client::Endpoint& remote, Instant now) {
  if (!open_buffers()) return refuse(Failure::kNoMemory);
  auto id = sockets_.tcp().connect(to_tcp(remote), to_tcp(local), to_tcp(options_), attachment(),
                                   now, keys_.kept());
  if (!id) {
    set_flags(flags() & kReported);
    close_fifos();
    return refuse(failure_of(id.error()));
  }
  id_ = *id;
  held_by_tcp_ = true;
  show(sockets_.tcp().info(id_).tuple);
  if (sockets_.tcp().may_write_early(id_)) {
    set_flags((flags() & kReported) | kConnected);
    return {};
  }
  set_flags((flags() & kReported) | kConnecting);
  return refuse(Failure::kInProgress);
}

void ServedStream::show(const tcp::Tuple& tuple) {
  tuple_ = tuple;
  show_local(to_client(tuple.local));
  show_remote(to_client(tuple.remote));
}

Outcome<ServedStream*> ServedStream::accept(Instant now) {
  if (!has(kListening)) return refuse(Failure::kInvalid);
  if (first_ == nullptr) return refuse(Failure::kWouldBlock);
  ServedStream* stream = first_;
  // Options that were set since listen() are for who is accepted from now on, as in Linux.
  if (changed_since_listen_) {
    stream->options_ = options_;
    stream->reports_.set_options(options_);
    stream->receive_.keep_room(std::size_t{2} * options_.receive_lowat);
    sockets_.tcp().set_options(stream->id_, to_tcp(options_), now);
  }
  first_ = std::exchange(stream->next_, nullptr);
  if (first_ == nullptr) last_ = nullptr;
  page().waiting.store(--waiting_, std::memory_order_release);
  stream->queued_ = false;
  sockets_.tcp().accepted(stream->id_);
  return stream;
}

tcp::Attachment ServedStream::incoming(tcp::ListenerId /*listener*/, tcp::ConnectionId id,
                                       const tcp::Tuple& tuple, Instant /*now*/) {
  if (waiting_ >= backlog_) return {};
  ServedStream* stream = sockets_.open_stream(family_);
  if (stream == nullptr) return {};
  stream->options_ = options_;
  stream->reports_.set_options(options_);
  if (!stream->open_buffers()) {
    stream->finish();
    return {};
  }
  stream->id_ = id;
  stream->held_by_tcp_ = true;
  stream->queued_ = true;
  stream->show(tuple);
  stream->set_flags(kConnected);
  (last_ == nullptr ? first_ : last_->next_) = stream;
  last_ = stream;
  page().waiting.store(++waiting_, std::memory_order_release);
  tell();
  return stream->attachment();
}

Outcome<void> ServedStream::shut_down(bool receiving, bool sending, Instant now) {
  if (has(kListening)) return stop_listening(receiving, now);
  if (!has(kConnected) || has(kEnded)) return refuse(Failure::kNotConnected);
  if (receiving) set_flags(flags() | kReceivingShut);
  if (sending && !has(kSendingShut)) {
    send_.close();
    set_flags(flags() | kSendingShut);
    sockets_.tcp().shut_down(id_, now);
  }
  tell();
  return {};
}

// As Linux: whoever waits in accept() is told.
Outcome<void> ServedStream::stop_listening(bool receiving, Instant now) {
  if (!receiving) return {};
  sockets_.tcp().close(listener_);
  binding_.listening = false;
  abort_queued(now);
  page().waiting.store(0, std::memory_order_release);
  set_flags(0);
  tell();
  return {};
}

void ServedStream::abort_queued(Instant now) {
  while (ServedStream* stream = first_) {
    first_ = std::exchange(stream->next_, nullptr);
    stream->queued_ = false;
    stream->close(true, now);
  }
  last_ = nullptr;
  waiting_ = 0;
}

void ServedStream::close(bool abort, Instant now) {
  unbind();
  if (has(kListening)) {
    sockets_.tcp().close(listener_);
    abort_queued(now);
  }
  if (!held_by_tcp_) return finish();
  send_.close();
  if (abort) return sockets_.tcp().abort(id_, now);
  incoming_.refresh_consumed();
  sockets_.tcp().close(id_, incoming_.used() > 0, now);
}

void ServedStream::finish() {
  if (is_held() || queued_ || held_by_tcp_) return;
  unbind();
  sockets_.forget_large(*this);
  end();
  sockets_.give_back(*this);
}

void ServedStream::set_options(const client::Options& options, Instant now) {
  options_ = in_range(options);
  reports_.set_options(options_);
  if (has(kListening)) {
    changed_since_listen_ = true;
    sockets_.tcp().set_options(listener_, to_tcp(options_));
  }
  if (!held_by_tcp_) return;
  send_.set_most(options_.send_buffer);
  receive_.set_most(options_.receive_buffer);
  receive_.keep_room(std::size_t{2} * options_.receive_lowat);
  sockets_.tcp().set_options(id_, to_tcp(options_), now);
}

Outcome<void> ServedStream::change_keys(const client::KeyChange& change) {
  return keys_.change(sockets_.tcp(), has(kListening) ? std::optional(listener_) : std::nullopt,
                      held_by_tcp_ ? std::optional(id_) : std::nullopt, change);
}

Outcome<client::KeyState> ServedStream::read_key(std::uint32_t index) const {
  return keys_.read(sockets_.tcp(), has(kListening) ? std::optional(listener_) : std::nullopt,
                    held_by_tcp_ ? std::optional(id_) : std::nullopt, index);
}

client::Info ServedStream::info() const {
  if (has(kListening)) {
    return info_of_listener(waiting_, backlog_, options_.congestion);
  }
  const Instant now = monotonic_now();
  tcp::Info info = sockets_.tcp().info(id_, now);
  if (info.state == tcp::State::kClosed && last_info_ != nullptr) {
    info = *last_info_;
    info.state = tcp::State::kClosed;
  }
  return to_client(info, options_.congestion, now);
}

client::Endpoint ServedStream::local() const {
  return has(kConnecting | kConnected) ? to_client(tuple_.local) : binding_.local;
}

std::expected<bool, EndReason> ServedStream::look(const ServedChannel& /*caller*/, Instant now) {
  if (!held_by_tcp_ || !has(kConnected)) return false;
  if (!send_.is_closed()) {
    if (!outgoing_.refresh_written()) return std::unexpected(EndReason::kBadIndex);
    sockets_.tcp().written(id_);
    if (send_.grow_if_full()) tell_of_room(now);
  }
  if (!incoming_.refresh_consumed()) return std::unexpected(EndReason::kBadIndex);
  sockets_.tcp().consumed(id_, now);
  return false;
}

void ServedStream::established(tcp::ConnectionId /*id*/, Instant /*now*/) {
  set_flags((flags() & kReported) | kConnected);
  tell();
}

void ServedStream::readable(tcp::ConnectionId /*id*/, Instant now) {
  if (incoming_.size() > receive_.least()) sockets_.note_large(*this, now);
  tell();
}

void ServedStream::peer_closed(tcp::ConnectionId /*id*/, Instant /*now*/) {
  set_flags(flags() | kPeerClosed);
  tell();
}

void ServedStream::writable(tcp::ConnectionId /*id*/, Instant now) {
  if (!send_.is_closed()) outgoing_.refresh_written();
  send_.grow_if_full();
  tell_of_room(now);
}

void ServedStream::tell_of_room(Instant now) {
  if (outgoing_.size() > FamilyMemory::kLeastFifo) sockets_.note_large(*this, now);
  // The exchange is the fence between the room that was made and the look at who wants it.
  const bool roomy = outgoing_.is_hungry() && outgoing_.room() >= outgoing_.size() / 3;
  if (roomy && page().wants_room.exchange(0) != 0) tell();
}

bool ServedStream::rest(Instant now) {
  incoming_.refresh_consumed();
  const std::uint64_t moved = outgoing_.written() + incoming_.written() + incoming_.consumed();
  if (std::exchange(moved_, moved) == moved) {
    keep_out(page().sending, [this] { send_.shrink(); });
    keep_out(page().receiving, [this] { receive_.shrink(); });
    // Who looked for room meanwhile, without the lock, may have seen half of it.
    tell_of_room(now);
  }
  return outgoing_.size() <= FamilyMemory::kLeastFifo && incoming_.size() <= receive_.least();
}

// As Linux: kept while connecting, which it ends; then it is the error of the next call.
bool ServedStream::path_failed(tcp::ConnectionId id, const ip::PathError& error) {
  if (!reports_.wants(error)) return false;
  if (sockets_.tcp().info(id).state != tcp::State::kSynSent) {
    set_error(failure_of(error));
    tell();
  } else if (!reports_.put(error)) {  // told of when it ends, at once
    sockets_.stack().count(ip::Discard::kReportsFull);
  }
  return true;
}

std::optional<client::Report> ServedStream::take_report() {
  auto report = reports_.take();
  if (reports_.size() == 0) set_flags(flags() & ~kReported);
  if (report) set_error(reports_.failure());
  return report;
}

void ServedStream::ended(tcp::ConnectionId /*id*/, tcp::End reason, Instant /*now*/) {
  send_.close();
  set_error(failure_of(reason));
  set_flags((flags() | kEnded | (reports_.size() > 0 ? kReported : 0)) & ~kConnecting);
  tell();
}

void ServedStream::released(tcp::ConnectionId id, Instant now) {
  // As long as a program has the socket, or may get it, it may ask.
  if (is_held() || queued_) last_info_ = std::make_unique<tcp::Info>(sockets_.tcp().info(id, now));
  held_by_tcp_ = false;
  finish();
}

}  // namespace tideline::engine
