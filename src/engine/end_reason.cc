// SPDX-License-Identifier: Apache-2.0
#include "engine/end_reason.h"

namespace tideline::engine {

std::string_view name_of(EndReason reason) {
  switch (reason) {
    case EndReason::kClosed:
      return "closed by the program";
    case EndReason::kStopped:
      return "the front end stops";
    case EndReason::kRefused:
      return "refused";
    case EndReason::kVersion:
      return "another version of the queue pair";
    case EndReason::kSilent:
      return "no greeting";
    case EndReason::kBadHello:
      return "a greeting that is none";
    case EndReason::kBadWish:
      return "a wish that is none";
    case EndReason::kDeaf:
      return "answers that are not read";
    case EndReason::kBadCall:
      return "a call that is none";
    case EndReason::kBadHandle:
      return "a handle that is not the channel's";
    case EndReason::kBadIndex:
      return "an index of a FIFO that cannot be";
    case EndReason::kBadDatagram:
      return "a datagram that is longer than its FIFO's content";
    case EndReason::kBadRing:
      return "an index of a ring that cannot be";
  }
  return "unknown";
}

}  // namespace tideline::engine
