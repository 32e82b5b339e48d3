// SPDX-License-Identifier: Apache-2.0
// The values of the room `rdma` as the queue pair's records, and back: for the engine, and for the
// shim at the other side. Enumerators that are none come out as such, and are refused by the room.
// Thread: any.
#pragma once

#include "queue/verbs.h"
#include "rdma/address.h"
#include "rdma/completion_queue.h"
#include "rdma/options.h"
#include "rdma/qp_attributes.h"

namespace tideline::engine {

queue::VectorRecord to_record(const rdma::AddressVector& vector);
rdma::AddressVector from_record(const queue::VectorRecord& record);
queue::AttributesRecord to_record(const rdma::QpAttributes& attributes);
rdma::QpAttributes from_record(const queue::AttributesRecord& record);
queue::CapacityRecord to_record(const rdma::QpCapacity& capacity);
rdma::QpCapacity from_record(const queue::CapacityRecord& record);
queue::CompletionRecord to_record(const rdma::Completion& completion);
rdma::Completion from_record(const queue::CompletionRecord& record);
// Limits alone.
queue::DeviceRecord to_record(const rdma::DeviceLimits& limits);
rdma::DeviceLimits from_record(const queue::DeviceRecord& record);

}  // namespace tideline::engine
