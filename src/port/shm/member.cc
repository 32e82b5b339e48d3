// SPDX-License-Identifier: Apache-2.0
// Joining, leaving, sleeping, and the data path. What happens once per millisecond is in
// service.cc.
#include "port/shm/member.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.h"
#include "port/shm/service.h"

namespace tideline::port::shm {
namespace {

constexpr unsigned kBurst = 32;
// After so many looks in vain a ring is polled no more, until a hint or the next service.
constexpr std::uint32_t kEmptyLooks = 256;

Result<Member::Memory> make_memory(const MemberConfig& config) {
  const bool reserved = config.arena_pages == ArenaPages::kReserved;
  std::size_t arena_bytes = config.arena.bytes();
  if (config.shared_bytes > 0) {
    arena_bytes = align_up(arena_bytes + config.shared_bytes, kHugePageSize);
  }
  if (reserved) arena_bytes = align_up(arena_bytes, kHugePageSize);
  const bool collapse =
      config.arena_pages == ArenaPages::kCollapsed && arena_bytes % kHugePageSize == 0;
  auto arena =
      Region::make("tideline-arena", arena_bytes, reserved ? PageKind::kHuge : PageKind::kNormal,
                   Sharing::kReadOnly, collapse);
  if (!arena) return std::unexpected(std::move(arena.error()));
  auto index =
      Region::make("tideline-index", sizeof(IndexPage), PageKind::kNormal, Sharing::kReadOnly);
  if (!index) return std::unexpected(std::move(index.error()));
  auto hints =
      Region::make("tideline-hints", sizeof(HintPage), PageKind::kNormal, Sharing::kReadWrite);
  if (!hints) return std::unexpected(std::move(hints.error()));
  const bool huge = reserved || arena->collapsed;
  return Member::Memory{std::move(*arena), std::move(*index), std::move(*hints), huge};
}

}  // namespace

Result<std::unique_ptr<Member>> Member::join(const MemberConfig& config, Instant now) {
  CHECK(config.slots <= kMaxMembers && is_power_of_two(config.ring_slots));
  CHECK(config.arena.bytes() + config.shared_bytes <= kMaxArenaBytes, "{} bytes",
        config.arena.bytes() + config.shared_bytes);
  auto meeting_point = MeetingPoint::open(config.meeting_point);
  if (!meeting_point) return std::unexpected(std::move(meeting_point.error()));
  auto lease = Lease::claim(*meeting_point, config.slots, config.claim, config.promiscuous);
  if (!lease) return std::unexpected(std::move(lease.error()));
  auto memory = make_memory(config);
  if (!memory) return std::unexpected(std::move(memory.error()));
  UniqueFd events(::epoll_create1(EPOLL_CLOEXEC));
  if (!events) return fail_errno("cannot make an epoll descriptor");
  // The socket comes last: whoever connects finds everything in place.
  auto listener = listen_at(*meeting_point, lease->slot());
  if (!listener) return std::unexpected(std::move(listener.error()));
  auto member =
      std::make_unique<Member>(config, std::move(*meeting_point), std::move(*lease),
                               std::move(*memory), std::move(*listener), std::move(events));
  member->next_service_ = now;
  member->next_check_ = now;
  member->expect_questions(now);
  if (config.promiscuous) member->service(now);  // asks those who are there
  return member;
}

Member::~Member() {
  for (const auto& link : from_) {
    if (link != nullptr) link->retire();
  }
  // In a forked child this only closes and unmaps: the slot is the parent's.
  if (std::cmp_not_equal(owner_pid_, ::getpid())) return;
  meeting_point_.remove_socket(slot());
  lease_.release();
}

std::uint64_t Member::others(Instant now) {
  if (now >= others_expire_) {
    others_ = meeting_point_.sockets() & ~bit(slot());
    others_expire_ = now + kServiceInterval;
  }
  return others_;
}

std::expected<Place, Event> Member::prepare(unsigned destination, std::size_t length) {
  const auto refuse = [this](Event reason) {
    counters_.count(reason);
    return std::unexpected(reason);
  };
  if (length > kMaxFrame) return refuse(Event::kDropTooLong);
  SendLink* link = link_to(destination);
  if (link == nullptr) return refuse(Event::kDropNoPeer);
  latest_ = destination;
  auto place = link->prepare(length);
  if (place) return place;
  if (place.error() == Event::kRefusedIndex) close_send_link(destination);
  return refuse(place.error());
}

std::size_t Member::room(std::size_t wanted) {
  const auto& link = to_[latest_];
  return link == nullptr ? wanted : std::min(wanted, link->room(wanted));
}

void Member::commit(unsigned destination, const Place& place, const OffloadWords& offload) {
  to_[destination]->commit(place, offload);
  told_ |= bit(destination);
  counters_.count(Event::kSent);
}

bool Member::refer(unsigned destination, packet::PacketPtr& packet, const OffloadWords& offload,
                   Instant now) {
  SendLink* link = link_to(destination);
  latest_ = destination;
  if (link == nullptr || !link->refer(packet, offload, now)) return false;
  told_ |= bit(destination);
  keeping_ |= bit(destination);
  counters_.count(Event::kSent);
  return true;
}

std::span<std::byte> Member::shared_memory() const {
  if (config_.shared_bytes == 0) return {};
  return memory_.arena.memory.bytes().last(config_.shared_bytes);
}

std::size_t Member::drop_returned() {
  std::size_t dropped = 0;
  for (std::uint64_t left = keeping_; left != 0; left &= left - 1) {
    const auto destination = static_cast<unsigned>(std::countr_zero(left));
    SendLink* link = to_[destination].get();
    if (link != nullptr) dropped += link->drop_returned();
    if (link == nullptr || link->kept() == 0) keeping_ &= ~bit(destination);
  }
  return dropped;
}

Instant Member::oldest_kept() const {
  Instant oldest = kNever;
  for (std::uint64_t left = keeping_; left != 0; left &= left - 1) {
    const auto& link = to_[static_cast<unsigned>(std::countr_zero(left))];
    if (link != nullptr) oldest = std::min(oldest, link->oldest());
  }
  return oldest;
}

void Member::withdraw(std::span<const std::byte> memory, Instant before) {
  for (std::uint64_t left = keeping_; left != 0; left &= left - 1) {
    const auto& link = to_[static_cast<unsigned>(std::countr_zero(left))];
    if (link != nullptr) link->withdraw(memory, before);
  }
}

void Member::flush() {
  for (; told_ != 0; told_ &= told_ - 1) {
    const auto destination = static_cast<unsigned>(std::countr_zero(told_));
    if (to_[destination] == nullptr) continue;
    // Until it has answered it has not looked at the ring, so there is nothing to tell it.
    if (!to_[destination]->is_accepted()) {
      take_welcome(destination);
    } else {
      to_[destination]->announce(slot());
    }
  }
}

SendVerdict Member::send(unsigned destination, std::span<const std::byte> frame) {
  const auto place = prepare(destination, frame.size());
  if (!place) return SendVerdict::kDropped;
  std::ranges::copy(frame, place->bytes.begin());  // an empty span may have no address
  commit(destination, *place);
  flush();
  return SendVerdict::kSent;
}

SendLink* Member::link_to(unsigned destination) {
  if (destination >= config_.slots || destination == slot()) return nullptr;
  if (to_[destination] != nullptr) [[likely]]
    return to_[destination].get();
  if ((connect_allowed_ & bit(destination)) == 0) return nullptr;
  connect_allowed_ &= ~bit(destination);  // a system call per service interval, not per frame
  auto parts = open_link(destination);
  if (!parts) return nullptr;
  const SendLink::Limits limits{.ring_slots = config_.ring_slots,
                                .blocks_in_flight = config_.blocks_in_flight};
  to_[destination] =
      std::make_unique<SendLink>(std::move(*parts), limits, blocks_, memory_.arena.memory.bytes());
  watch(to_[destination]->socket(), destination_token(destination));
  return to_[destination].get();
}

std::optional<Arrived> Member::front() {
  active_ |= hints().sources.load(std::memory_order_relaxed) & linked_;
  for (int left = std::popcount(active_); left >= 0 && active_ != 0; --left) {
    if (turn_ == 0 || (active_ & bit(cursor_)) == 0) {
      cursor_ = next_active(cursor_ + 1);
      turn_ = kBurst;
    }
    ReceiveLink& link = *from_[cursor_];
    const auto frame = link.ring().front();
    if (!frame) {
      turn_ = 0;
      rest(cursor_);
      continue;
    }
    link.empty_looks = 0;
    front_length_ = frame->length;
    front_is_lent_ = false;
    front_is_block_ = frame->piece_count == 0;
    Arrived arrived{.source = cursor_, .offload = frame->offload, .is_inline = frame->is_inline()};
    if (link.locate(*frame, arrived)) {
      if (config_.prefetch) link.ring().prefetch_next();
      counters_.count(Event::kReceived);
      return arrived;
    }
    counters_.count(Event::kDropBadReference);
    pop();
  }
  return std::nullopt;
}

void Member::pop() {
  --turn_;
  from_[cursor_]->pop(front_length_, front_is_lent_);
}

std::optional<packet::Loan> Member::lend(std::span<const std::byte> bytes) {
  auto loan = from_[cursor_]->lend(bytes, front_is_block_);
  front_is_lent_ |= loan.has_value();
  return loan;
}

unsigned Member::next_active(unsigned from) const {
  const auto rotated = std::rotr(active_, static_cast<int>(from % kMaxMembers));
  return (from + static_cast<unsigned>(std::countr_zero(rotated))) % kMaxMembers;
}

// The source's ring is empty: it learns its index, and after a while it is not polled any more.
void Member::rest(unsigned source) {
  ReceiveLink& link = *from_[source];
  link.ring().tell();
  if (link.hung_up) {
    close_receive_link(source);
    return;
  }
  if (++link.empty_looks < kEmptyLooks) return;
  active_ &= ~bit(source);
  hints().sources.fetch_and(~bit(source), std::memory_order_relaxed);
  // A frame that came before the hint was cleared may have no hint of its own. The order of the two
  // looks is that of SendLink::announce.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (link.ring().has_frame()) active_ |= bit(source);
}

void Member::arm() {
  index().wake.arm();
  armed_ = true;
}

void Member::disarm() {
  index().wake.disarm();
  armed_ = false;
  active_ |= linked_;
}

}  // namespace tideline::port::shm
