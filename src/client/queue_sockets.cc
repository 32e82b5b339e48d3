// SPDX-License-Identifier: Apache-2.0
#include "client/queue_sockets.h"

#include <chrono>
#include <new>
#include <utility>

#include "base/clock.h"
#include "client/queue_datagram.h"
#include "client/queue_stream.h"

namespace tideline::client {

using queue::Op;

Result<std::unique_ptr<QueueSockets>> QueueSockets::attach(const std::string& path,
                                                           const std::string& program) {
  auto channel = QueueChannel::attach(path, program);
  if (!channel) return fail(std::move(channel.error()));
  return std::unique_ptr<QueueSockets>(new QueueSockets(std::move(*channel)));
}

QueueSockets::QueueSockets(std::unique_ptr<QueueChannel> channel) : channel_(std::move(channel)) {}

QueueSockets::~QueueSockets() = default;

Outcome<Socket*> QueueSockets::open(SocketType type) {
  queue::Request open{.op = Op::kOpen};
  open.number = static_cast<std::uint32_t>(type);
  const auto answer = channel_->call(open);
  if (!answer) return std::unexpected(answer.error());
  Socket* socket = nullptr;
  if (type == SocketType::kStream) {
    socket = take_stream(*answer, false);
  } else {
    socket = take_datagram(*answer);
  }
  if (socket == nullptr) return std::unexpected(Failure::kNoMemory);
  return socket;
}

QueueDatagram* QueueSockets::take_datagram(const queue::Response& where) {
  const std::scoped_lock lock(mutex_);
  if (free_datagrams_.empty()) {
    datagrams_.push_back(std::make_unique<QueueDatagram>(*this));
    free_datagrams_.push_back(&*datagrams_.back());
  }
  QueueDatagram* datagram = free_datagrams_.back();
  if (!datagram->open(where)) {
    channel_->post({.op = Op::kClose, .handle = where.handle});
    return nullptr;
  }
  free_datagrams_.pop_back();
  return datagram;
}

QueueStream* QueueSockets::take_stream(const queue::Response& where, bool connected) {
  const std::scoped_lock lock(mutex_);
  if (free_streams_.empty()) {
    streams_.push_back(std::make_unique<QueueStream>(*this));
    free_streams_.push_back(&*streams_.back());
  }
  QueueStream* stream = free_streams_.back();
  if (!(connected ? stream->accepted(where) : stream->adopted(where))) {
    channel_->post({.op = Op::kClose, .handle = where.handle});
    return nullptr;
  }
  free_streams_.pop_back();
  return stream;
}

Outcome<Sockets::Adopted> QueueSockets::adopt(int token) {
  const auto handle = channel_->adopt(token);
  if (!handle) return std::unexpected(handle.error());
  const auto where = channel_->call({.op = Op::kDescribe, .handle = *handle});
  if (!where) return std::unexpected(where.error());
  const queue::SocketPage* page = channel_->page(*where);
  if (page == nullptr) return std::unexpected(Failure::kNoMemory);
  Adopted adopted;
  adopted.type = page->type == 0 ? SocketType::kStream : SocketType::kDatagram;
  if (adopted.type == SocketType::kStream) {
    adopted.socket = take_stream(*where, false);
  } else {
    adopted.socket = take_datagram(*where);
  }
  if (adopted.socket == nullptr) return std::unexpected(Failure::kNoMemory);
  return adopted;
}

void QueueSockets::give_back(QueueStream& stream) {
  const std::scoped_lock lock(mutex_);
  free_streams_.push_back(&stream);
}

void QueueSockets::give_back(QueueDatagram& datagram) {
  const std::scoped_lock lock(mutex_);
  free_datagrams_.push_back(&datagram);
}

std::uint32_t QueueSockets::route(const wire::Ipv6Address& address) {
  queue::Request route{.op = Op::kRoute};
  route.endpoint.address = address.bytes();
  const auto answer = channel_->call(route);
  return answer ? answer->number : 0;
}

bool QueueSockets::owns(const wire::Ipv6Address& address) {
  return (route(address) & queue::kOwns) != 0;
}

bool QueueSockets::reaches(const wire::Ipv6Address& address) {
  return (route(address) & queue::kReaches) != 0;
}

std::optional<wire::Ipv6Address> QueueSockets::own_address(bool ipv4) {
  const auto answer =
      channel_->call({.op = Op::kOwnAddress, .flags = ipv4 ? queue::kWantsIpv4 : std::uint16_t{0}});
  if (!answer || answer->number == 0) return std::nullopt;
  return wire::Ipv6Address(answer->endpoint.address);
}

Result<std::unique_ptr<Waiter>> QueueSockets::take_waiter() {
  {
    const std::scoped_lock lock(mutex_);
    if (!free_waiters_.empty()) {
      auto waiter = std::move(free_waiters_.back());
      free_waiters_.pop_back();
      return waiter;
    }
  }
  if (auto made = channel_->make_waiter()) return made;
  return fail({.kind = ErrorKind::kExhausted,
               .what = "no descriptor, or no place in the channel, for one more waiting thread",
               .remedy = "raise the limit of open files (ulimit -n)"});
}

void QueueSockets::give_waiter(std::unique_ptr<Waiter> waiter) {
  const std::scoped_lock lock(mutex_);
  free_waiters_.push_back(std::move(waiter));
}

Sockets::Sleep QueueSockets::begin_sleep(bool /*drives*/) {
  constexpr Duration kLookAgain = std::chrono::milliseconds(1);
  if (crowded_.load(std::memory_order_relaxed) <= 0) return {};
  return {.deadline = monotonic_now() + kLookAgain};
}

void QueueSockets::before_fork() {
  mutex_.lock();
  channel_->before_fork();
}

void QueueSockets::after_fork_in_parent() {
  channel_->after_fork_in_parent();
  mutex_.unlock();
}

bool QueueSockets::after_fork_in_child() {
  new (&mutex_) std::mutex;
  // They are the parent's: its channel, and its doorbells.
  for (auto& waiter : free_waiters_) parents_waiters_.push_back(std::move(waiter));
  free_waiters_.clear();
  crowded_.store(0, std::memory_order_relaxed);
  channel_->after_fork_in_child();
  // Children that lock themselves in can make no descriptor later.
  if (auto waiter = channel_->make_waiter()) free_waiters_.push_back(std::move(waiter));
  return true;
}

}  // namespace tideline::client
