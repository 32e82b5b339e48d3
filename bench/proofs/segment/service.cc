// SPDX-License-Identifier: Apache-2.0
// The part of a member that makes and ends links: connections, handshakes, hang-ups.
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "proofs/segment/member.h"

namespace proofs::segment {
namespace {

using tideline::Duration;
using tideline::Instant;
using tideline::Result;
using tideline::Sharing;
using tideline::UniqueFd;

constexpr Duration kServiceInterval = std::chrono::milliseconds(1);
// How often the owners of the destinations' slots are read, for members whose hang-up does not come
// because a forked child holds their sockets.
constexpr Duration kCheckInterval = std::chrono::milliseconds(100);
constexpr Duration kHelloTimeout = std::chrono::seconds(1);
// Mapping a newcomer costs up to a millisecond: the rest waits for the next interval.
constexpr int kAcceptsPerService = 4;

// What epoll hands back: a source's link, a destination's link, a pending connection, the listener.
constexpr std::uint64_t kDestinations = kMaxMembers;
constexpr std::uint64_t kPendings = 2 * std::uint64_t{kMaxMembers};
constexpr std::uint64_t kListener = 3 * std::uint64_t{kMaxMembers};

constexpr std::uint64_t bit(unsigned slot) { return std::uint64_t{1} << slot; }

}  // namespace

Member::Member(MemberConfig config, MeetingPoint meeting_point, Lease lease, Memory memory,
               UniqueFd listener, UniqueFd events)
    : config_(std::move(config)),
      meeting_point_(std::move(meeting_point)),
      lease_(std::move(lease)),
      memory_(std::move(memory)),
      listener_(std::move(listener)),
      events_(std::move(events)),
      owner_pid_(static_cast<std::uint64_t>(::getpid())),
      blocks_(config_.arena) {
  watch(listener_.get(), kListener);
}

void Member::watch(int socket, std::uint64_t token) {
  epoll_event event{.events = EPOLLIN | EPOLLRDHUP, .data = {.u64 = token}};
  ::epoll_ctl(events_.get(), EPOLL_CTL_ADD, socket, &event);
}

// Closing is not enough: a forked child may hold a copy of the socket, and epoll would go on
// reporting it.
void Member::unwatch(int socket) { ::epoll_ctl(events_.get(), EPOLL_CTL_DEL, socket, nullptr); }

void Member::service(Instant now) {
  if (now < next_service_) return;
  next_service_ = now + kServiceInterval;
  connect_allowed_ = UINT64_MAX;
  // Hints may have been lost, or wiped by a hostile member: look once at every ring.
  active_ |= linked_;
  std::array<epoll_event, 32> events{};
  const int count = ::epoll_wait(events_.get(), events.data(), static_cast<int>(events.size()), 0);
  const std::span<const epoll_event> ready(events.data(),
                                           static_cast<std::size_t>(std::max(count, 0)));
  // Hang-ups before arrivals: a slot's new owner may arrive together with the old one's hang-up,
  // which must not end the new link.
  for (const epoll_event& event : ready) {
    if (event.data.u64 < kPendings) handle_event(event.data.u64, now);
  }
  for (const epoll_event& event : ready) {
    if (event.data.u64 >= kPendings) handle_event(event.data.u64, now);
  }
  if (now >= next_check_) check_peers(now);
}

void Member::handle_event(std::uint64_t token, Instant now) {
  if (token == kListener) {
    accept_senders(now);
  } else if (token >= kPendings) {
    serve_pending(token - kPendings);
  } else if (token >= kDestinations) {
    take_welcome(static_cast<unsigned>(token - kDestinations));
  } else {
    // A sender says nothing after its Hello: it has hung up, or does not keep to the protocol.
    close_receive_link(static_cast<unsigned>(token));
  }
}

void Member::accept_senders(Instant now) {
  for (int i = 0; i < kAcceptsPerService; ++i) {
    std::optional<UniqueFd> socket = accept_from(listener_.get());
    if (!socket) return;
    if (take_hello(*socket)) continue;
    // Connected, but killed, stopped or hostile before its Hello: it may wait at a side table.
    const auto free =
        std::ranges::find_if(pending_, [](const Pending& pending) { return !pending.socket; });
    if (free == pending_.end()) {
      counters_.count(Event::kHandshakeTimeout);
      continue;
    }
    watch(socket->get(), kPendings + static_cast<std::uint64_t>(free - pending_.begin()));
    *free = Pending{std::move(*socket), now + kHelloTimeout};
  }
}

void Member::serve_pending(std::size_t index) {
  Pending& pending = pending_[index];
  if (!pending.socket) return;
  unwatch(pending.socket.get());
  if (!take_hello(pending.socket)) watch(pending.socket.get(), kPendings + index);
}

// Reads the Hello, if it is there, and disposes of the socket. False: it has not come yet.
bool Member::take_hello(UniqueFd& socket) {
  auto received = receive_hello(meeting_point_, config_.slots, socket.get());
  std::optional<Arrival> arrival;
  if (received) {
    arrival = std::move(*received);
    if (!arrival) return false;
  }
  UniqueFd taken = std::move(socket);
  if (arrival && arrival->hello.source != slot()) {
    install(std::move(*arrival), std::move(taken));
    return true;
  }
  counters_.count(Event::kRefusedHello);
  // Best effort: the hang-up alone tells a peer that does not listen.
  const tideline::Status told = send_refusal(taken.get());
  static_cast<void>(told);
  return true;
}

void Member::install(Arrival arrival, UniqueFd socket) {
  const unsigned source = arrival.hello.source;
  close_receive_link(source);
  // A new owner of the slot: what was sent to the old one is not for it.
  if (to_[source] != nullptr && to_[source]->incarnation != arrival.hello.incarnation) {
    close_send_link(source);
  }
  connect_allowed_ |= bit(source);
  auto* index = &memory_.index.memory.at<IndexPage>(0)->of_source[source].consumed;
  // Before the Welcome, so before the sender can read it.
  index->store(0, std::memory_order_release);
  if (!send_welcome(socket.get(), memory_.index.fd.get(), memory_.hints.fd.get())) return;
  const std::span<const Slot> slots{arrival.ring.at<Slot>(0), arrival.hello.ring_slots};
  const RingConsumer consumer(slots, index,
                              std::min(config_.index_lag, arrival.hello.ring_slots / 4));
  watch(socket.get(), source);
  from_[source] = std::make_unique<ReceiveLink>(
      ReceiveLink{std::move(socket), std::move(arrival.ring), std::move(arrival.arena), consumer});
  linked_ |= bit(source);
  active_ |= bit(source);
  counters_.count(Event::kLinkUp);
}

void Member::close_receive_link(unsigned source) {
  if (from_[source] == nullptr) return;
  unwatch(from_[source]->socket.get());
  from_[source].reset();
  linked_ &= ~bit(source);
  active_ &= ~bit(source);
  counters_.count(Event::kLinkDown);
}

Result<Member::SendLink> Member::open_link(unsigned destination) {
  const std::optional<LeaseRecord> owner = meeting_point_.owner(destination);
  if (!owner) {
    return tideline::fail({.kind = tideline::ErrorKind::kPeer, .what = "nobody owns the slot"});
  }
  auto ring = Region::make("tideline-ring", config_.ring_slots * kSlotBytes,
                           tideline::PageKind::kNormal, Sharing::kReadOnly);
  if (!ring) return std::unexpected(std::move(ring.error()));
  const Hello hello{.source = slot(),
                    .ring_slots = config_.ring_slots,
                    .incarnation = lease_.incarnation(),
                    .arena_bytes = memory_.arena.memory.size()};
  auto socket =
      send_hello(meeting_point_, destination, hello, ring->fd.get(), memory_.arena.fd.get());
  if (!socket) return std::unexpected(std::move(socket.error()));
  const std::span<Slot> slots{ring->memory.at<Slot>(0), config_.ring_slots};
  return SendLink{.ring_memory = std::move(*ring),
                  .socket = std::move(*socket),
                  .accepted = std::nullopt,
                  .ring = RingProducer(slots),
                  .blocks = std::vector<std::optional<Block>>(config_.ring_slots),
                  .incarnation = owner->incarnation};
}

// The destination answers once; anything after that is its hang-up.
void Member::take_welcome(unsigned destination) {
  if (to_[destination] == nullptr) return;
  SendLink& link = *to_[destination];
  if (link.accepted) {
    close_send_link(destination);
    return;
  }
  auto acceptance = receive_welcome(link.socket.get());
  if (!acceptance) {
    counters_.count(Event::kRefusedWelcome);
    close_send_link(destination);
    return;
  }
  link.accepted = std::move(*acceptance);
  if (!link.accepted) return;  // it has not answered yet
  link.ring.use_index(&link.accepted->index.at<IndexPage>(0)->of_source[slot()].consumed);
  hint(link);
}

void Member::close_send_link(unsigned destination) {
  if (to_[destination] == nullptr) return;
  SendLink& link = *to_[destination];
  unwatch(link.socket.get());
  for (const std::optional<Block>& block : link.blocks) {
    if (block) blocks_.give_back(*block, held_[destination]);
  }
  to_[destination].reset();
  connect_allowed_ &= ~bit(destination);
  counters_.count(Event::kLinkDown);
}

void Member::check_peers(Instant now) {
  next_check_ = now + kCheckInterval;
  for (unsigned slot = 0; slot < config_.slots; ++slot) {
    if (to_[slot] == nullptr) continue;
    const std::optional<LeaseRecord> owner = meeting_point_.owner(slot);
    if (owner && owner->incarnation == to_[slot]->incarnation) continue;
    close_send_link(slot);
  }
  for (Pending& pending : pending_) {
    if (!pending.socket || now < pending.deadline) continue;
    unwatch(pending.socket.get());
    pending.socket.reset();
    counters_.count(Event::kHandshakeTimeout);
  }
}

}  // namespace proofs::segment
