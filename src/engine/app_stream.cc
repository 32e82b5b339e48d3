// SPDX-License-Identifier: Apache-2.0
#include "engine/app_stream.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "engine/socket_values.h"

namespace tideline::engine {
namespace {

using client::Failure;
using client::Outcome;
using Turn = AppEngine::Turn;

// Near peers are fastest with what stays in the caches; far ones with what the path holds, at most
// what the usual window scale can tell of. As memory they cost what is used of them.
constexpr std::size_t kNearSendBuffer = std::size_t{512} << 10;
constexpr std::size_t kNearReceiveBuffer = std::size_t{1} << 20;
constexpr std::size_t kFarBuffer = std::size_t{4} << 20;
constexpr Duration kFar = std::chrono::milliseconds(2);

// What a program waits for has room twice.
std::size_t near_receive_buffer(const client::Options& options) {
  return std::clamp(std::size_t{2} * options.receive_lowat, kNearReceiveBuffer, kFarBuffer);
}

}  // namespace

void AppStream::open() {
  flags_.store(0, std::memory_order_relaxed);
  error_.store(Failure::kNone, std::memory_order_relaxed);
  reported_.store(false, std::memory_order_relaxed);
  reports_.clear();
  wants_room_.store(false, std::memory_order_relaxed);
  send_limit_.store(SIZE_MAX, std::memory_order_relaxed);
  urgent_inline_.store(false, std::memory_order_relaxed);
  told_ = 0;
  id_ = {};
  listener_ = {};
  tuple_ = {};
  bound_.reset();
  sharing_ = client::Sharing::kNone;
  options_ = {};
  keys_.clear();
  last_info_.reset();
  backlog_ = 0;
  changed_since_listen_.store(false, std::memory_order_relaxed);
  waiting_.store(0, std::memory_order_relaxed);
  queued_ = nullptr;
  held_by_program_ = true;
}

void AppStream::drop_buffers() {
  if (!buffers_) return;
  for (const auto memory : buffers().memory) sockets_.give_buffer(memory);
  buffers_.reset();
}

bool AppStream::take_buffers(Duration rtt) {
  const auto size_or = [rtt](std::size_t wanted, std::size_t near) {
    if (wanted != 0) return wanted;
    return rtt < kFar ? near : kFarBuffer;
  };
  const auto outgoing = sockets_.take_buffer(size_or(options_.send_buffer, kNearSendBuffer));
  const auto incoming =
      sockets_.take_buffer(size_or(options_.receive_buffer, near_receive_buffer(options_)));
  if (outgoing.empty() || incoming.empty()) {
    sockets_.give_buffer(outgoing);
    sockets_.give_buffer(incoming);
    return false;
  }
  drop_buffers();
  buffers_.emplace(outgoing, incoming);
  return true;
}

Outcome<void> AppStream::bind(const client::Endpoint& local, client::Sharing sharing) {
  Outcome<void> result;
  const auto ran = sockets_.locked(Turn::kNone, [&](Worker& /*worker*/, Instant /*now*/) {
    const auto is_free = [&](std::uint16_t port) {
      return !sockets_.is_taken(
          {.local = {.address = local.address, .port = port}, .sharing = sharing}, this);
    };
    client::Endpoint wanted = local;
    if (bound_) {
      result = refuse(Failure::kInvalid);
      return;
    }
    if (local.port == 0) wanted.port = find_free_port(is_free);
    if (wanted.port == 0 || !is_free(wanted.port)) {
      result = refuse(Failure::kAddressInUse);
      return;
    }
    bound_ = wanted;
    sharing_ = sharing;
  });
  return ran ? result : ran;
}

Outcome<void> AppStream::listen(std::uint32_t backlog) {
  Outcome<void> result;
  const auto ran = sockets_.locked(Turn::kNone, [&](Worker& /*worker*/, Instant /*now*/) {
    backlog_ = std::clamp<std::uint32_t>(backlog, 1, 4096);
    if (has(kListening)) return;
    if (!bound_ || has(kConnecting | kConnected)) {
      result = refuse(Failure::kInvalid);
      return;
    }
    auto id = sockets_.tcp().listen(to_tcp(*bound_),
                                    {.backlog = backlog_,
                                     .fast_open = options_.fast_open,
                                     .shared = sharing_ == client::Sharing::kPort,
                                     .only_ipv6 = options_.only_ipv6,
                                     .stream = to_tcp(options_)},
                                    *this, keys_.kept());
    if (!id) {
      result = refuse(failure_of(id.error()));
      return;
    }
    listener_ = *id;
    set(kListening);
  });
  return ran ? result : ran;
}

Outcome<void> AppStream::connect(const std::optional<client::Endpoint>& remote) {
  if (!remote) return refuse(Failure::kNotSupported);
  Outcome<void> result = refuse(Failure::kInProgress);
  const auto ran = sockets_.locked(Turn::kSend, [&](Worker& /*worker*/, Instant now) {
    // Why the attempt before has failed is told first, and once; the socket is then as if new.
    const Failure pending = has(kEnded) && !has(kConnected) ? take_error() : Failure::kNone;
    if (pending != Failure::kNone) {
      flags_.store(0, std::memory_order_release);
      result = refuse(pending);
    } else if (has(kListening)) {
      result = refuse(Failure::kInvalid);
    } else if (has(kConnected) && !has(kEnded)) {
      result = refuse(Failure::kConnected);
    } else if (has(kConnecting)) {
      result = refuse(Failure::kWouldBlock);
    } else if (held_by_tcp_ || !take_buffers({})) {  // of an attempt that has failed, just now
      result = refuse(Failure::kNoMemory);
    } else {
      flags_.store(kConnecting, std::memory_order_release);
      auto id = sockets_.tcp().connect(to_tcp(*remote), bound_ ? to_tcp(*bound_) : tcp::Endpoint{},
                                       to_tcp(options_), attachment(), now, keys_.kept());
      if (!id) {
        flags_.store(0, std::memory_order_release);
        drop_buffers();
        result = refuse(failure_of(id.error()));
        return;
      }
      id_ = *id;
      tuple_ = sockets_.tcp().info(id_).tuple;
      held_by_tcp_ = true;
      if (sockets_.tcp().may_write_early(id_)) {
        flags_.store(kConnected, std::memory_order_release);
        result = {};
      }
    }
  });
  return ran ? result : ran;
}

Outcome<client::Socket*> AppStream::accept() {
  if (!has(kListening)) return refuse(Failure::kInvalid);
  if (waiting_.load(std::memory_order_acquire) == 0) return refuse(Failure::kWouldBlock);
  AppStream* stream = nullptr;
  // Options that were set since listen() are for who is accepted from now on, as in Linux.
  const bool changed = changed_since_listen_.load(std::memory_order_relaxed);
  const Turn turn = changed ? Turn::kSend : Turn::kNone;
  const auto ran = sockets_.locked(turn, [&](Worker& /*worker*/, Instant now) {
    stream = first_;
    if (stream == nullptr) return;
    if (changed) {
      stream->options_ = options_;
      stream->reports_.set_options(options_);
      sockets_.tcp().set_options(stream->id_, to_tcp(options_), now);
    }
    first_ = std::exchange(stream->queued_, nullptr);
    if (first_ == nullptr) last_ = nullptr;
    waiting_.fetch_sub(1, std::memory_order_release);
    sockets_.tcp().accepted(stream->id_);
  });
  if (!ran) return refuse(ran.error());
  if (stream == nullptr) return refuse(Failure::kWouldBlock);
  return stream;
}

tcp::Attachment AppStream::incoming(tcp::ListenerId /*listener*/, tcp::ConnectionId id,
                                    const tcp::Tuple& tuple, Instant /*now*/) {
  if (waiting_.load(std::memory_order_relaxed) >= backlog_) return {};
  AppStream& stream = sockets_.take_stream();
  stream.options_ = options_;
  stream.reports_.set_options(options_);
  stream.urgent_inline_.store(options_.urgent_inline, std::memory_order_relaxed);
  if (!stream.take_buffers(sockets_.tcp().info(id).srtt)) {
    stream.held_by_program_ = false;
    stream.let_go();
    return {};
  }
  stream.id_ = id;
  stream.tuple_ = tuple;
  stream.held_by_tcp_ = true;
  stream.set(kConnected);
  (last_ == nullptr ? first_ : last_->queued_) = &stream;
  last_ = &stream;
  waiting_.fetch_add(1, std::memory_order_release);
  watchers_.tell();
  return stream.attachment();
}

Outcome<void> AppStream::shut_down(bool receiving, bool sending) {
  if (has(kListening)) return stop_listening(receiving);
  if (!has(kConnected) || has(kEnded)) return refuse(Failure::kNotConnected);
  return sockets_.locked(Turn::kSend, [&](Worker& /*worker*/, Instant now) {
    if (receiving) set(kReceivingShut);
    if (sending && !has(kSendingShut)) {
      set(kSendingShut);
      sockets_.tcp().shut_down(id_, now);
    }
    watchers_.tell();
  });
}

// As Linux: whoever waits in accept() is told.
Outcome<void> AppStream::stop_listening(bool receiving) {
  return sockets_.locked(Turn::kSend, [&](Worker& /*worker*/, Instant now) {
    if (!receiving || !has(kListening)) return;
    sockets_.tcp().close(listener_);
    abort_queued(now);
    waiting_.store(0, std::memory_order_release);
    flags_.store(0, std::memory_order_release);
    watchers_.tell();
  });
}

void AppStream::close(bool abort) {
  [[maybe_unused]] const auto ran =
      sockets_.locked(Turn::kSend, [&](Worker& /*worker*/, Instant now) {
        watchers_.clear();
        held_by_program_ = false;
        bound_.reset();
        if (has(kListening)) {
          sockets_.tcp().close(listener_);
          abort_queued(now);
        }
        if (!held_by_tcp_) {
          let_go();
        } else if (abort) {
          sockets_.tcp().abort(id_, now);
        } else {
          sockets_.tcp().close(id_, buffers().receive.readable() > 0, now);
        }
      });
}

void AppStream::abort_queued(Instant now) {
  while (AppStream* stream = first_) {
    first_ = std::exchange(stream->queued_, nullptr);
    stream->held_by_program_ = false;
    if (stream->held_by_tcp_) {
      sockets_.tcp().abort(stream->id_, now);
    } else {
      stream->let_go();
    }
  }
  last_ = nullptr;
}

void AppStream::set_options(const client::Options& options) {
  [[maybe_unused]] const auto ran = sockets_.locked(Turn::kSend, [&](Worker& /*worker*/,
                                                                     Instant now) {
    options_ = options;
    reports_.set_options(options);
    urgent_inline_.store(options.urgent_inline, std::memory_order_relaxed);
    if (options.send_buffer > 0) {
      send_limit_.store(AppSockets::buffer_size(options.send_buffer), std::memory_order_relaxed);
    }
    if (has(kListening)) {
      changed_since_listen_.store(true, std::memory_order_relaxed);
      sockets_.tcp().set_options(listener_, to_tcp(options));
    }
    if (held_by_tcp_) sockets_.tcp().set_options(id_, to_tcp(options), now);
  });
}

Outcome<void> AppStream::change_keys(const client::KeyChange& change) {
  Outcome<void> result;
  const auto ran = sockets_.locked(Turn::kSend, [&](Worker& /*worker*/, Instant /*now*/) {
    result = keys_.change(sockets_.tcp(), has(kListening) ? std::optional(listener_) : std::nullopt,
                          held_by_tcp_ ? std::optional(id_) : std::nullopt, change);
  });
  return ran ? result : ran;
}

Outcome<client::KeyState> AppStream::read_key(std::uint32_t index) {
  client::KeyState state;
  const auto ran = sockets_.locked(Turn::kSend, [&](Worker& /*worker*/, Instant /*now*/) {
    state = keys_.read(sockets_.tcp(), has(kListening) ? std::optional(listener_) : std::nullopt,
                       held_by_tcp_ ? std::optional(id_) : std::nullopt, index);
  });
  if (!ran) return std::unexpected(ran.error());
  return state;
}

client::Endpoint AppStream::local() {
  if (has(kConnecting | kConnected)) return to_client(tuple_.local);
  return bound_.value_or(client::Endpoint{});
}

std::optional<client::Endpoint> AppStream::remote() {
  if (!has(kConnected)) return std::nullopt;
  return to_client(tuple_.remote);
}

client::Info AppStream::info() {
  if (has(kListening)) {
    return info_of_listener(waiting_.load(std::memory_order_acquire), backlog_,
                            options_.congestion);
  }
  tcp::Info info;
  const Instant now = monotonic_now();
  [[maybe_unused]] const auto ran = sockets_.locked(
      Turn::kNone, [&](Worker& /*worker*/, Instant) { info = sockets_.tcp().info(id_, now); });
  if (info.state == tcp::State::kClosed && last_info_ != nullptr) {
    info = *last_info_;
    info.state = tcp::State::kClosed;
  }
  return to_client(info, options_.congestion, now);
}

void AppStream::watch(client::Waiter& waiter, unsigned hint) {
  [[maybe_unused]] const auto ran = sockets_.locked(
      Turn::kNone, [&](Worker& /*worker*/, Instant /*now*/) { watchers_.add(waiter, hint); });
}

void AppStream::unwatch(client::Waiter& waiter, unsigned hint) {
  [[maybe_unused]] const auto ran = sockets_.locked(
      Turn::kNone, [&](Worker& /*worker*/, Instant /*now*/) { watchers_.remove(waiter, hint); });
}

void AppStream::finish(Instant now) {
  if (!held_by_program_) return;
  if (has(kListening)) sockets_.tcp().close(listener_);
  if (held_by_tcp_) sockets_.tcp().close(id_, buffers().receive.readable() > 0, now);
}

bool AppStream::is_ending() const {
  if (!held_by_tcp_) return false;
  const tcp::State state = sockets_.tcp().info(id_).state;
  return state != tcp::State::kFinWait2 && state != tcp::State::kTimeWait &&
         state != tcp::State::kClosed;
}

void AppStream::let_go() {
  if (held_by_program_ || held_by_tcp_) return;
  drop_buffers();
  sockets_.give_back(*this);
}

// Only now it is known how far the peer is. Nothing lies in the buffers yet, unless more than its
// SYN has come; and TCP goes on to know them by the same addresses. If there is no memory for
// larger ones, those that it has will do.
void AppStream::established(tcp::ConnectionId id, Instant /*now*/) {
  const tcp::Info info = sockets_.tcp().info(id);
  const bool unused = has(kConnecting) && info.segments_in <= 1 && buffers().send.written() == 0;
  if (unused && info.srtt >= kFar) take_buffers(info.srtt);
  flags_.store(kConnected, std::memory_order_release);
  watchers_.tell();
}

void AppStream::readable(tcp::ConnectionId /*id*/, Instant /*now*/) { watchers_.tell(); }

void AppStream::peer_closed(tcp::ConnectionId /*id*/, Instant /*now*/) {
  set(kPeerClosed);
  watchers_.tell();
}

void AppStream::writable(tcp::ConnectionId /*id*/, Instant /*now*/) {
  // The exchange is the fence between the room that was made and the look at who wants it.
  if (has_room() && wants_room_.exchange(false)) watchers_.tell();
}

// As Linux: kept while connecting, which it ends; then it is the error of the next call.
bool AppStream::path_failed(tcp::ConnectionId id, const ip::PathError& error) {
  if (!reports_.wants(error)) return false;
  if (sockets_.tcp().info(id).state != tcp::State::kSynSent) {
    error_.store(failure_of(error), std::memory_order_release);
    watchers_.tell();
  } else if (!reports_.put(error)) {  // told of when it ends, at once
    sockets_.stack().count(ip::Discard::kReportsFull);
  }
  return true;
}

std::optional<client::Report> AppStream::take_report() {
  return sockets_.take_report(reports_, reported_, error_);
}

void AppStream::ended(tcp::ConnectionId /*id*/, tcp::End reason, Instant /*now*/) {
  error_.store(failure_of(reason), std::memory_order_release);
  if (reports_.size() > 0) reported_.store(true, std::memory_order_release);
  set(kEnded);
  flags_.fetch_and(~kConnecting, std::memory_order_release);
  watchers_.tell();
}

void AppStream::released(tcp::ConnectionId id, Instant now) {
  // As long as the program has the socket it may ask.
  if (held_by_program_) last_info_ = std::make_unique<tcp::Info>(sockets_.tcp().info(id, now));
  held_by_tcp_ = false;
  let_go();
}

}  // namespace tideline::engine
