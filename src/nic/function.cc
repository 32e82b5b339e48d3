// SPDX-License-Identifier: Apache-2.0
#include "nic/function.h"

#include <fmt/format.h>

#include <span>
#include <utility>

#include "base/check.h"
#include "packet/checksum.h"
#include "packet/copy.h"
#include "packet/roce_segmenter.h"

namespace tideline::nic {
namespace {

using packet::Checksum;
using packet::Packet;
using packet::PacketPtr;
using port::Capabilities;

constexpr std::array<std::string_view, kDropCount> kDropNames{
    "rx_other_station", "tx_gso", "tx_offload", "tx_gather_pool", "tx_queue_full"};

constexpr std::size_t kOneSegment = packet::kSegmentSize - packet::kHeadroom;

Capabilities completed(Capabilities capabilities) {
  capabilities.tx_checksum = true;
  capabilities.scatter_gather = true;
  capabilities.tso4 = true;
  capabilities.tso6 = true;
  capabilities.uso = true;
  capabilities.roce_gso = true;
  return capabilities;
}

}  // namespace

std::string_view name_of(Drop reason) { return kDropNames[static_cast<std::size_t>(reason)]; }

Function::Function(port::Port& port, unsigned queue, packet::Pool& pool,
                   const wire::MacAddress& mac)
    : port_(port),
      queue_(queue),
      pool_(pool),
      mac_(mac),
      capabilities_(completed(port.capabilities())),
      waiting_(kMostWaiting) {}

Status Function::check(const port::PortInfo& port) {
  const Capabilities& has = port.capabilities;
  if (has.scatter_gather || has.max_frame <= kOneSegment) return {};
  return fail({.kind = ErrorKind::kUsage,
               .what = fmt::format("{} cannot send frames of {} bytes: they must lie in one "
                                   "segment of {}",
                                   port.name, has.max_frame, kOneSegment),
               .remedy = fmt::format("choose an MTU of at most {}",
                                     kOneSegment - (has.max_frame - port.mtu))});
}

std::size_t Function::rx_burst(packet::Burst& burst, Instant now) {
  const std::size_t before = burst.size();
  port_.rx_burst(queue_, burst, now);
  bool gaps = false;
  for (std::size_t i = before; i < burst.size(); ++i) {
    if (is_for_us(*burst[i])) continue;
    drop(Drop::kRxOtherStation);
    burst[i].reset();
    gaps = true;
  }
  if (gaps) burst.compact();
  const std::size_t count = burst.size() - before;
  stats_.rx_frames += count;
  return count;
}

void Function::transmit(PacketPtr frame, Instant now) {
  if (!port::takes_gso(port_.capabilities(), frame->meta().offload.gso)) {
    segment(std::move(frame), now);
  } else if (complete(frame)) {
    leave(std::move(frame), now);
  }
}

void Function::leave(PacketPtr frame, Instant now) {
  ++stats_.tx_frames;
  leaving_.push(std::move(frame));
  if (leaving_.full()) flush(now);
}

void Function::flush(Instant now) {
  if (waiting_count_ == 0) {
    if (leaving_.empty()) return;
    if (port_.tx_room(queue_) >= leaving_.size()) {
      port_.tx_burst(queue_, leaving_, now);
      return;
    }
  }
  wait();
  drain(now);
}

void Function::wait() {
  for (PacketPtr& frame : leaving_) {
    if (waiting_count_ == kMostWaiting) {
      drop(Drop::kTxQueue);
      continue;
    }
    waiting_[(first_waiting_ + waiting_count_++) % kMostWaiting] = std::move(frame);
  }
  leaving_.clear();
}

void Function::drain(Instant now) {
  while (waiting_count_ > 0) {
    std::size_t room = port_.tx_room(queue_);
    if (room > 0) {
      full_since_ = kNever;
    } else {
      full_since_ = std::min(full_since_, now);
      if (now - full_since_ < kPatience) {
        retry_at_ = now + kRetry;
        return;
      }
      room = packet::Burst::kCapacity;
    }
    packet::Burst burst;
    for (std::size_t i = std::min({room, waiting_count_, packet::Burst::kCapacity}); i > 0; --i) {
      burst.push(std::move(waiting_[first_waiting_]));
      first_waiting_ = (first_waiting_ + 1) % kMostWaiting;
      --waiting_count_;
    }
    port_.tx_burst(queue_, burst, now);
  }
  retry_at_ = kNever;
}

void Function::clear() {
  leaving_.clear();
  for (PacketPtr& frame : waiting_) frame.reset();
  waiting_count_ = 0;
}

// Ports receive no frame shorter than its header, but the first segment may be anything.
bool Function::is_for_us(const Packet& frame) const {
  if (accepts_all_) return true;
  const wire::Bytes head = frame.first().bytes();
  if (head.size() < sizeof(wire::MacAddress)) return false;
  const auto& to = wire::view_as<wire::MacAddress>(head);
  return to == mac_ || to.is_multicast();
}

void Function::segment(PacketPtr frame, Instant now) {
  if (frame->meta().offload.gso == packet::Gso::kRoce) {
    segment_roce(std::move(frame), now);
    return;
  }
  const std::optional<Segmenter> cut = Segmenter::create(*frame);
  if (!cut || cut->longest() > port_.capabilities().max_frame) {
    drop(Drop::kTxGso);
    return;
  }
  ++stats_.tx_cut;
  const packet::PacketRef whole(std::move(frame));
  for (std::size_t i = 0; i < cut->count(); ++i) {
    PacketPtr segment = make_segment(*cut, whole, i);
    if (segment == nullptr) {
      drop(Drop::kTxPool, cut->count() - i);
      return;
    }
    leave(std::move(segment), now);
  }
}

// Complete but for what the port does. Null if the pool is exhausted.
// Every RDMA packet comes this way, also single ones: their ICRC is missing.
void Function::segment_roce(PacketPtr frame, Instant now) {
  auto cut = packet::RoceSegmenter::create(std::move(frame));
  if (!cut) {
    drop(Drop::kTxGso);
    return;
  }
  if (cut->count() > 1) ++stats_.tx_cut;
  for (std::size_t left = cut->count(); left > 0; --left) {
    PacketPtr packet = cut->next(pool_, stats_.passes);
    if (packet == nullptr) {
      drop(Drop::kTxPool, left);
      return;
    }
    if (packet->size() > port_.capabilities().max_frame) {
      drop(Drop::kTxGso);
    } else if (complete(packet)) {
      leave(std::move(packet), now);
    }
  }
}

PacketPtr Function::make_segment(const Segmenter& cut, const packet::PacketRef& whole,
                                 std::size_t index) {
  PacketPtr segment = pool_.get();
  if (segment == nullptr) return nullptr;
  segment->meta() = whole->meta();
  segment->meta().offload = cut.offload();
  const wire::MutableBytes headers(segment->append(cut.header_size()), cut.header_size());
  cut.write_headers(index, headers);
  const Piece piece = cut.payload(index);
  const Capabilities& has = port_.capabilities();
  if (has.scatter_gather) {
    // Who gathers has checksum offload too: nothing is touched, unless all loans are out.
    PacketPtr payload = whole.lend(pool_, piece.offset, piece.size);
    if (payload == nullptr) {
      payload = packet::copy_of(*whole, piece.offset, piece.size, pool_, stats_.passes);
    }
    if (payload == nullptr) return nullptr;
    segment->append(std::move(payload));
    return segment;
  }
  std::byte* to = segment->append(piece.size);
  CHECK(to != nullptr, "{} bytes in one segment: Function::check was not asked", piece.size);
  if (has.tx_checksum) {
    packet::copy_out(*whole, piece.offset, {to, piece.size}, stats_.passes);
    return segment;
  }
  cut.fill_checksum(headers,
                    packet::copy_and_sum(*whole, piece.offset, {to, piece.size}, stats_.passes));
  segment->meta().offload = {};
  return segment;
}

bool Function::complete(PacketPtr& frame) {
  const Capabilities& has = port_.capabilities();
  // The port counts what is too long for it.
  const bool fits = frame->size() <= has.max_frame;
  if (frame->segment_count() > 1 && !has.scatter_gather && fits && !gather(frame)) return false;
  return has.tx_checksum || packet::complete_checksum(*frame, stats_.passes) ||
         drop(Drop::kTxOffload);
}

// Into one segment. A checksum that the port does not fill in is, on the way.
bool Function::gather(PacketPtr& frame) {
  PacketPtr whole = pool_.get();
  if (whole == nullptr) return drop(Drop::kTxPool);
  whole->meta() = frame->meta();
  std::byte* to = whole->append(frame->size());
  CHECK(to != nullptr, "{} bytes in one segment: Function::check was not asked", frame->size());
  const std::span<std::byte> bytes(to, frame->size());
  if (port_.capabilities().tx_checksum) {
    packet::copy_out(*frame, 0, bytes, stats_.passes);
  } else {
    if (!packet::copy_completed(*frame, bytes, stats_.passes)) return drop(Drop::kTxOffload);
    whole->meta().offload.checksum = Checksum::kInPacket;
  }
  frame = std::move(whole);
  return true;
}

}  // namespace tideline::nic
