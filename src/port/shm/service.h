// SPDX-License-Identifier: Apache-2.0
// What member.cc and service.cc share: how often a member looks at its connections, and how it
// tells them apart. Constants only.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/time.h"
#include "port/shm/layout.h"

namespace tideline::port::shm {

inline constexpr Duration kServiceInterval = std::chrono::milliseconds(1);

// What epoll hands back: a source's link, a destination's link, a pending connection, the listener.
inline constexpr std::uint64_t kDestinations = kMaxMembers;
inline constexpr std::uint64_t kPendings = 2 * std::uint64_t{kMaxMembers};
inline constexpr std::uint64_t kListener = 3 * std::uint64_t{kMaxMembers};

constexpr std::uint64_t destination_token(unsigned destination) {
  return kDestinations + destination;
}

}  // namespace tideline::port::shm
