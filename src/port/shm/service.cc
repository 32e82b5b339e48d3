// SPDX-License-Identifier: Apache-2.0
// The part of a member that makes and ends links: connections, handshakes, hang-ups.
#include "port/shm/service.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <utility>

#include "port/shm/member.h"

namespace tideline::port::shm {
namespace {

// How often the owners of the destinations' slots are read, for members whose hang-up does not come
// because a forked child holds their sockets.
constexpr Duration kCheckInterval = std::chrono::milliseconds(100);
constexpr Duration kHelloTimeout = std::chrono::seconds(1);
// A promiscuous member that has not asked a newcomer by then hangs, or was killed.
constexpr Duration kQuestionTimeout = std::chrono::seconds(1);
// Mapping a newcomer costs up to a millisecond: the rest waits for the next interval.
constexpr int kAcceptsPerService = 4;

// An honest sender rings once per sleep.
constexpr int kBellsPerService = 16;

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
  if (now < next_service_ && !armed_) return;
  next_service_ = now + kServiceInterval;
  connect_allowed_ = UINT64_MAX;
  // Hints may have been wiped by a hostile member: look once at every ring.
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
    hear(static_cast<unsigned>(token));
  }
}

// After its Hello a sender only rings, or hangs up.
void Member::hear(unsigned source) {
  if (from_[source] == nullptr) return;
  for (int i = 0; i < kBellsPerService; ++i) {
    std::byte bell{};
    const auto size = ::recv(from_[source]->socket(), &bell, 1, MSG_DONTWAIT);
    if (size == 1) continue;
    if (size == 0 || errno != EAGAIN) hang_up(source);
    return;
  }
  // It would keep this member awake for ever.
  close_receive_link(source);
}

// What the source has sent before its end is still received.
void Member::hang_up(unsigned source) {
  ReceiveLink& link = *from_[source];
  unwatch(link.socket());
  link.hung_up = true;
  promiscuous_ &= ~bit(source);
  active_ |= bit(source);
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
  const Status told = send_refusal(taken.get());
  static_cast<void>(told);
  return true;
}

void Member::install(Arrival arrival, UniqueFd socket) {
  const unsigned source = arrival.hello.source;
  close_receive_link(source);
  // A new owner of the slot: what was sent to the old one is not for it.
  if (to_[source] != nullptr && to_[source]->incarnation() != arrival.hello.incarnation) {
    close_send_link(source);
  }
  connect_allowed_ |= bit(source);
  // Before the Welcome, so before the sender can read it.
  index().of_source[source].consumed.store(0, std::memory_order_release);
  for (auto& loan : index().loans[source]) loan.store(0, std::memory_order_release);
  const bool known = config_.peers != nullptr && arrival.theirs &&
                     config_.peers->source_up(source, std::move(arrival.theirs));
  // A source that has ended already is received nevertheless; its hang-up comes next.
  [[maybe_unused]] const Status told = send_welcome(
      socket.get(), memory_.index.fd.get(), memory_.hints.fd.get(), known ? own_descriptor() : -1);
  watch(socket.get(), source);
  const std::uint32_t lag = std::min(config_.index_lag, arrival.hello.ring_slots / 4);
  from_[source] =
      std::make_shared<ReceiveLink>(std::move(socket), std::move(arrival), index(), lag, told_);
  presumed_ &= ~bit(source);
  promiscuous_ &= ~bit(source);
  if (from_[source]->is_promiscuous()) promiscuous_ |= bit(source);
  linked_ |= bit(source);
  active_ |= bit(source);
  counters_.count(Event::kLinkUp);
}

void Member::close_receive_link(unsigned source) {
  if (from_[source] == nullptr) return;
  if (!from_[source]->hung_up) unwatch(from_[source]->socket());
  from_[source]->retire();
  if (config_.peers != nullptr) config_.peers->source_down(source);
  from_[source].reset();
  linked_ &= ~bit(source);
  active_ &= ~bit(source);
  promiscuous_ &= ~bit(source);
  counters_.count(Event::kLinkDown);
}

