// SPDX-License-Identifier: Apache-2.0
// The front end's log, on standard error: with a time for people and files, or as journald wants it
// (sd-daemon(3): a priority in angle brackets). Any thread.
#pragma once

#include <spdlog/spdlog.h>

#include <string>

namespace tideline::daemon {

// `level` as in the configuration.
void set_up_log(const std::string& level);

}  // namespace tideline::daemon
