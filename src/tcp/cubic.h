// SPDX-License-Identifier: Apache-2.0
// CUBIC: RFC 9438, with the delay part of HyStart (Ha and Rhee, 2011) to leave slow start before
// the bottleneck's queue overflows. Thread: the worker's.
#pragma once

#include "tcp/congestion.h"

namespace tideline::tcp {

const CongestionControl& cubic();

}  // namespace tideline::tcp
