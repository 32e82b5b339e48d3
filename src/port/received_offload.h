// SPDX-License-Identifier: Apache-2.0
// Offload metadata that came with a received frame: whoever sent it may have made it up. Any
// thread.
#pragma once

#include "packet/metadata.h"
#include "packet/packet.h"

namespace tideline::port {

// Takes the claim over into the frame's metadata, as far as it says something for its kind. The
// length of the headers is found in the frame: senders often claim whatever was contiguous. False
// if the claim contradicts the frame. Headers must lie in the first segment.
bool adopt_offload(const packet::Offload& claimed, packet::Packet& frame);

}  // namespace tideline::port
