// SPDX-License-Identifier: Apache-2.0
// Joining, leaving, and the data path. What happens once per millisecond is in service.cc.
#include "proofs/segment/member.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <bit>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace proofs::segment {
namespace {

using tideline::PageKind;
using tideline::Result;
using tideline::Sharing;
using tideline::UniqueFd;

constexpr unsigned kBurst = 32;
// After so many looks in vain a ring is polled no more, until a hint or the next service.
constexpr std::uint32_t kEmptyPolls = 256;

constexpr std::uint64_t bit(unsigned slot) { return std::uint64_t{1} << slot; }

Result<Member::Memory> make_memory(const MemberConfig& config) {
  const bool reserved = config.arena_pages == ArenaPages::kReserved;
  std::size_t arena_bytes = config.arena.bytes();
  if (reserved) arena_bytes = tideline::align_up(arena_bytes, tideline::kHugePageSize);
  auto arena = Region::make("tideline-arena", arena_bytes,
                            reserved ? PageKind::kHuge : PageKind::kNormal, Sharing::kReadOnly);
  if (!arena) return std::unexpected(std::move(arena.error()));
  auto index =
      Region::make("tideline-index", sizeof(IndexPage), PageKind::kNormal, Sharing::kReadOnly);
  if (!index) return std::unexpected(std::move(index.error()));
  auto hints =
      Region::make("tideline-hints", sizeof(HintPage), PageKind::kNormal, Sharing::kReadWrite);
  if (!hints) return std::unexpected(std::move(hints.error()));
  const bool collapsed = config.arena_pages == ArenaPages::kCollapsed &&
                         arena_bytes % tideline::kHugePageSize == 0 && arena->memory.try_collapse();
  return Member::Memory{std::move(*arena), std::move(*index), std::move(*hints),
                        reserved || collapsed};
}

}  // namespace

Result<std::unique_ptr<Member>> Member::join(const MemberConfig& config, tideline::Instant now) {
  CHECK(config.slots <= kMaxMembers && tideline::is_power_of_two(config.ring_slots));
  auto meeting_point = MeetingPoint::open(config.meeting_point);
  if (!meeting_point) return std::unexpected(std::move(meeting_point.error()));
  auto lease = Lease::claim(*meeting_point, config.slots);
  if (!lease) return std::unexpected(std::move(lease.error()));
  auto memory = make_memory(config);
  if (!memory) return std::unexpected(std::move(memory.error()));
  UniqueFd events(::epoll_create1(EPOLL_CLOEXEC));
  if (!events) return tideline::fail_errno("cannot make an epoll descriptor");
  // The socket comes last: whoever connects finds everything in place.
  auto listener = listen_at(*meeting_point, lease->slot());
  if (!listener) return std::unexpected(std::move(listener.error()));
  auto member =
      std::make_unique<Member>(config, std::move(*meeting_point), std::move(*lease),
                               std::move(*memory), std::move(*listener), std::move(events));
  member->next_service_ = now;
  member->next_check_ = now;
  return member;
}

Member::~Member() {
  // In a forked child this only closes and unmaps: the slot is the parent's.
  if (std::cmp_not_equal(owner_pid_, ::getpid())) return;
  meeting_point_.remove_socket(slot());
  lease_.release();
}

SendVerdict Member::send(unsigned destination, std::span<const std::byte> frame) {
  if (frame.size() > kMaxFrame) return drop(Event::kDropTooLong);
  if (frame.size() <= kInlineBytes) {
    if (link_to(destination) == nullptr) return drop(Event::kDropNoPeer);
    if (!make_room(destination)) return drop(Event::kDropRingFull);
    push(destination, std::nullopt, frame, static_cast<std::uint32_t>(frame.size()));
    return SendVerdict::kSent;
  }
  const std::optional<Block> block = reserve(destination, frame.size());
  if (!block) return SendVerdict::kDropped;
  std::memcpy(bytes_of(*block).data(), frame.data(), frame.size());
  return send_block(destination, *block, static_cast<std::uint32_t>(frame.size()));
}

std::optional<Block> Member::reserve(unsigned destination, std::size_t length) {
  if (length > kMaxFrame) {
    counters_.count(Event::kDropTooLong);
    return std::nullopt;
  }
  if (link_to(destination) == nullptr) {
    counters_.count(Event::kDropNoPeer);
    return std::nullopt;
  }
  // A full ring is found out before the frame is written, not after.
  if (!make_room(destination)) {
    counters_.count(Event::kDropRingFull);
    return std::nullopt;
  }
  const std::optional<Block> block = take_block(destination, length);
  if (!block) counters_.count(Event::kDropNoBlock);
  return block;
}

SendVerdict Member::send_block(unsigned destination, Block block, std::uint32_t length) {
  const std::span<const std::byte> frame = bytes_of(block).first(length);
  const bool linked = link_to(destination) != nullptr;
  if (!linked || !make_room(destination)) {
    blocks_.give_back(block, held_[destination]);
    return drop(linked ? Event::kDropRingFull : Event::kDropNoPeer);
  }
  if (length > kInlineBytes) {
    push(destination, block, {}, length);
  } else {
    push(destination, std::nullopt, frame, length);
    blocks_.give_back(block, held_[destination]);
  }
  return SendVerdict::kSent;
}

