// SPDX-License-Identifier: Apache-2.0
#include "ip/addresses.h"

#include <algorithm>
#include <bit>

namespace tideline::ip {

using wire::Ipv4Address;
using wire::Ipv4Prefix;
using wire::Ipv6Address;
using wire::Ipv6Prefix;

namespace {

constexpr Ipv4Address kIpv4AllHosts(224, 0, 0, 1);

// RFC 6724 §3.1; unique local addresses have global scope.
enum class Scope : std::uint8_t { kLinkLocal = 2, kGlobal = 14 };

Scope scope_of(const Ipv6Address& address) {
  if (address.is_multicast()) {
    return address.multicast_scope() <= 2 ? Scope::kLinkLocal : Scope::kGlobal;
  }
  return address.is_link_local() || address.is_loopback() ? Scope::kLinkLocal : Scope::kGlobal;
}

int common_bits(Ipv4Address a, Ipv4Address b) { return std::countl_zero(a.value() ^ b.value()); }

// RFC 6724 §2.2: not beyond the prefix of `source`, whose interface part says nothing.
int common_bits(const Ipv6Prefix& source, const Ipv6Address& other) {
  const Ipv6Address& a = source.address;
  int bits = std::countl_zero(a.high() ^ other.high());
  if (bits == 64) bits += std::countl_zero(a.low() ^ other.low());
  return std::min<int>(bits, source.length);
}

// Whether to prefer source `a` to `b`: RFC 6724 §5.
bool is_better(const Addresses::Ipv6Entry& a, const Addresses::Ipv6Entry& b,
               const Ipv6Address& destination) {
  // Rule 1: the destination itself.
  const bool same_a = a.prefix.address == destination;
  const bool same_b = b.prefix.address == destination;
  if (same_a != same_b) return same_a;
  // Rule 2: the smallest scope that reaches it.
  const Scope scope_a = scope_of(a.prefix.address);
  const Scope scope_b = scope_of(b.prefix.address);
  if (scope_a < scope_b) return scope_a >= scope_of(destination);
  if (scope_b < scope_a) return scope_b < scope_of(destination);
  // Rule 3: no deprecated one.
  if (a.state != b.state) return a.state == AddressState::kPreferred;
  // Rule 6, as far as the default policy table tells our addresses apart.
  const bool label_a = a.prefix.address.is_unique_local() == destination.is_unique_local();
  const bool label_b = b.prefix.address.is_unique_local() == destination.is_unique_local();
  if (label_a != label_b) return label_a;
  // Rule 8: the longest match.
  return common_bits(a.prefix, destination) > common_bits(b.prefix, destination);
}

template <typename Address>
void insert_once(std::vector<Address>& groups, const Address& group) {
  if (std::ranges::find(groups, group) == groups.end()) groups.push_back(group);
}

}  // namespace

void Addresses::add(const Ipv4Prefix& prefix) {
  remove(prefix.address);
  ipv4_.push_back(prefix);
}

void Addresses::add(const Ipv6Prefix& prefix, AddressState state) {
  remove(prefix.address);
  ipv6_.push_back({.prefix = prefix, .state = state});
}

void Addresses::set_state(const Ipv6Address& address, AddressState state) {
  for (Ipv6Entry& each : ipv6_) {
    if (each.prefix.address == address && each.state != AddressState::kTentative) {
      each.state = state;
    }
  }
}

void Addresses::remove(Ipv4Address address) {
  std::erase_if(ipv4_, [&](const Ipv4Prefix& each) { return each.address == address; });
}

void Addresses::remove(const Ipv6Address& address) {
  std::erase_if(ipv6_, [&](const Ipv6Entry& each) { return each.prefix.address == address; });
}

void Addresses::join(Ipv4Address group) { insert_once(groups4_, group); }
void Addresses::join(const Ipv6Address& group) { insert_once(groups6_, group); }
void Addresses::leave(Ipv4Address group) { std::erase(groups4_, group); }
void Addresses::leave(const Ipv6Address& group) { std::erase(groups6_, group); }

bool Addresses::is_ours(Ipv4Address address) const {
  return std::ranges::any_of(ipv4_, [&](const auto& each) { return each.address == address; });
}

const Addresses::Ipv6Entry* Addresses::find(const Ipv6Address& address) const {
  const auto found = std::ranges::find_if(
      ipv6_, [&](const Ipv6Entry& each) { return each.prefix.address == address; });
  return found == ipv6_.end() ? nullptr : &*found;
}

bool Addresses::is_ours(const Ipv6Address& address) const {
  const Ipv6Entry* entry = find(address);
  return entry != nullptr && entry->state != AddressState::kTentative;
}

bool Addresses::is_tentative(const Ipv6Address& address) const {
  const Ipv6Entry* entry = find(address);
  return entry != nullptr && entry->state == AddressState::kTentative;
}

bool Addresses::is_broadcast(Ipv4Address address) const {
  if (address.is_limited_broadcast()) return true;
  return std::ranges::any_of(
      ipv4_, [&](const auto& each) { return wire::directed_broadcast(each) == address; });
}

bool Addresses::is_member(Ipv4Address group) const {
  return group == kIpv4AllHosts || std::ranges::find(groups4_, group) != groups4_.end();
}

bool Addresses::is_member(const Ipv6Address& group) const {
  if (group == wire::kIpv6AllNodes) return true;
  if (group.is_solicited_node()) {
    // A tentative address too: that is how its duplicate is heard of (RFC 4862 §5.4.2).
    const bool ours = std::ranges::any_of(
        ipv6_, [&](const auto& each) { return each.prefix.address.solicited_node() == group; });
    if (ours) return true;
  }
  return std::ranges::find(groups6_, group) != groups6_.end();
}

std::optional<Ipv4Address> Addresses::source_for(Ipv4Address destination) const {
  const Ipv4Prefix* best = nullptr;
  int best_score = -1;
  for (const Ipv4Prefix& each : ipv4_) {
    int score = common_bits(each.address, destination);
    if (each.contains(destination)) score += 64;                                    // its network
    if (each.address.is_link_local() != destination.is_link_local()) score /= 128;  // the last
    if (score > best_score) {
      best = &each;
      best_score = score;
    }
  }
  if (best == nullptr) return std::nullopt;
  return best->address;
}

std::optional<Ipv6Address> Addresses::source_for(const Ipv6Address& destination) const {
  const Ipv6Entry* best = nullptr;
  for (const Ipv6Entry& each : ipv6_) {
    if (each.state == AddressState::kTentative) continue;
    if (best == nullptr || is_better(each, *best, destination)) best = &each;
  }
  if (best == nullptr) return std::nullopt;
  return best->prefix.address;
}

}  // namespace tideline::ip
