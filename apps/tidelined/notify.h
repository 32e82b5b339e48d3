// SPDX-License-Identifier: Apache-2.0
// Tells who has started the front end how it is: the protocol of sd_notify(3), a datagram to the
// socket that $NOTIFY_SOCKET names. systemd listens there, and so does `tideline up`. Any thread.
#pragma once

#include <string_view>

namespace tideline::daemon {

// "READY=1\nSTATUS=...". Nothing happens if nobody wants to know.
void notify(std::string_view state);

}  // namespace tideline::daemon
