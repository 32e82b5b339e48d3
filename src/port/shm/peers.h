// SPDX-License-Identifier: Apache-2.0
// What members of a segment hand to each other beside frames: a descriptor each, whatever it is
// for. A destination hears of its source before the source hears of the destination, so whoever has
// been given a destination's descriptor knows that the destination has its own. Called from
// Member::service and flush, on the member's thread; must not call back.
#pragma once

#include <sys/types.h>

#include "base/fd.h"

namespace tideline::port::shm {

class Peers {
 public:
  // What the others are given; it lives as long as the member.
  virtual int descriptor() const = 0;

  // The owner of a slot sends here from now on, or no more. False: what it shows is of no use, and
  // it is shown nothing.
  virtual bool source_up(unsigned slot, UniqueFd theirs) = 0;
  virtual void source_down(unsigned slot) = 0;
  // The owner of a slot has answered; `pid`, as the kernel says, or 0 if this process has no number
  // for it.
  virtual void destination_up(unsigned slot, pid_t pid, UniqueFd theirs) = 0;
  virtual void destination_down(unsigned slot) = 0;

 protected:
  ~Peers() = default;
};

}  // namespace tideline::port::shm
