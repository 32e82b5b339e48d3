// SPDX-License-Identifier: Apache-2.0
#include "proofs/waiting/station.h"

#include <new>
#include <utility>

namespace proofs::waiting {
namespace {

using tideline::Mapping;
using tideline::Result;
using tideline::ring::EventBell;
using tideline::ring::SpscRing;

constexpr std::size_t kRingBytes = SpscRing<Message>::bytes(kRingCapacity);
constexpr std::size_t kSharedBytes =
    tideline::align_up(sizeof(Exchange::Shared), tideline::kPageSize);
constexpr std::size_t kTotalBytes =
    tideline::align_up(kSharedBytes + kStations * kStations * kRingBytes, tideline::kPageSize);

std::byte* ring_memory(const Mapping& mapping, std::size_t from, std::size_t to) {
  return mapping.data() + kSharedBytes + (from * kStations + to) * kRingBytes;
}

std::vector<const CpuOfProcess*> cpus_of(const Exchange& exchange,
                                         const std::vector<std::size_t>& peers) {
  std::vector<const CpuOfProcess*> cpus;
  cpus.reserve(peers.size());
  for (const std::size_t peer : peers) cpus.push_back(&exchange.shared().cpus[peer].cpu);
  return cpus;
}

}  // namespace

Result<Exchange> Exchange::create() {
  Exchange exchange;
  auto mapping = Mapping::anonymous_shared(kTotalBytes);
  if (!mapping) return tideline::fail(mapping.error());
  if (auto populated = mapping->populate(); !populated) return tideline::fail(populated.error());
  exchange.mapping_ = std::move(*mapping);
  ::new (static_cast<void*>(exchange.mapping_.data())) Shared();
  for (std::size_t from = 0; from < kStations; ++from) {
    for (std::size_t to = 0; to < kStations; ++to) {
      SpscRing<Message>::create(ring_memory(exchange.mapping_, from, to), kRingCapacity);
    }
    auto bell = EventBell::create();
    if (!bell) return tideline::fail(bell.error());
    exchange.bells_.push_back(std::move(*bell));
  }
  return exchange;
}

SpscRing<Message> Exchange::ring(std::size_t from, std::size_t to) const {
  return SpscRing<Message>::attach(ring_memory(mapping_, from, to), kRingCapacity);
}

Station::Station(const Exchange& exchange, std::size_t self, const std::vector<std::size_t>& peers,
                 const Rule& rule)
    : exchange_(&exchange),
      self_(self),
      waiter_(exchange.shared().flags[self],
              RuleBudget(rule, &exchange.shared().cpus[self].cpu, cpus_of(exchange, peers))) {
  for (const std::size_t peer : peers) {
    links_[peer].emplace(tideline::ring::SpscConsumer<Message>(exchange.ring(peer, self)),
                         tideline::ring::SpscProducer<Message>(exchange.ring(self, peer)),
                         tideline::ring::Notifier(exchange.shared().flags[peer]));
  }
}

std::size_t Station::receive(std::size_t peer, std::span<Message> messages) {
  const std::size_t count = link(peer).input.pop_burst(messages);
  if (count > 0) notify(peer);
  return count;
}

std::size_t Station::send(std::size_t peer, std::span<const Message> messages) {
  const std::size_t count = link(peer).output.push_burst(messages);
  if (count > 0) notify(peer);
  return count;
}

void Station::notify(std::size_t peer) {
  waiter_.budget().publish_cpu();
  if (!link(peer).notifier.should_ring()) return;
  exchange_->bell(peer).ring();
  ++rings_;
}

}  // namespace proofs::waiting
