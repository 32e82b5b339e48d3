// SPDX-License-Identifier: Apache-2.0
#include "client/queue_datagram.h"

#include <poll.h>

#include <algorithm>

namespace tideline::client {
namespace {

using queue::DatagramRecord;
using queue::Op;

std::unexpected<Failure> refuse(Failure failure) { return std::unexpected(failure); }

// Of a record and its payload: the next begins at a multiple of 8.
constexpr std::size_t length_of(std::size_t payload) {
  return (sizeof(DatagramRecord) + payload + 7) & ~std::size_t{7};
}

}  // namespace

Outcome<void> QueueDatagram::listen(std::uint32_t /*backlog*/) {
  return refuse(Failure::kNotSupported);
}

Outcome<Socket*> QueueDatagram::accept() { return refuse(Failure::kNotSupported); }

Outcome<void> QueueDatagram::connect(const std::optional<Endpoint>& remote) {
  queue::Request connect = request(Op::kConnect, remote ? queue::kHasEndpoint : std::uint16_t{0});
  if (remote) connect.endpoint = to_record(*remote);
  const auto done = call(connect);
  if (!done) return refuse(done.error());
  return {};
}

Outcome<void> QueueDatagram::shut_down(bool receiving, bool sending) {
  std::uint16_t how = 0;
  if (receiving) how |= queue::kReceiving;
  if (sending) how |= queue::kSending;
  const auto done = call(request(Op::kShutDown, how));
  if (!done) return refuse(done.error());
  return {};
}

void QueueDatagram::close(bool abort) {
  close_handle(abort, false);
  sockets_.give_back(*this);
}

// Under the lock. False: there is no room.
bool QueueDatagram::put(const DatagramRecord& record, std::span<const iovec> from) {
  queue::FifoView fifo = outgoing();
  const std::size_t length = length_of(record.size);
  if (fifo.writable() < length) return false;
  const std::uint64_t at = fifo.written();
  DatagramRecord header = record;
  const iovec head{.iov_base = &header, .iov_len = sizeof(header)};
  copy_in(fifo, at, {&head, 1}, sizeof(header));
  sockets_.count_copied(copy_in(fifo, at + sizeof(header), from, record.size));
  fifo.set_written(at + length);
  hint();
  return true;
}

Outcome<std::size_t> QueueDatagram::send_by(std::span<const iovec> from,
                                            const std::optional<Endpoint>& to,
                                            const DatagramWay& way) {
  if (const Failure failure = take_error(); failure != Failure::kNone) return refuse(failure);
  const std::uint32_t flags = this->flags();
  if ((flags & queue::kEnded) != 0) return refuse(Failure::kReset);  // the front end has gone
  if ((flags & queue::kSendingShut) != 0) return refuse(Failure::kShutDown);
  const std::size_t size = size_of(from);
  if (size > kMostBytes) return refuse(Failure::kMessageSize);
  const std::optional<Endpoint> target = to ? to : remote_in_page();
  if (!target) return refuse(Failure::kNoDestination);
  const DatagramRecord record{
      .size = static_cast<std::uint32_t>(size),
      .from = to_record({.address = way.source.value_or(wire::Ipv6Address())}),
      .to = to_record(*target),
      .traffic_class = way.marks.traffic_class,
      .hop_limit = way.marks.hop_limit,
      .whole_only = static_cast<std::uint8_t>(way.whole)};
  const Guard guard(*this, page_->sending);
  if (put(record, from)) return size;
  page_->wants_room.store(1, std::memory_order_seq_cst);
  if (put(record, from)) return size;
  return refuse(Failure::kWouldBlock);
}

// Under the lock. The engine puts records whole.
std::optional<DatagramRecord> QueueDatagram::first() {
  const queue::FifoView fifo = incoming();
  DatagramRecord record;
  if (fifo.readable() < sizeof(record)) return std::nullopt;
  const std::uint64_t at = fifo.consumed();
  const iovec head{.iov_base = &record, .iov_len = sizeof(record)};
  copy_out(fifo, at, {&head, 1}, sizeof(record));
  record.size = std::min<std::uint32_t>(
      record.size, static_cast<std::uint32_t>(fifo.readable() - sizeof(record)));
  return record;
}

Outcome<Received> QueueDatagram::receive(std::span<const iovec> into, bool peek) {
  if (const Failure failure = take_error(); failure != Failure::kNone) return refuse(failure);
  const std::uint32_t flags = this->flags();
  const Guard guard(*this, page_->receiving);
  const auto record = first();
  if (!record) {
    if ((flags & queue::kEnded) != 0) return refuse(Failure::kReset);
    if ((flags & queue::kReceivingShut) != 0) return Received{};
    return refuse(Failure::kWouldBlock);
  }
  queue::FifoView fifo = incoming();
  const std::uint64_t at = fifo.consumed();
  const std::size_t size = copy_out(fifo, at + sizeof(*record), into, record->size);
  sockets_.count_copied(size);
  if (!peek) fifo.set_consumed(at + length_of(record->size));
  return Received{.size = size,
                  .whole = record->whole,
                  .from = from_record(record->from),
                  .to = from_record(record->to),
                  .marks = {.traffic_class = record->traffic_class, .hop_limit = record->hop_limit},
                  .arrived = Instant(Duration(record->arrived_ns))};
}

unsigned QueueDatagram::readiness(unsigned wanted) {
  const std::uint32_t flags = this->flags();
  unsigned events = 0;
  if (incoming().readable() > 0) events |= POLLIN | POLLRDNORM;
  if ((flags & queue::kReceivingShut) != 0) events |= POLLIN | POLLRDHUP;
  if ((flags & queue::kEnded) != 0) events |= POLLIN | POLLERR;
  if ((wanted & (POLLOUT | POLLWRNORM)) != 0) {
    if (has_room()) events |= POLLOUT | POLLWRNORM;
  }
  if (page_->error.load(std::memory_order_acquire) != 0) events |= POLLERR;
  return events & (wanted | POLLERR | POLLHUP);
}

std::size_t QueueDatagram::readable_bytes() {
  const Guard guard(*this, page_->receiving);
  const auto record = first();
  return record ? record->size : 0;
}

}  // namespace tideline::client
