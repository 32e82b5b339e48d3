// SPDX-License-Identifier: Apache-2.0
// The values of types.h as the queue pair's records, and back. What comes from the other side is
// checked or brought into range. Thread: any.
#pragma once

#include "client/types.h"
#include "queue/messages.h"

namespace tideline::client {

queue::EndpointRecord to_record(const Endpoint& endpoint);
Endpoint from_record(const queue::EndpointRecord& record);
queue::OptionsRecord to_record(const Options& options);
Options from_record(const queue::OptionsRecord& record);
queue::KeyRecord to_record(const KeyChange& change);
// Nothing that it says is out of range, afterwards.
KeyChange from_record(const queue::KeyRecord& record);
queue::KeyStateRecord to_record(const KeyState& state);
KeyState from_record(const queue::KeyStateRecord& record);
queue::InfoRecord to_record(const Info& info);
Info from_record(const queue::InfoRecord& record);
// kInvalid for what is none.
queue::ReportRecord to_record(const Report& report);
Report from_record(const queue::ReportRecord& record);
Failure failure_from(std::uint32_t number);

}  // namespace tideline::client
