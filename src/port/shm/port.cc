// SPDX-License-Identifier: Apache-2.0
#include "port/shm/port.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "base/copy.h"
#include "packet/copy.h"
#include "port/received_offload.h"
#include "port/shm/offload.h"

namespace tideline::port {
namespace {

// What of a lent frame is copied: Ethernet, IP and TCP headers with options fit, and are parsed in
// memory that nobody else writes.
constexpr std::size_t kCopiedHead = 192;
// Of less, a copy is cheaper than what a reference costs both sides.
constexpr std::size_t kLeastReferred = 2048;
// Receivers tell when they let go, if they send anything back at all. In any case, who would sleep
// looks again after so long, and then less and less often.
constexpr Duration kFirstPause = std::chrono::milliseconds(1);
constexpr Duration kLongestPause = std::chrono::milliseconds(64);

Drop drop_of(shm::Event reason) {
  switch (reason) {
    case shm::Event::kDropRingFull:
    case shm::Event::kDropNoBlock:
      return Drop::kTxFull;
    case shm::Event::kDropTooLong:
      return Drop::kTxLong;
    default:
      return Drop::kTxNoPeer;
  }
}

wire::MacAddress destination_mac(const Packet& frame, packet::PassCounter& passes) {
  wire::MacAddress mac;
  if (frame.first().bytes().size() >= sizeof(mac)) [[likely]] {
    std::memcpy(&mac, frame.first().bytes().data(), sizeof(mac));
  } else {
    packet::copy_out(frame, 0, std::as_writable_bytes(std::span(&mac, 1)), passes);
  }
  return mac;
}

}  // namespace

Result<std::unique_ptr<ShmPort>> ShmPort::open(std::string_view segment, Pool* pool,
                                               const ShmPortOptions& options, Instant now) {
  const std::size_t max_frame = options.mtu + kEthernetHeader + 4;
  if (max_frame > shm::kMaxFrame) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = fmt::format("a segment cannot have an MTU of {}", options.mtu),
                 .remedy = "choose at most 65535"});
  }
  shm::MemberConfig config = options.sizes;
  config.meeting_point = options.directory;
  if (config.meeting_point.empty()) {
    auto directory = shm::segment_directory(segment);
    if (!directory) return fail(std::move(directory.error()));
    config.meeting_point = std::move(*directory);
  }
  config.claim = options.claim;
  config.promiscuous = options.promiscuous;
  config.peers = options.peers;
  auto member = shm::Member::join(config, now);
  if (!member) return fail(std::move(member.error()));
  const shm::MacPlan macs(segment);
  PortInfo info{.name = fmt::format("shm:{}", segment),
                .mac = macs.of_slot((*member)->slot()),
                .mtu = options.mtu,
                .capabilities = {.rx_checksum = true,
                                 .tx_checksum = true,
                                 .scatter_gather = true,
                                 .tso4 = true,
                                 .tso6 = true,
                                 .uso = true,
                                 .roce_gso = true,
                                 .max_frame = max_frame}};
  return std::unique_ptr<ShmPort>(
      new ShmPort(std::move(info), macs, std::move(*member), pool, options.lends_shared));
}

ShmPort::ShmPort(PortInfo info, const shm::MacPlan& macs, std::unique_ptr<shm::Member> member,
                 Pool* pool, bool lends_shared)
    : Port(std::move(info)),
      macs_(macs),
      member_(std::move(member)),
      pool_(pool),
      lends_shared_(lends_shared) {}

std::size_t ShmPort::tx_burst(unsigned queue, Burst& burst, Instant now) {
  member_->service(now);
  std::size_t taken = 0;
  for (PacketPtr& frame : burst) {
    if (frame != nullptr && admit(queue, *frame) && send(frame, now)) ++taken;
  }
  member_->flush();
  burst.clear();
  return taken;
}

ShmPort::Destinations ShmPort::destinations_of(const Packet& frame, Instant now) {
  const wire::MacAddress mac = destination_mac(frame, counters(0).passes);
  if (mac.is_multicast()) return {.slots = member_->others(now), .is_group = true};
  std::uint64_t slots = member_->promiscuous();
  if (const auto slot = macs_.slot_of(mac)) slots |= std::uint64_t{1} << *slot;
  return {.slots = slots & ~(std::uint64_t{1} << slot()), .is_group = false};
}

// Whoever reads along gets a copy, and so do all.
bool ShmPort::refer(const Destinations& to, PacketPtr& frame, Instant now) {
  if (!std::has_single_bit(to.slots) || frame->size() < kLeastReferred) return false;
  const auto destination = static_cast<unsigned>(std::countr_zero(to.slots));
  const auto offload = shm::pack_offload(frame->meta().offload);
  const bool was_keeping = member_->keeps_packets();
  if (!member_->refer(destination, frame, offload, now)) return false;
  if (!was_keeping) {
    pause_ = kFirstPause;
    next_look_ = now + pause_;
  }
  return true;
}

bool ShmPort::send(PacketPtr& packet, Instant now) {
  QueueStats& stats = counters(0);
  const Destinations to = destinations_of(*packet, now);
  const std::size_t size = packet->size();
  if (refer(to, packet, now)) {
    stats.sent(size);
    return true;
  }
  const Packet& frame = *packet;
  bool sent = to.is_group && to.slots == 0;  // a call that nobody hears was sent nevertheless
  bool failed = false;
  for (std::uint64_t left = to.slots; left != 0; left &= left - 1) {
    Drop reason{};
    if (send_to(static_cast<unsigned>(std::countr_zero(left)), frame, reason)) {
      sent = true;
    } else if (!to.is_group || reason != Drop::kTxNoPeer) {
      // Of a group, those who were killed have left their sockets behind.
      stats.drop(reason);
      failed = true;
    }
  }
  if (to.slots == 0 && !to.is_group) stats.drop(Drop::kTxNoPeer);
  sent |= to.is_group && !failed;
  if (sent) stats.sent(size);
  return sent;
}

