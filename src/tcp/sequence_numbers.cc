// SPDX-License-Identifier: Apache-2.0
#include "tcp/sequence_numbers.h"

namespace tideline::tcp {

Seq initial_sequence(const Core& core, const Tuple& tuple, Instant now) {
  // 4.096 us a tick: the number wraps in 4.9 hours.
  const auto clock = static_cast<std::uint32_t>(now.time_since_epoch().count() >> 12);
  return Seq(clock + static_cast<std::uint32_t>(siphash<2, 4>(isn_key(core), tuple.words())));
}

std::uint32_t timestamp_offset(const Core& core, const Tuple& tuple) {
  // The ports do not count, so that time goes on when a peer connects again (RFC 6191).
  Tuple pair = tuple;
  pair.local.port = pair.remote.port = 0;
  return static_cast<std::uint32_t>(siphash<2, 4>(isn_key(core), pair.words()) >> 32);
}

std::optional<std::uint16_t> ephemeral_port(Core& core, Tuple tuple) {
  tuple.local.port = 0;
  const std::uint64_t hash = siphash<2, 4>(port_key(core), tuple.words());
  const auto offset = static_cast<std::uint32_t>(hash);
  std::uint16_t& step = core.port_steps[(hash >> 32) % core.port_steps.size()];
  const std::uint32_t count = std::uint32_t{core.config.last_port} - core.config.first_port + 1;
  for (std::uint32_t i = 0; i < count; ++i) {
    // A random stride of 1 or 2 hides how many connections others made.
    step = static_cast<std::uint16_t>(step + 1 + core.rng.below(2));
    tuple.local.port =
        static_cast<std::uint16_t>(core.config.first_port + (offset % count + step + i) % count);
    if (core.table.find(tuple) != nullptr) continue;
    if (find_listener(core, tuple.local) != nullptr) continue;
    return tuple.local.port;
  }
  return std::nullopt;
}

}  // namespace tideline::tcp
