// SPDX-License-Identifier: Apache-2.0
// The wire `shm:NAME`, and the addresses that come with a place on it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "options.h"
#include "packet/pool.h"
#include "port/port.h"

namespace tideline::app {

// Opens the segment. The host's addresses, as far as the options name none, are leased and put
// there; who captures takes none.
std::unique_ptr<port::Port> open_shm(std::string_view name, std::size_t mtu, packet::Pool& pool,
                                     WireOptions& options);

// For `ports`: what this machine lacks for shm, or nothing; and what it allows beyond.
std::string shm_lacks();
std::string shm_allows();

}  // namespace tideline::app