// A promiscuous member looks for newcomers at its leisure, and would miss what this one sends
// first: its lease already says what it will ask for.
void Member::expect_questions(Instant now) {
  for (std::uint64_t left = others(now); left != 0; left &= left - 1) {
    const auto slot = static_cast<unsigned>(std::countr_zero(left));
    const std::optional<LeaseRecord> owner = meeting_point_.owner(slot);
    if (owner && owner->promiscuous != 0 && !owner_is_gone(*owner)) presumed_ |= bit(slot);
  }
  promiscuous_ |= presumed_;
  presumption_ends_ = now + kQuestionTimeout;
}

Result<SendLink::Parts> Member::open_link(unsigned destination) {
  const std::optional<LeaseRecord> owner = meeting_point_.owner(destination);
  if (!owner) return fail({.kind = ErrorKind::kPeer, .what = "nobody owns the slot"});
  auto ring = Region::make("tideline-ring", ring_bytes(config_.ring_slots), PageKind::kNormal,
                           Sharing::kReadOnly);
  if (!ring) return fail(std::move(ring.error()));
  const Hello hello{.source = slot(),
                    .ring_slots = config_.ring_slots,
                    .incarnation = lease_.incarnation(),
                    .arena_bytes = memory_.arena.memory.size(),
                    .promiscuous = config_.promiscuous ? 1U : 0U};
  auto socket = send_hello(meeting_point_, destination, hello, ring->fd.get(),
                           memory_.arena.fd.get(), own_descriptor());
  if (!socket) return fail(std::move(socket.error()));
  return SendLink::Parts{
      .ring = std::move(*ring), .socket = std::move(*socket), .incarnation = owner->incarnation};
}

// The destination answers once; anything after that is its hang-up.
void Member::take_welcome(unsigned destination) {
  if (to_[destination] == nullptr) return;
  SendLink& link = *to_[destination];
  if (link.is_accepted()) {
    close_send_link(destination);
    return;
  }
  auto acceptance = receive_welcome(link.socket());
  if (!acceptance) {
    counters_.count(Event::kRefusedWelcome);
    close_send_link(destination);
    return;
  }
  std::optional<Acceptance>& answer = *acceptance;
  if (!answer) return;  // it has not come yet
  if (config_.peers != nullptr && answer->theirs) {
    config_.peers->destination_up(destination, answer->pid, std::move(answer->theirs));
  }
  link.accept(std::move(*answer), slot());
  link.announce(slot());
}

void Member::close_send_link(unsigned destination) {
  if (to_[destination] == nullptr) return;
  unwatch(to_[destination]->socket());
  if (config_.peers != nullptr) config_.peers->destination_down(destination);
  to_[destination]->revoke();
  to_[destination].reset();
  connect_allowed_ &= ~bit(destination);
  counters_.count(Event::kLinkDown);
}

void Member::check_peers(Instant now) {
  next_check_ = now + kCheckInterval;
  for (unsigned slot = 0; slot < config_.slots; ++slot) {
    if (to_[slot] == nullptr) continue;
    const std::optional<LeaseRecord> owner = meeting_point_.owner(slot);
    if (owner && owner->incarnation == to_[slot]->incarnation()) continue;
    close_send_link(slot);
  }
  for (Pending& pending : pending_) {
    if (!pending.socket || now < pending.deadline) continue;
    unwatch(pending.socket.get());
    pending.socket.reset();
    counters_.count(Event::kHandshakeTimeout);
  }
  if (now >= presumption_ends_) {
    promiscuous_ &= ~presumed_;
    presumed_ = 0;
  }
  // Newcomers are asked for their frames.
  for (std::uint64_t ask = config_.promiscuous ? others(now) : 0; ask != 0; ask &= ask - 1) {
    link_to(static_cast<unsigned>(std::countr_zero(ask)));
  }
}

}  // namespace tideline::port::shm
