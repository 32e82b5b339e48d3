// SPDX-License-Identifier: Apache-2.0
#include "client/queue_stream.h"

#include <poll.h>

#include <algorithm>

namespace tideline::client {
namespace {

using queue::Op;

// Of a long write, what the engine is told of at once, so that the peer begins to read.
constexpr std::size_t kPiece = std::size_t{64} << 10;

std::unexpected<Failure> refuse(Failure failure) { return std::unexpected(failure); }

}  // namespace

Outcome<void> QueueStream::listen(std::uint32_t backlog) {
  queue::Request listen = request(Op::kListen);
  listen.number = backlog;
  const auto done = call(listen);
  if (!done) return refuse(done.error());
  return {};
}

Outcome<void> QueueStream::connect(const std::optional<Endpoint>& remote) {
  if (!remote) return refuse(Failure::kNotSupported);
  queue::Request connect = request(Op::kConnect, queue::kHasEndpoint);
  connect.endpoint = to_record(*remote);
  const auto done = call(connect);
  const Failure failure = done ? Failure::kNone : done.error();
  if (failure == Failure::kNone || failure == Failure::kInProgress) {
    // Of an attempt that failed before, they may lie elsewhere.
    if (!has_fifos()) return refuse(Failure::kNoMemory);
  }
  return failure == Failure::kNone ? Outcome<void>() : refuse(failure);
}

Outcome<Socket*> QueueStream::accept() {
  if (!has(queue::kListening)) return refuse(Failure::kInvalid);
  if (sockets_.channel().is_gone()) return refuse(Failure::kReset);
  if (page_->waiting.load(std::memory_order_acquire) == 0) return refuse(Failure::kWouldBlock);
  const auto answer = call(request(Op::kAccept));
  if (!answer) return refuse(answer.error());
  QueueStream* stream = sockets_.take_stream(*answer, true);
  if (stream == nullptr) return refuse(Failure::kNoMemory);
  stream->options_ = options_;
  return stream;
}

Outcome<void> QueueStream::shut_down(bool receiving, bool sending) {
  std::uint16_t how = 0;
  if (receiving) how |= queue::kReceiving;
  if (sending) how |= queue::kSending;
  const auto done = call(request(Op::kShutDown, how));
  if (!done) return refuse(done.error());
  return {};
}

void QueueStream::close(bool abort) {
  close_handle(abort, has(queue::kConnected));
  sockets_.give_back(*this);
}

Outcome<std::size_t> QueueStream::refusal_to_send() {
  if (const Failure failure = take_error(); failure != Failure::kNone) return refuse(failure);
  if (sockets_.channel().is_gone()) return refuse(Failure::kReset);
  // Another thread may have taken the error of a connection that goes on.
  const bool goes_on = has(queue::kConnected) && !has(queue::kEnded | queue::kSendingShut);
  if (has(queue::kConnecting) || goes_on) return refuse(Failure::kWouldBlock);
  return refuse(Failure::kShutDown);
}

std::size_t QueueStream::write(std::span<const iovec> from, std::size_t size, bool urgent) {
  queue::FifoView fifo = outgoing();
  const std::uint64_t begin = fifo.written();
  const std::size_t room = std::min(size, fifo.wanted());
  if (urgent && room > 0) page_->outgoing.set_mark(begin + room - 1);
  if (room <= kPiece) {
    const std::size_t done = copy_in(fifo, begin, from, room);
    if (done > 0) {
      sockets_.count_copied(done);
      fifo.set_written(begin + done);
      hint();
    }
    return done;
  }
  std::size_t done = 0;
  for (const iovec& part : from) {
    const auto* bytes = static_cast<const std::byte*>(part.iov_base);
    for (std::size_t left = std::min(part.iov_len, room - done); left > 0;) {
      const std::size_t size_now = std::min(left, kPiece);
      const std::size_t copied = fifo.copy_in(begin + done, {bytes, size_now});
      done += copied;
      sockets_.count_copied(copied);
      fifo.set_written(begin + done);
      hint();
      if (copied < size_now) return done;
      bytes += copied;
      left -= copied;
    }
  }
  return done;
}

Outcome<std::size_t> QueueStream::send_with(std::span<const iovec> from, const SendHints& hints) {
  using queue::kConnected;
  using queue::kEnded;
  if ((flags() & (kConnected | kEnded | queue::kSendingShut)) != kConnected || has_failed()) {
    return refusal_to_send();
  }
  const std::size_t size = size_of(from);
  const Guard guard(*this, page_->sending);
  std::size_t done = write(from, size, hints.urgent);
  if (done == 0 && size > 0) {
    // Asked for before the last look: the engine looks after it has made room.
    page_->wants_room.store(1, std::memory_order_seq_cst);
    // Room that was there before, and is of no use, cannot be mapped. More may come meanwhile.
    const bool had_room = outgoing().wanted() > 0;
    done = write(from, size, hints.urgent);
    if (done == 0 && has(kEnded)) return refusal_to_send();
    if (done == 0) return refuse(had_room ? Failure::kNoMemory : Failure::kWouldBlock);
  }
  return done;
}

Urgent QueueStream::urgent() const {
  const queue::FifoView fifo = incoming();
  const std::size_t readable = fifo.readable();
  return {page_->incoming, fifo.consumed(), readable, options_.urgent_inline};
}

Outcome<std::size_t> QueueStream::receive_urgent(std::span<const iovec> into, bool peek) {
  const std::uint32_t flags = this->flags();
  if ((flags & queue::kConnected) == 0) {
    return refuse((flags & queue::kConnecting) != 0 ? Failure::kInvalid : Failure::kNotConnected);
  }
  const Guard guard(*this, page_->receiving);
  const Urgent urgent = this->urgent();
  constexpr std::uint32_t kLast = queue::kPeerClosed | queue::kEnded | queue::kReceivingShut;
  if (!urgent.is_apart()) return refuse(Failure::kInvalid);
  if (!urgent.has_come()) {
    return (flags & kLast) != 0 ? Outcome<std::size_t>(0) : refuse(Failure::kWouldBlock);
  }
  const std::size_t size = copy_out(incoming(), urgent.offset(), into, 1);
  if (!peek) page_->incoming.mark_read.store(urgent.offset(), std::memory_order_release);
  return size;
}

bool QueueStream::is_at_mark() { return has(queue::kConnected) && urgent().is_at_mark(); }

// The engine sees the room when it next sends; it is told when the peer may be waiting for it.
void QueueStream::tell_consumed(const queue::FifoView& fifo, bool was_full) {
  // Of what the engine promises the peer at the least.
  constexpr std::size_t kWindow = std::size_t{64} << 10;
  const auto consumed = static_cast<std::uint32_t>(fifo.consumed());
  const std::uint32_t told = page_->told.load(std::memory_order_relaxed);
  if (!was_full && consumed - told < std::max(fifo.size(), kWindow) / 4) return;
  page_->told.store(consumed, std::memory_order_relaxed);
  hint();
}

Outcome<Received> QueueStream::receive(std::span<const iovec> into, bool peek) {
  const std::uint32_t flags = this->flags();
  if ((flags & queue::kConnected) == 0) {
    if (const Failure failure = take_error(); failure != Failure::kNone) return refuse(failure);
    if ((flags & queue::kEnded) != 0) return Received{};
    return refuse((flags & queue::kConnecting) != 0 ? Failure::kWouldBlock
                                                    : Failure::kNotConnected);
  }
  const Guard guard(*this, page_->receiving);
  const bool failed = has_failed();
  queue::FifoView fifo = incoming();
  const Urgent urgent = this->urgent();
  const std::size_t readable = urgent.readable();
  const std::uint64_t at = fifo.consumed() + urgent.skipped();
  const bool was_full = fifo.readable() >= fifo.size();
  // Who reads on from an urgent byte has passed it.
  if (!peek) fifo.set_consumed(at);
  if (readable == 0) {
    // The flags were read before the FIFO, and bytes come before what ends them.
    if ((flags & queue::kEnded) != 0 || failed) {
      if (const Failure failure = take_error(); failure != Failure::kNone) return refuse(failure);
    }
    if ((flags & queue::kEnded) != 0) {
      if (sockets_.channel().is_gone()) return refuse(Failure::kReset);
    }
    constexpr std::uint32_t kLast = queue::kPeerClosed | queue::kEnded | queue::kReceivingShut;
    if ((flags & kLast) != 0) return Received{};
    if (size_of(into) > 0) return refuse(Failure::kWouldBlock);
  }
  const std::size_t size = copy_out(fifo, at, into, readable);
  if (size == 0 && readable > 0 && size_of(into) > 0) return refuse(Failure::kNoMemory);
  if (size > 0) sockets_.count_copied(size);
  if (!peek && size > 0) {
    fifo.set_consumed(at + size);
    tell_consumed(fifo, was_full);
  }
  return Received{.size = size, .whole = size};
}

unsigned QueueStream::events_of_connection(std::uint32_t flags, unsigned wanted) {
  unsigned events = 0;
  if ((flags & (queue::kPeerClosed | queue::kReceivingShut)) != 0) events |= POLLIN | POLLRDHUP;
  const Urgent urgent = this->urgent();
  if (urgent.readable() > 0) events |= POLLIN;
  if (urgent.is_news()) events |= POLLPRI;
  if ((flags & queue::kSendingShut) != 0) {
    events |= POLLOUT;
    if ((flags & (queue::kPeerClosed | queue::kReceivingShut)) != 0) events |= POLLHUP;
  } else if ((wanted & (POLLOUT | POLLWRNORM)) != 0) {
    if (has_room()) events |= POLLOUT;
  }
  return events;
}

unsigned QueueStream::readiness(unsigned wanted) {
  const std::uint32_t flags = this->flags();
  unsigned events = 0;
  if ((flags & queue::kEnded) != 0) {
    events |= POLLIN | POLLOUT | POLLHUP | POLLRDHUP;
  } else if ((flags & queue::kListening) != 0) {
    if (page_->waiting.load(std::memory_order_acquire) > 0) events |= POLLIN;
  } else if ((flags & queue::kConnected) != 0) {
    events |= events_of_connection(flags, wanted);
  } else if ((flags & queue::kConnecting) == 0) {
    events |= POLLOUT | POLLHUP;
  }
  if (has_failed()) events |= POLLERR;
  if ((events & POLLIN) != 0) events |= POLLRDNORM;
  if ((events & POLLOUT) != 0) events |= POLLWRNORM;
  return events & (wanted | POLLERR | POLLHUP);
}

std::size_t QueueStream::readable_bytes() { return has(queue::kConnected) ? urgent().told() : 0; }

std::size_t QueueStream::receive_capacity() {
  return has(queue::kConnected) ? incoming().size() : 0;
}

std::size_t QueueStream::outgoing_bytes() {
  if (!has(queue::kConnected)) return 0;
  const std::uint64_t acknowledged = page_->outgoing.consumed.load(std::memory_order_acquire);
  const std::uint64_t written = page_->outgoing.written.load(std::memory_order_acquire);
  return written > acknowledged ? static_cast<std::size_t>(written - acknowledged) : 0;
}

}  // namespace tideline::client