bool ShmPort::send_to(unsigned destination, const Packet& frame, Drop& reason) {
  const auto place = member_->prepare(destination, frame.size());
  if (!place) {
    reason = drop_of(place.error());
    return false;
  }
  std::byte* to = place->bytes.data();
  for (const packet::Segment* s = &frame.first(); s != nullptr; s = s->next()) {
    const auto bytes = s->bytes();
    copy_by_vectors(to, bytes.data(), bytes.size());
    to += bytes.size();
  }
  counters(0).passes.add(packet::Pass::kCopy, frame.size());
  member_->commit(destination, *place, shm::pack_offload(frame.meta().offload));
  return true;
}

std::size_t ShmPort::rx_burst(unsigned queue, Burst& burst, Instant now) {
  member_->service(now);
  member_->flush();  // whoever waits for what was let go of may sleep
  if (member_->keeps_packets()) take_back(now);
  QueueStats& stats = counters(queue);
  const std::size_t before = burst.size();
  while (!burst.full()) {
    const auto arrived = member_->front();
    if (!arrived) break;
    PacketPtr frame = receive(*arrived);
    member_->pop();
    if (frame == nullptr) continue;
    frame->meta().timestamp = now;
    stats.received(frame->size());
    burst.push(std::move(frame));
  }
  return burst.size() - before;
}

void ShmPort::take_back(Instant now) {
  if (member_->drop_returned() > 0) {
    pause_ = kFirstPause;
  } else if (now < next_look_) {
    return;
  } else {
    pause_ = std::min(2 * pause_, kLongestPause);
  }
  next_look_ = now + pause_;
}

Instant ShmPort::next_deadline(unsigned /*queue*/) const {
  return member_->keeps_packets() ? next_look_ : kNever;
}

PacketPtr ShmPort::receive(const shm::Arrived& arrived) {
  QueueStats& stats = counters(0);
  const std::size_t size = arrived.size();
  if (size < kMinFrame) {
    stats.drop(Drop::kRxShort);
    return nullptr;
  }
  // Who waits for the next frame anyhow gains nothing by a loan of less than a page.
  const bool is_lent = shm::Arena::class_for(size) == shm::BlockClass::kLarge &&
                       (arrived.piece_count == 0 || lends_shared_);
  PacketPtr frame = is_lent ? borrow(arrived) : nullptr;
  if (frame == nullptr) frame = copy(arrived);
  if (frame == nullptr) {
    stats.drop(Drop::kRxPool);
    return nullptr;
  }
  if ((arrived.piece_count > 0 || !arrived.is_inline) && !member_->front_stands()) {
    stats.drop(Drop::kRxWithdrawn);
    return nullptr;
  }
  if (arrived.offload.flags == 0) [[likely]]
    return frame;
  const auto offload = shm::unpack_offload(arrived.offload);
  if (offload && adopt_offload(*offload, *frame)) return frame;
  stats.drop(Drop::kRxOffload);
  return nullptr;
}

PacketPtr ShmPort::copy(const shm::Arrived& arrived) {
  const std::size_t size = arrived.size();
  PacketPtr frame = pool_->get_chain(size);
  if (frame == nullptr) return nullptr;
  packet::Segment* to = &frame->first();
  std::size_t filled = 0;
  const auto put = [&](std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      if (filled == to->bytes().size()) {
        to = to->next();
        filled = 0;
      }
      const std::size_t part = std::min(bytes.size(), to->bytes().size() - filled);
      copy_by_vectors(to->writable().data() + filled, bytes.data(), part);
      filled += part;
      bytes = bytes.subspan(part);
    }
  };
  put(arrived.bytes);
  for (std::size_t i = 0; i < arrived.piece_count; ++i) put(arrived.pieces[i]);
  counters(0).passes.add(packet::Pass::kCopy, size);
  return frame;
}

// The headers copied, the rest on loan; null if there is no loan to be had.
PacketPtr ShmPort::borrow(const shm::Arrived& arrived) {
  PacketPtr frame = pool_->get();
  if (frame == nullptr) return nullptr;
  std::size_t missing = kCopiedHead;
  const auto add = [&](std::span<const std::byte> bytes) {
    const std::size_t part = std::min(missing, bytes.size());
    copy_by_vectors(frame->append(part), bytes.data(), part);
    missing -= part;
    return part == bytes.size() || borrow(bytes.subspan(part), *frame);
  };
  bool done = add(arrived.bytes);
  for (std::size_t i = 0; done && i < arrived.piece_count; ++i) done = add(arrived.pieces[i]);
  if (!done) return nullptr;
  counters(0).passes.add(packet::Pass::kCopy, kCopiedHead - missing);
  return frame;
}

bool ShmPort::borrow(std::span<const std::byte> bytes, Packet& frame) {
  const auto loan = member_->lend(bytes);
  if (!loan) return false;
  PacketPtr rest = pool_->lend(*loan);
  if (rest == nullptr) {
    loan->release(loan->context, loan->memory);
    return false;
  }
  frame.append(std::move(rest));
  return true;
}

QueueStats ShmPort::stats(unsigned queue) {
  QueueStats stats = counters(queue);
  stats.drop(Drop::kRxReference, member_->counters()[shm::Event::kDropBadReference]);
  return stats;
}

}  // namespace tideline::port
