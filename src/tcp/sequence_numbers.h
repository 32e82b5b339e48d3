// SPDX-License-Identifier: Apache-2.0
// Numbers that must not be guessed from outside, nor repeat too soon: initial sequence numbers,
// timestamps, ephemeral ports. Thread: the worker's.
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.h"
#include "tcp/core.h"

namespace tideline::tcp {

// RFC 6528: a clock, and a keyed hash of the connection's name.
Seq initial_sequence(const Core& core, const Tuple& tuple, Instant now);
// RFC 7323 §5.4, §7.1: a peer learns nothing of our clock, nor of other connections.
std::uint32_t timestamp_offset(const Core& core, const Tuple& tuple);
// RFC 6056 §3.3.4, double hash: random between peers, increasing towards one. `tuple` lacks the
// local port. Nothing if all are in use.
std::optional<std::uint16_t> ephemeral_port(Core& core, Tuple tuple);

}  // namespace tideline::tcp
