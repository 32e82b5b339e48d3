// SPDX-License-Identifier: Apache-2.0
// The port's segment (src/port/shm) as this proof drives it: members, and frames copied to a
// buffer. One thread per member.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "port/shm/member.h"
#include "proofs/segment/copy.h"

namespace proofs::segment {

using tideline::port::shm::ArenaPages;
using tideline::port::shm::BlockOrder;
using tideline::port::shm::Event;
using tideline::port::shm::kInlineBytes;
using tideline::port::shm::Member;
using tideline::port::shm::MemberConfig;
using tideline::port::shm::SendVerdict;

// The longest frame of this proof.
inline constexpr std::size_t kMaxFrame = std::size_t{64} << 10;

struct Received {
  unsigned source = 0;
  std::uint32_t length = 0;
};

// Copies the next frame to `into`; none if there is none. A frame that is longer is dropped.
inline std::optional<Received> receive(Member& member, std::span<std::byte> into,
                                       CopyRoutine copy = copy_by_vectors) {
  const auto arrived = member.front();
  if (!arrived) return std::nullopt;
  const bool fits = arrived->bytes.size() <= into.size();
  if (fits) {
    (arrived->is_inline ? copy_by_memcpy : copy)(into.data(), arrived->bytes.data(),
                                                 arrived->bytes.size());
  }
  member.pop();
  if (!fits) return std::nullopt;
  return Received{arrived->source, static_cast<std::uint32_t>(arrived->bytes.size())};
}

}  // namespace proofs::segment