Member::SendLink* Member::link_to(unsigned destination) {
  if (destination >= config_.slots || destination == slot()) return nullptr;
  if (to_[destination] != nullptr) return to_[destination].get();
  if ((connect_allowed_ & bit(destination)) == 0) return nullptr;
  connect_allowed_ &= ~bit(destination);  // a system call per service interval, not per frame
  auto link = open_link(destination);
  if (!link) return nullptr;
  to_[destination] = std::make_unique<SendLink>(std::move(*link));
  watch(to_[destination]->socket.get(), std::uint64_t{kMaxMembers} + destination);
  return to_[destination].get();
}

// Takes back the blocks of all frames that the destination has consumed. False if its index is
// false: the destination is refused.
bool Member::reclaim(unsigned destination) {
  SendLink& link = *to_[destination];
  if (!link.ring.refresh()) {
    counters_.count(Event::kRefusedIndex);
    close_send_link(destination);
    return false;
  }
  for (; link.reclaimed < link.ring.consumed(); ++link.reclaimed) {
    std::optional<Block>& block = link.blocks[link.reclaimed & (config_.ring_slots - 1)];
    if (!block) continue;
    blocks_.give_back(*block, held_[destination]);
    block.reset();
  }
  return true;
}

bool Member::make_room(unsigned destination) {
  if (to_[destination]->ring.has_room()) return true;
  return reclaim(destination) && to_[destination]->ring.has_room();
}

std::optional<Block> Member::take_block(unsigned destination, std::size_t length) {
  const auto kind = static_cast<std::size_t>(Arena::class_for(length));
  BlocksHeld& held = held_[destination];
  if (held[kind] >= config_.blocks_in_flight[kind] && !reclaim(destination)) return std::nullopt;
  std::optional<Block> block = blocks_.take(length, held);
  if (block || !reclaim(destination)) return block;
  return blocks_.take(length, held);
}

void Member::push(unsigned destination, std::optional<Block> block,
                  std::span<const std::byte> frame, std::uint32_t length) {
  SendLink& link = *to_[destination];
  link.blocks[link.ring.tail() & (config_.ring_slots - 1)] = block;
  if (block) {
    link.ring.push_reference(block->offset, length);
  } else {
    link.ring.push_inline(frame);
  }
  hint(link);
  counters_.count(Event::kSent);
}

// Relaxed, without a fence between the slot and this look at the bit: a hint that is lost in that
// gap costs a service interval, a fence would cost every frame.
void Member::hint(const SendLink& link) const {
  if (!link.accepted) return;
  std::atomic<std::uint64_t>& hints = link.accepted->hints.at<HintPage>(0)->sources;
  if ((hints.load(std::memory_order_relaxed) & bit(slot())) != 0) return;
  hints.fetch_or(bit(slot()), std::memory_order_relaxed);
}

std::optional<Received> Member::receive(std::span<std::byte> into) {
  const HintPage& hints = *memory_.hints.memory.at<HintPage>(0);
  active_ |= hints.sources.load(std::memory_order_relaxed) & linked_;
  for (int left = std::popcount(active_); left >= 0 && active_ != 0; --left) {
    if (turn_ == 0 || (active_ & bit(cursor_)) == 0) {
      cursor_ = next_active(cursor_ + 1);
      turn_ = kBurst;
    }
    ReceiveLink& link = *from_[cursor_];
    if (const auto frame = link.ring.front()) {
      --turn_;
      link.empty_polls = 0;
      const std::optional<Received> received = deliver(link, *frame, into);
      // A block goes back at once if it is large, for it fills the cache.
      link.ring.pop(Arena::class_for(frame->length) == BlockClass::kLarge ? config_.index_lag : 1);
      if (received) return received;
      continue;
    }
    turn_ = 0;
    rest(cursor_);
  }
  return std::nullopt;
}

unsigned Member::next_active(unsigned from) const {
  const auto rotated = std::rotr(active_, static_cast<int>(from % kMaxMembers));
  return (from + static_cast<unsigned>(std::countr_zero(rotated))) % kMaxMembers;
}

std::optional<Received> Member::deliver(ReceiveLink& link, const RingConsumer::Frame& frame,
                                        std::span<std::byte> into) {
  if (frame.length > into.size()) {
    counters_.count(frame.length > kMaxFrame ? Event::kDropBadReference : Event::kDropNoSpace);
    return std::nullopt;
  }
  const std::byte* from = frame.inline_frame;
  if (!frame.is_inline()) {
    const std::size_t arena = link.arena.size();
    if (frame.length > kMaxFrame || frame.length > arena || frame.offset > arena - frame.length) {
      counters_.count(Event::kDropBadReference);
      return std::nullopt;
    }
    from = link.arena.data() + frame.offset;
  }
  if (config_.prefetch) link.ring.prefetch_next();
  if (frame.is_inline()) {
    std::memcpy(into.data(), from, frame.length);
  } else {
    config_.copy_out(into.data(), from, frame.length);
  }
  counters_.count(Event::kReceived);
  return Received{cursor_, frame.length};
}

// The source's ring is empty: it learns its index, and after a while it is not polled any more.
void Member::rest(unsigned source) {
  ReceiveLink& link = *from_[source];
  link.ring.tell();
  if (++link.empty_polls < kEmptyPolls) return;
  active_ &= ~bit(source);
  memory_.hints.memory.at<HintPage>(0)->sources.fetch_and(~bit(source), std::memory_order_relaxed);
}

}  // namespace proofs::segment
