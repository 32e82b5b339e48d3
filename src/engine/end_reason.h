// SPDX-License-Identifier: Apache-2.0
// Why a channel to a program has ended. Thread: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tideline::engine {

enum class EndReason : std::uint8_t {
  kClosed,       // by the program, or with it
  kStopped,      // the front end stops
  kRefused,      // by the policy, or a limit
  kVersion,      // the program is of another one
  kSilent,       // it has never said Hello
  kBadHello,     // the rest has broken a rule of docs/queue-pair.md
  kBadWish,      //
  kDeaf,         // answers to its wishes are not read
  kBadCall,      //
  kBadHandle,    //
  kBadIndex,     //
  kBadDatagram,  //
  kBadRing,      //
};
inline constexpr std::size_t kEndReasons = 13;

// "an index of a FIFO that cannot be".
std::string_view name_of(EndReason reason);

}  // namespace tideline::engine
