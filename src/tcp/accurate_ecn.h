// SPDX-License-Identifier: Apache-2.0
// What a connection that has agreed to accurate ECN (RFC 9768) remembers; ecn.h works with it.
// Internal to the room. Thread: the worker's.
#pragma once

#include <cstdint>

namespace tideline::tcp {

struct AccurateEcn {
  // §3.2.1, what has come: r.cep, r.ceb, r.e0b, r.e1b. The option has 24 bits of the last three.
  std::uint32_t ce_packets = 5;
  std::uint32_t ce_bytes = 0;
  std::uint32_t ect0_bytes = 1;
  std::uint32_t ect1_bytes = 1;
  // What the last segment of ours has told.
  std::uint32_t told_ce_packets = 5;
  std::uint32_t told_bytes = 1;  // all three, summed
  // What the peer has told: s.cep, s.ceb.
  std::uint32_t peer_ce_packets = 5;
  std::uint32_t peer_ce_bytes = 0;
  std::uint8_t syn_field = 0;   // the ECN field that the peer's SYN or SYN-ACK came with
  std::uint8_t syn_acks = 0;    // that were sent
  bool answers_syn = false;     // our next ACK says how the SYN-ACK came
  bool awaits_answer = false;   // the peer's does
  bool feedback_begun = false;  // a segment with ACE has come
  bool sends_ect = true;        // nothing speaks against it
  bool trusts_option = true;
};

}  // namespace tideline::tcp
