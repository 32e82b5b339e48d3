// SPDX-License-Identifier: Apache-2.0
// The placements there are; see compare/placement.h.
#pragma once

#include <memory>

#include "compare/placement.h"

namespace tideline::app::compare {

std::unique_ptr<Placement> make_linux();
std::unique_ptr<Placement> make_app();
std::unique_ptr<Placement> make_app_tap();
std::unique_ptr<Placement> make_app_xdp();
std::unique_ptr<Placement> make_frontend_tap();
std::unique_ptr<Placement> make_frontend_xdp();
std::unique_ptr<Placement> make_frontend();   // one daemon for both
std::unique_ptr<Placement> make_frontends();  // one each
std::unique_ptr<Placement> make_bypass();     // one, and bytes skip TCP

}  // namespace tideline::app::compare
