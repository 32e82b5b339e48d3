// SPDX-License-Identifier: Apache-2.0
#include "client/queue_socket.h"

#include <algorithm>
#include <utility>

namespace tideline::client {

using queue::SocketPage;
using queue::WatcherSlot;

bool QueueSocket::begin(const queue::Response& where) {
  FamilyView* family = sockets_.channel().family(where.family);
  SocketPage* page = family == nullptr ? nullptr : family->page(where.page);
  if (page == nullptr) return false;
  handle_ = where.handle;
  page_ = page;
  family_ = family;
  options_ = {};
  return true;
}

bool QueueSocket::has_room() const {
  const queue::FifoView fifo = outgoing();
  const auto roomy = [&] { return fifo.is_hungry() && fifo.writable() >= fifo.size() / 3; };
  if (roomy()) return true;
  // Asked for before the last look: the engine looks after it has made room.
  page_->wants_room.store(1, std::memory_order_seq_cst);
  return roomy();
}

Outcome<void> QueueSocket::bind(const Endpoint& local, Sharing sharing) {
  std::uint16_t flags = sharing == Sharing::kNone ? 0 : queue::kShared;
  if (sharing == Sharing::kPort) flags |= queue::kSharedPort;
  queue::Request bind = request(queue::Op::kBind, flags);
  bind.endpoint = to_record(local);
  const auto bound = call(bind);
  if (!bound) return std::unexpected(bound.error());
  return {};
}

Failure QueueSocket::take_error() {
  if (page_->error.load(std::memory_order_relaxed) == 0) return Failure::kNone;
  return failure_from(page_->error.exchange(0, std::memory_order_acq_rel));
}

Endpoint QueueSocket::local() { return from_record(page_->local); }

std::optional<Endpoint> QueueSocket::remote_in_page() const {
  if (!has(queue::kConnected)) return std::nullopt;
  return from_record(page_->remote);
}

Info QueueSocket::info() {
  const auto answer = call(request(queue::Op::kInfo));
  return answer ? from_record(answer->info) : Info{};
}

void QueueSocket::set_options(const Options& options) {
  queue::Request set = request(queue::Op::kSetOptions);
  set.options = to_record(options);
  // Nothing comes back, and servers set TCP_CORK for each answer. But some are about the next
  // write.
  const Options before = std::exchange(options_, options);
  if (before.notsent_lowat == options.notsent_lowat &&
      before.reports_ipv4 == options.reports_ipv4 && before.reports_ipv6 == options.reports_ipv6) {
    sockets_.channel().post(set);
  } else {
    [[maybe_unused]] const auto done = call(set);
  }
}

std::optional<Report> QueueSocket::take_report() {
  if (!has_reports()) return std::nullopt;
  const auto answer = call(request(queue::Op::kTakeReport));
  if (!answer) return std::nullopt;
  return from_record(answer->report);
}

Outcome<void> QueueSocket::change_keys(const KeyChange& change) {
  return sockets_.channel().change_keys(handle_, to_record(change));
}

Outcome<KeyState> QueueSocket::read_key(std::uint32_t index) {
  const auto record = sockets_.channel().read_key(handle_, index);
  if (!record) return std::unexpected(record.error());
  return from_record(*record);
}

void QueueSocket::close_handle(bool abort, bool may_wait) {
  const queue::Request close = request(queue::Op::kClose, abort ? queue::kAbort : std::uint16_t{0});
  if (may_wait) {
    sockets_.channel().post(close);
  } else {
    [[maybe_unused]] const auto done = call(close);
  }
}

void QueueSocket::watch(Waiter& waiter, unsigned hint) {
  const std::uint64_t slot =
      WatcherSlot::make(sockets_.channel().number(), waiter.number(), hint % Waiter::kHints);
  for (auto& each : page_->watchers) {
    std::uint64_t none = 0;
    if (each.load(std::memory_order_relaxed) == 0 && each.compare_exchange_strong(none, slot)) {
      return;
    }
  }
  sockets_.crowd(true);
}

void QueueSocket::unwatch(Waiter& waiter, unsigned hint) {
  const std::uint64_t slot =
      WatcherSlot::make(sockets_.channel().number(), waiter.number(), hint % Waiter::kHints);
  for (auto& each : page_->watchers) {
    std::uint64_t mine = slot;
    if (each.load(std::memory_order_relaxed) == slot && each.compare_exchange_strong(mine, 0)) {
      return;
    }
  }
  sockets_.crowd(false);
}

QueueSocket::Guard::Guard(QueueSocket& socket, std::atomic<std::uint32_t>& lock) : lock_(lock) {
  const std::uint32_t word = socket.sockets_.channel().lock_word();
  std::uint32_t open = 0;
  while (!lock_.compare_exchange_weak(open, word, std::memory_order_acquire)) {
    // Nobody opens the lock of a process that died, once the front end has gone too.
    if (socket.sockets_.channel().is_gone()) return;
    open = 0;
    ::sched_yield();
  }
}

std::size_t copy_in(const queue::FifoView& fifo, std::uint64_t offset, std::span<const iovec> from,
                    std::size_t size) {
  std::size_t done = 0;
  for (const iovec& part : from) {
    const auto* bytes = static_cast<const std::byte*>(part.iov_base);
    const std::size_t wanted = std::min(part.iov_len, size - done);
    const std::size_t copied = fifo.copy_in(offset + done, {bytes, wanted});
    done += copied;
    if (copied < wanted || done == size) break;
  }
  return done;
}

std::size_t copy_out(const queue::FifoView& fifo, std::uint64_t offset, std::span<const iovec> into,
                     std::size_t size) {
  std::size_t done = 0;
  for (const iovec& part : into) {
    auto* bytes = static_cast<std::byte*>(part.iov_base);
    const std::size_t wanted = std::min(part.iov_len, size - done);
    const std::size_t copied = fifo.copy_out(offset + done, {bytes, wanted});
    done += copied;
    if (copied < wanted || done == size) break;
  }
  return done;
}

}  // namespace tideline::client
