// SPDX-License-Identifier: Apache-2.0
// Memory for programs that their peers on this machine can map: what a program allocates for
// transfers lies in a memfd, so that one-sided operations reach it by a plain copy (placement/).
// Open from the start of an engine with a direct path on; until then, and when it is full, the C
// library's memory serves.
//
// A forked child gets a copy of its own, made while its parent waits (other threads of the parent
// do not: what they write meanwhile it may see). Children that are made without fork(3)'s handlers
// (vfork, clone, _Fork) share it: they are to exec.
//
// Thread: any.
#pragma once

#include <cstddef>

#include "base/fd.h"

namespace tideline::shim::verbs {

// Reserves the addresses. Without effect if the system has none, or a second time.
void open_shared_heap();
// In memory that a front end has made, `size` bytes. Where it lies; null: without effect.
const void* open_shared_heap(UniqueFd memory, std::size_t size);

// Null if it cannot be served from here.
void* allocate_shared(std::size_t alignment, std::size_t size);
bool is_shared(const void* memory);
// Of memory that is_shared().
std::size_t shared_size(const void* memory);
void free_shared(void* memory);

}  // namespace tideline::shim::verbs
