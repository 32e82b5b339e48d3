// SPDX-License-Identifier: Apache-2.0
// What goes through a stream, and what of it a program waits for; its life is in app_stream.cc.
#include <poll.h>

#include <algorithm>
#include <cstring>

#include "engine/app_stream.h"

namespace tideline::engine {
namespace {

using client::Failure;
using client::Outcome;
using Turn = AppEngine::Turn;

// What is copied before it is sent: the peer takes the first while the next is copied.
constexpr std::size_t kSendPiece = std::size_t{128} << 10;

}  // namespace

Outcome<std::size_t> AppStream::refusal_to_send() {
  if (const Failure failure = take_error(); failure != Failure::kNone) return refuse(failure);
  // Another thread may have taken the error of a connection that goes on.
  const bool goes_on = has(kConnected) && !has(kEnded | kSendingShut);
  if (has(kConnecting) || goes_on) return refuse(Failure::kWouldBlock);
  return refuse(Failure::kShutDown);
}

// Under the gate. Long writes leave piece by piece, so that the peer begins to read.
std::size_t AppStream::copy_in(std::span<const iovec> from, const client::SendHints& hints,
                               Worker& worker, Instant now) {
  tcp::ByteFifo& fifo = buffers().send;
  std::size_t done = 0;
  std::size_t unsent = 0;
  for (const iovec& part : from) {
    std::span<const std::byte> rest(static_cast<const std::byte*>(part.iov_base), part.iov_len);
    while (!rest.empty()) {
      const std::size_t most = std::min({send_room(), fifo.wanted(), kSendPiece - unsent});
      const std::size_t size = fifo.write(rest.first(std::min(rest.size(), most)));
      if (size == 0 && (unsent == 0 || fifo.wanted() > 0)) break;
      rest = rest.subspan(size);
      done += size;
      unsent += size;
      // What is not wanted may be once the rest has been sent.
      if (unsent < kSendPiece && size > 0) continue;
      sockets_.tcp().written(id_);
      worker.flush(now);
      unsent = 0;
    }
    if (!rest.empty()) break;
  }
  sockets_.passes().add(packet::Pass::kCopy, done);
  if (hints.urgent && done > 0) {
    buffers().outgoing.mark_urgent();
    sockets_.tcp().written(id_);
  }
  if (hints.end_of_record && done == size_of(from)) buffers().outgoing.end_record();
  if (unsent > 0) sockets_.tcp().written(id_, hints.more);
  return done;
}

Outcome<std::size_t> AppStream::send_with(std::span<const iovec> from,
                                          const client::SendHints& hints) {
  const unsigned flags = flags_.load(std::memory_order_acquire);
  if ((flags & (kConnected | kEnded | kSendingShut)) != kConnected || has_failed()) {
    return refusal_to_send();
  }
  const std::size_t size = size_of(from);
  std::size_t done = 0;
  const auto ran = sockets_.locked(Turn::kSend, [&](Worker& worker, Instant now) {
    if (has(kEnded)) return;
    done = copy_in(from, hints, worker, now);
    // Under the gate, as writable() is: room that comes from here on is told.
    if (done < size) wants_room_.store(true);
    buffers().outgoing.set_full(done < size);
  });
  if (!ran) return refuse(ran.error());
  if (done > 0 || size == 0) return done;
  if (has(kEnded)) return refusal_to_send();
  return refuse(Failure::kWouldBlock);
}

client::Urgent AppStream::urgent() {
  const tcp::ByteFifo& fifo = buffers().receive;
  const std::size_t readable = fifo.readable();
  return {buffers().receive_indices, fifo.consumed(), readable,
          urgent_inline_.load(std::memory_order_relaxed)};
}

std::size_t AppStream::copy_out(std::span<const iovec> into, std::uint64_t at, std::size_t left) {
  const tcp::ByteFifo& fifo = buffers().receive;
  std::size_t copied = 0;
  for (const iovec& part : into) {
    auto* to = static_cast<std::byte*>(part.iov_base);
    for (std::size_t room = std::min(part.iov_len, left); room > 0;) {
      const auto piece = fifo.piece(at, room);
      std::memcpy(to, piece.data(), piece.size());
      to += piece.size();
      at += piece.size();
      room -= piece.size();
      left -= piece.size();
      copied += piece.size();
    }
    if (left == 0) break;
  }
  return copied;
}

Outcome<client::Received> AppStream::receive(std::span<const iovec> into, bool peek) {
  const unsigned flags = flags_.load(std::memory_order_acquire);
  if ((flags & kConnected) == 0) {
    if (const Failure failure = take_error(); failure != Failure::kNone) return refuse(failure);
    if ((flags & kEnded) != 0) return client::Received{};
    return refuse((flags & kConnecting) != 0 ? Failure::kWouldBlock : Failure::kNotConnected);
  }
  const CallLock::Guard guard(receiving_);
  const bool failed = has_failed();
  const client::Urgent urgent = this->urgent();
  const std::uint64_t at = buffers().receive.consumed() + urgent.skipped();
  const std::size_t size = copy_out(into, at, urgent.readable());
  // Who reads on from an urgent byte has passed it.
  if (!peek && urgent.skipped() > 0) buffers().receive.set_consumed(at);
  if (size == 0 && urgent.readable() == 0) {
    // The flags were read before the FIFO, and bytes come before what ends them.
    if ((flags & kEnded) != 0 || failed) {
      if (const Failure failure = take_error(); failure != Failure::kNone) return refuse(failure);
    }
    if ((flags & (kPeerClosed | kEnded | kReceivingShut)) != 0) return client::Received{};
    if (size_of(into) > 0) return refuse(Failure::kWouldBlock);
  }
  if (!peek && size > 0) {
    buffers().receive.set_consumed(at + size);
    const std::uint64_t consumed = buffers().receive.consumed();
    // TCP sees the room when it next sends; it is told when the peer may be waiting for it.
    if (consumed - told_ >= buffers().receive.capacity() / 4) {
      told_ = consumed;
      [[maybe_unused]] const auto ran = sockets_.locked(
          Turn::kSend, [&](Worker& /*worker*/, Instant now) { sockets_.tcp().consumed(id_, now); });
    }
  }
  return client::Received{.size = size, .whole = size};
}

Outcome<std::size_t> AppStream::receive_urgent(std::span<const iovec> into, bool peek) {
  if (!has(kConnected))
    return refuse(has(kConnecting) ? Failure::kInvalid : Failure::kNotConnected);
  const CallLock::Guard guard(receiving_);
  const bool last = has(kPeerClosed | kEnded | kReceivingShut);
  const client::Urgent urgent = this->urgent();
  if (!urgent.is_apart()) return refuse(Failure::kInvalid);
  if (!urgent.has_come()) return last ? Outcome<std::size_t>(0) : refuse(Failure::kWouldBlock);
  const std::size_t size = copy_out(into, urgent.offset(), 1);
  if (!peek) buffers().receive_indices.mark_read.store(urgent.offset(), std::memory_order_release);
  return size;
}

bool AppStream::is_at_mark() { return has(kConnected) && urgent().is_at_mark(); }

unsigned AppStream::events_of_connection(unsigned flags, unsigned wanted) {
  unsigned events = 0;
  if ((flags & (kPeerClosed | kReceivingShut)) != 0) events |= POLLIN | POLLRDHUP;
  const client::Urgent urgent = this->urgent();
  if (urgent.readable() > 0) events |= POLLIN;
  if (urgent.is_news()) events |= POLLPRI;
  if ((flags & kSendingShut) != 0) {
    events |= POLLOUT;
    if ((flags & (kPeerClosed | kReceivingShut)) != 0) events |= POLLHUP;
  } else if ((wanted & (POLLOUT | POLLWRNORM)) != 0) {
    // Asked for before the last look: writable() looks after it has made room.
    if (!has_room()) wants_room_.store(true);
    if (has_room()) events |= POLLOUT;
  }
  return events;
}

unsigned AppStream::readiness(unsigned wanted) {
  const unsigned flags = flags_.load(std::memory_order_acquire);
  unsigned events = 0;
  if ((flags & kListening) != 0) {
    if (waiting_.load(std::memory_order_acquire) > 0) events |= POLLIN;
  } else if ((flags & kEnded) != 0) {
    events |= POLLIN | POLLOUT | POLLHUP | POLLRDHUP;
  } else if ((flags & kConnected) != 0) {
    events |= events_of_connection(flags, wanted);
  } else if ((flags & kConnecting) == 0) {
    events |= POLLOUT | POLLHUP;
  }
  if (error_.load(std::memory_order_acquire) != Failure::kNone) events |= POLLERR;
  if ((events & POLLIN) != 0) events |= POLLRDNORM;
  if ((events & POLLOUT) != 0) events |= POLLWRNORM;
  return events & (wanted | POLLERR | POLLHUP);
}

std::size_t AppStream::readable_bytes() { return has(kConnected) ? urgent().told() : 0; }

std::size_t AppStream::receive_capacity() {
  return has(kConnected) ? buffers().receive.capacity() : 0;
}

std::size_t AppStream::outgoing_bytes() {
  if (!has(kConnected)) return 0;
  return buffers().send.capacity() - buffers().send.writable();
}

}  // namespace tideline::engine
