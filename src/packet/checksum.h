// SPDX-License-Identifier: Apache-2.0
// A checksum that was left to the wire, summed by us: for nic and for ports that have nobody else
// to do it. Thread: the packet's.
#pragma once

#include "packet/packet.h"
#include "packet/pass_counter.h"

namespace tideline::packet {

// The frame's checksum is needed, and is kInPacket afterwards. False if its field is not in the
// first segment, or that is borrowed memory.
bool complete_checksum(Packet& frame, PassCounter& passes);

}  // namespace tideline::packet
