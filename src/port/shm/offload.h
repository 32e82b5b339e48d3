// SPDX-License-Identifier: Apache-2.0
// Offload metadata as it lies in a slot. What a member claims is checked against its frame by
// adopt_offload (port/received_offload.h). Any thread.
//
//   flags   bits 0-1 checksum, 2-4 GSO type, 5 ECN
//   fields  checksum start, checksum offset, GSO size, header length: 16 bits each, first lowest
#pragma once

#include <optional>

#include "packet/metadata.h"
#include "port/shm/layout.h"

namespace tideline::port::shm {

OffloadWords pack_offload(const packet::Offload& offload);
// None if a code is unknown.
std::optional<packet::Offload> unpack_offload(const OffloadWords& words);

}  // namespace tideline::port::shm
