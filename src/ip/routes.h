// SPDX-License-Identifier: Apache-2.0
// Where packets go next: the longest prefix that contains the destination (RFC 1122 §3.3.1,
// RFC 1812 §5.2.4.3). A value: control builds a new one and swaps it in, lookups change nothing.
// Thread: any reads; one writes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

#include "wire/ip_address.h"

namespace tideline::ip {

template <typename Address>
struct Route {
  wire::Prefix<Address> destination;  // 0.0.0.0/0 and ::/0 are the default routes
  std::optional<Address> gateway{};   // none: the destination is on the link

  friend constexpr bool operator==(const Route&, const Route&) = default;
};

template <typename Address>
class Routes {
 public:
  // A route to the same prefix is replaced.
  void add(const Route<Address>& route) {
    const Route<Address> normal{
        .destination = {.address = route.destination.network(), .length = route.destination.length},
        .gateway = route.gateway};
    remove(normal.destination);
    routes_.insert(std::ranges::lower_bound(routes_, normal, comes_before), normal);
    index();
  }

  void remove(const wire::Prefix<Address>& destination) {
    std::erase_if(routes_, [&](const Route<Address>& each) {
      return each.destination.length == destination.length &&
             each.destination.address == destination.network();
    });
    index();
  }

  // Null if nothing leads there.
  const Route<Address>* find(const Address& destination) const {
    for (const Group& group : groups_) {
      const Address network = destination.masked(group.length);
      const auto begin = routes_.begin() + group.begin;
      const auto end = routes_.begin() + group.end;
      const auto found = std::ranges::lower_bound(
          begin, end, network, {},
          [](const Route<Address>& route) { return route.destination.address; });
      if (found != end && found->destination.address == network) return &*found;
    }
    return nullptr;
  }

  // The neighbour to hand the packet to; nothing if there is no route.
  std::optional<Address> next_hop(const Address& destination) const {
    const Route<Address>* route = find(destination);
    if (route == nullptr) return std::nullopt;
    return route->gateway ? *route->gateway : destination;
  }

  // Whether the address belongs to a neighbour.
  bool is_on_link(const Address& address) const {
    const Route<Address>* route = find(address);
    return route != nullptr && !route->gateway;
  }

  // Longest prefixes first.
  const std::vector<Route<Address>>& all() const { return routes_; }

 private:
  // The routes of one prefix length: a range that is sorted by address.
  struct Group {
    unsigned length;
    std::ptrdiff_t begin;
    std::ptrdiff_t end;
  };

  static bool comes_before(const Route<Address>& a, const Route<Address>& b) {
    if (a.destination.length != b.destination.length) {
      return a.destination.length > b.destination.length;
    }
    return a.destination.address < b.destination.address;
  }

  void index() {
    groups_.clear();
    for (std::size_t i = 0; i < routes_.size(); ++i) {
      const unsigned length = routes_[i].destination.length;
      const auto at = static_cast<std::ptrdiff_t>(i);
      if (groups_.empty() || groups_.back().length != length) {
        groups_.push_back({.length = length, .begin = at, .end = at});
      }
      groups_.back().end = at + 1;
    }
  }

  std::vector<Route<Address>> routes_;
  std::vector<Group> groups_;
};

using Ipv4Routes = Routes<wire::Ipv4Address>;
using Ipv6Routes = Routes<wire::Ipv6Address>;

}  // namespace tideline::ip
