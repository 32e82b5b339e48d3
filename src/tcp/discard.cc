// SPDX-License-Identifier: Apache-2.0
#include "tcp/discard.h"

namespace tideline::tcp {
namespace {

constexpr std::array<std::string_view, kDiscardCount> kNames{"to_group",
                                                             "port_closed",
                                                             "port_zero",
                                                             "out_of_window",
                                                             "paws",
                                                             "no_ack",
                                                             "ack_unacceptable",
                                                             "rst_unacceptable",
                                                             "rst_challenged",
                                                             "syn_challenged",
                                                             "time_wait_rst",
                                                             "flags",
                                                             "after_close",
                                                             "accept_queue_full",
                                                             "accept_deferred",
                                                             "cookie_invalid",
                                                             "connections_full",
                                                             "ranges_full",
                                                             "out_of_order_full",
                                                             "beyond_window",
                                                             "no_memory",
                                                             "time_wait_evicted",
                                                             "pool_exhausted",
                                                             "network_refused",
                                                             "challenge_limited",
                                                             "path_error_ignored",
                                                             "authentication_missing",
                                                             "authentication_unknown_key",
                                                             "authentication_length",
                                                             "authentication_failed",
                                                             "authentication_unexpected",
                                                             "authentication_path_error"};

}  // namespace

std::string_view name_of(Discard reason) { return kNames[static_cast<std::size_t>(reason)]; }

}  // namespace tideline::tcp
