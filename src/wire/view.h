// SPDX-License-Identifier: Apache-2.0
// Wire structs laid over packet bytes. view_as is the only place where bytes become a header.
#pragma once

#include <cstddef>
#include <span>
#include <type_traits>

#include "base/check.h"

namespace tideline::wire {

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

// A struct whose image in memory is its image on the wire: byte arrays only, so no padding.
template <typename T>
concept WireStruct =
    std::is_trivially_copyable_v<T> && std::is_standard_layout_v<T> && alignof(T) == 1;

// The T at the front of `bytes`. The caller has checked the length: a parser returns a DropReason
// for what a peer cut short, so a short span here is a bug of ours.
template <WireStruct T>
const T& view_as(Bytes bytes) {
  CHECK(bytes.size() >= sizeof(T));
  return *reinterpret_cast<const T*>(bytes.data());
}

template <WireStruct T>
T& view_as(MutableBytes bytes) {
  CHECK(bytes.size() >= sizeof(T));
  return *reinterpret_cast<T*>(bytes.data());
}

}  // namespace tideline::wire
