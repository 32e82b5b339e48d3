// SPDX-License-Identifier: Apache-2.0
#include "tcp/fast_open_cache.h"

#include <algorithm>
#include <array>
#include <span>

namespace tideline::tcp {
namespace {

constexpr std::size_t kSets = 64;
constexpr std::size_t kPerSet = 4;
constexpr unsigned kMostDoublings = 6;
constexpr Duration kAfterLoss = std::chrono::minutes(1);
constexpr Duration kAfterBlackHole = std::chrono::hours(1);

}  // namespace

FastOpenCache::FastOpenCache(const HashKey& key) : key_(key), entries_(kSets * kPerSet) {}

bool FastOpenCache::is_open_to(const Tuple& tuple, Instant now) const {
  if (now < closed_until_) return false;
  const Entry* known = entry(tuple);
  return known == nullptr || now >= known->closed_until;
}

const FastOpenCache::Server* FastOpenCache::find(const Tuple& tuple) const {
  const Entry* known = entry(tuple);
  return known == nullptr || known->server.cookie.size == 0 ? nullptr : &known->server;
}

void FastOpenCache::learn(const Tuple& tuple, const Server& server, Instant now) {
  make(tuple, now).server = server;
}

void FastOpenCache::lost(const Tuple& tuple, Instant now) {
  Entry& entry = make(tuple, now);
  entry.closed_until = now + kAfterLoss * (1 << std::min<unsigned>(entry.losses, kMostDoublings));
  if (entry.losses < kMostDoublings) ++entry.losses;
}

void FastOpenCache::answered(const Tuple& tuple) {
  if (Entry* known = entry(tuple)) known->losses = 0;
}

void FastOpenCache::black_hole(Instant now) {
  closed_until_ = now + kAfterBlackHole * (1 << std::min(black_holes_, kMostDoublings));
  if (black_holes_ < kMostDoublings) ++black_holes_;
}

std::size_t FastOpenCache::set_of(const Tuple& tuple) const {
  const std::array<std::uint64_t, 2> words{tuple.remote.address.high(), tuple.remote.address.low()};
  return siphash(key_, words) % kSets * kPerSet;
}

const FastOpenCache::Entry* FastOpenCache::entry(const Tuple& tuple) const {
  const auto set = std::span(entries_).subspan(set_of(tuple), kPerSet);
  const auto found = std::ranges::find_if(set, [&](const Entry& each) {
    return each.used_at != Instant::min() && each.remote == tuple.remote.address &&
           each.local == tuple.local.address;
  });
  return found == set.end() ? nullptr : &*found;
}

FastOpenCache::Entry* FastOpenCache::entry(const Tuple& tuple) {
  return const_cast<Entry*>(std::as_const(*this).entry(tuple));
}

FastOpenCache::Entry& FastOpenCache::make(const Tuple& tuple, Instant now) {
  Entry* place = entry(tuple);
  if (place == nullptr) {
    const auto set = std::span(entries_).subspan(set_of(tuple), kPerSet);
    place = &*std::ranges::min_element(set, {}, &Entry::used_at);
    *place = {.local = tuple.local.address, .remote = tuple.remote.address};
  }
  place->used_at = now;
  return *place;
}

}  // namespace tideline::tcp
