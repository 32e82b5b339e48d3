// SPDX-License-Identifier: Apache-2.0
#include "rdma/core.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <utility>

#include "base/check.h"

namespace tideline::rdma {

Core::Core(const DeviceOptions& device_options, ip::Sender& ip, packet::Pool& packets, Rng& random,
           KeySource& keys)
    : options(device_options),
      sender(ip),
      pool(packets),
      rng(random),
      regions(device_options.limits.max_regions, keys),
      slot_mask_(std::bit_ceil(device_options.limits.max_qp + kFirstQpSlot) - 1),
      qps_(std::size_t{slot_mask_} + 1) {}

bool Core::add(QueuePair& qp) {
  if (qp_count >= options.limits.max_qp) return false;
  while (qps_[next_slot_] != nullptr) advance_slot();
  qp.number = (static_cast<std::uint32_t>(rng()) & Psn::kMask & ~slot_mask_) | next_slot_;
  qps_[next_slot_] = &qp;
  advance_slot();
  ++qp_count;
  timers_.reserve(qp_count);
  return true;
}

void Core::remove(QueuePair& qp) {
  if (direct != nullptr) direct->hide(qp);
  qps_[qp.number & slot_mask_] = nullptr;
  --qp_count;
  remove_timer(qp);
  if (!qp.scheduled) return;
  QueuePair** link = &first_scheduled_;
  QueuePair* before = nullptr;
  while (*link != &qp) {
    before = *link;
    link = &before->next_scheduled;
  }
  *link = qp.next_scheduled;
  if (last_scheduled_ == &qp) last_scheduled_ = before;
}

Result<Route> Core::route_to(const AddressVector& vector, std::uint32_t entropy) const {
  const auto invalid = [&](const char* why) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = fmt::format("cannot reach GID {} from index {}: {}",
                                     vector.destination.to_text(), vector.source_gid_index, why),
                 .errno_value = EINVAL});
  };
  if (vector.source_gid_index >= GidTable::size()) return invalid("no such index");
  const auto& source = gids.at(vector.source_gid_index);
  if (!source) return invalid("the index is empty");
  if (vector.destination.is_unspecified()) return invalid("it names nobody");
  if (source->gid.is_mapped() != vector.destination.is_mapped()) {
    return invalid("one is an IPv4 address, the other is not");
  }
  // Annex A17.9.1: the upper quarter of the ports, the same one for all packets of a flow.
  const std::uint64_t hash = wire::mix_hash(std::uint64_t{vector.flow_label} << 32 | entropy);
  constexpr std::uint16_t kFirstPort = 0xc000;
  return Route{.source = source->gid,
               .destination = vector.destination,
               .type = source->type,
               .source_port = static_cast<std::uint16_t>(kFirstPort | (hash & 0x3fff)),
               .traffic_class = vector.traffic_class,
               .hop_limit = vector.hop_limit == 0 ? std::uint8_t{64} : vector.hop_limit,
               .loopback = gids.contains(vector.destination)};
}

Mtu Core::active_mtu() const {
  constexpr std::uint32_t kHeaders = 80;  // IPv6, UDP, BTH, the longest extension that has payload
  for (const Mtu mtu : {Mtu::k4096, Mtu::k2048, Mtu::k1024, Mtu::k512}) {
    if (bytes_of(mtu) + kHeaders <= options.link_mtu) return mtu;
  }
  return Mtu::k256;
}

void Core::schedule(QueuePair& qp) {
  if (qp.scheduled) return;
  qp.scheduled = true;
  qp.next_scheduled = nullptr;
  if (last_scheduled_ == nullptr) {
    first_scheduled_ = &qp;
  } else {
    last_scheduled_->next_scheduled = &qp;
  }
  last_scheduled_ = &qp;
}

QueuePair* Core::next_scheduled() {
  QueuePair* qp = first_scheduled_;
  if (qp == nullptr) return nullptr;
  first_scheduled_ = qp->next_scheduled;
  if (first_scheduled_ == nullptr) last_scheduled_ = nullptr;
  qp->scheduled = false;
  return qp;
}

void Core::set_timer(QueuePair& qp, Instant when) {
  if (when >= qp.timer) return;
  qp.timer = when;
  if (qp.timer_slot == kNoTimer) {
    timers_.push_back(&qp);
    place(timers_.size() - 1, &qp);
  }
  sift_up(qp.timer_slot);
}

QueuePair* Core::expired(Instant now) {
  if (timers_.empty() || timers_.front()->timer > now) return nullptr;
  QueuePair* qp = timers_.front();
  remove_timer(*qp);
  return qp;
}

void Core::remove_timer(QueuePair& qp) {
  qp.timer = kNever;
  if (qp.timer_slot == kNoTimer) return;
  const std::size_t slot = std::exchange(qp.timer_slot, kNoTimer);
  QueuePair* last = timers_.back();
  timers_.pop_back();
  if (last == &qp) return;
  place(slot, last);
  sift_up(slot);
  sift_down(last->timer_slot);
}

void Core::sift_up(std::size_t slot) {
  QueuePair* qp = timers_[slot];
  while (slot > 0) {
    const std::size_t parent = (slot - 1) / 2;
    if (timers_[parent]->timer <= qp->timer) break;
    place(slot, timers_[parent]);
    slot = parent;
  }
  place(slot, qp);
}

void Core::sift_down(std::size_t slot) {
  QueuePair* qp = timers_[slot];
  while (true) {
    std::size_t child = 2 * slot + 1;
    if (child >= timers_.size()) break;
    if (child + 1 < timers_.size() && timers_[child + 1]->timer < timers_[child]->timer) ++child;
    if (timers_[child]->timer >= qp->timer) break;
    place(slot, timers_[child]);
    slot = child;
  }
  place(slot, qp);
}

}  // namespace tideline::rdma
