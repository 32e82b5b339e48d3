// SPDX-License-Identifier: Apache-2.0
#include "engine/verbs_values.h"

#include <tuple>

namespace tideline::engine {
namespace {

// In the order of DeviceRecord::limits.
auto limits_of(auto& limits) {
  return std::tie(limits.max_qp, limits.max_qp_wr, limits.max_sge, limits.max_inline, limits.max_cq,
                  limits.max_cqe, limits.max_regions, limits.max_pd, limits.max_ah, limits.max_srq,
                  limits.max_srq_wr);
}

}  // namespace

queue::VectorRecord to_record(const rdma::AddressVector& vector) {
  return {.destination = vector.destination.bytes(),
          .flow_label = vector.flow_label,
          .lid = vector.lid,
          .source_gid_index = vector.source_gid_index,
          .traffic_class = vector.traffic_class,
          .hop_limit = vector.hop_limit,
          .service_level = vector.service_level};
}

rdma::AddressVector from_record(const queue::VectorRecord& record) {
  return {.destination = rdma::Gid(record.destination),
          .source_gid_index = record.source_gid_index,
          .traffic_class = record.traffic_class,
          .hop_limit = record.hop_limit,
          .flow_label = record.flow_label,
          .service_level = record.service_level,
          .lid = record.lid};
}

queue::AttributesRecord to_record(const rdma::QpAttributes& from) {
  return {.address = to_record(from.address),
          .access = static_cast<std::uint32_t>(from.access),
          .qkey = from.qkey,
          .receive_psn = from.receive_psn,
          .send_psn = from.send_psn,
          .destination_qpn = from.destination_qpn,
          .pkey_index = from.pkey_index,
          .state = static_cast<std::uint8_t>(from.state),
          .current_state = static_cast<std::uint8_t>(from.current_state),
          .sqd_notify = static_cast<std::uint8_t>(from.sqd_notify ? 1 : 0),
          .port = from.port,
          .path_mtu = static_cast<std::uint8_t>(from.path_mtu),
          .timeout = from.timeout,
          .retry_count = from.retry_count,
          .rnr_retry = from.rnr_retry,
          .min_rnr_timer = from.min_rnr_timer,
          .max_rd_atomic = from.max_rd_atomic,
          .max_dest_rd_atomic = from.max_dest_rd_atomic};
}

rdma::QpAttributes from_record(const queue::AttributesRecord& from) {
  return {.state = static_cast<rdma::QpState>(from.state),
          .current_state = static_cast<rdma::QpState>(from.current_state),
          .sqd_notify = from.sqd_notify != 0,
          .access = static_cast<rdma::Access>(from.access),
          .pkey_index = from.pkey_index,
          .port = from.port,
          .qkey = from.qkey,
          .address = from_record(from.address),
          .path_mtu = static_cast<rdma::Mtu>(from.path_mtu),
          .timeout = from.timeout,
          .retry_count = from.retry_count,
          .rnr_retry = from.rnr_retry,
          .min_rnr_timer = from.min_rnr_timer,
          .receive_psn = from.receive_psn,
          .send_psn = from.send_psn,
          .max_rd_atomic = from.max_rd_atomic,
          .max_dest_rd_atomic = from.max_dest_rd_atomic,
          .destination_qpn = from.destination_qpn};
}

queue::CapacityRecord to_record(const rdma::QpCapacity& from) {
  return {.send_wr = from.send_wr,
          .recv_wr = from.recv_wr,
          .send_sge = from.send_sge,
          .recv_sge = from.recv_sge,
          .inline_data = from.inline_data};
}

rdma::QpCapacity from_record(const queue::CapacityRecord& from) {
  return {.send_wr = from.send_wr,
          .recv_wr = from.recv_wr,
          .send_sge = from.send_sge,
          .recv_sge = from.recv_sge,
          .inline_data = from.inline_data};
}

queue::CompletionRecord to_record(const rdma::Completion& from) {
  return {.wr_id = from.wr_id,
          .timestamp = from.timestamp,
          .qp_num = from.qp_num,
          .src_qp = from.src_qp,
          .byte_len = from.byte_len,
          .immediate = from.immediate,
          .flags = from.flags,
          .pkey_index = from.pkey_index,
          .status = static_cast<std::uint8_t>(from.status),
          .opcode = static_cast<std::uint8_t>(from.opcode),
          .vendor_error = from.vendor_error,
          .header = static_cast<std::uint8_t>(from.header)};
}

rdma::Completion from_record(const queue::CompletionRecord& from) {
  return {.wr_id = from.wr_id,
          .qp_num = from.qp_num,
          .src_qp = from.src_qp,
          .byte_len = from.byte_len,
          .immediate = from.immediate,
          .status = static_cast<rdma::WcStatus>(from.status),
          .opcode = static_cast<rdma::WcOpcode>(from.opcode),
          .flags = from.flags,
          .vendor_error = from.vendor_error,
          .header = static_cast<rdma::NetworkHeader>(from.header),
          .pkey_index = from.pkey_index,
          .timestamp = from.timestamp};
}

queue::DeviceRecord to_record(const rdma::DeviceLimits& limits) {
  queue::DeviceRecord record{.max_mr_size = limits.max_mr_size,
                             .max_rd_atomic = limits.max_rd_atomic,
                             .ack_delay = limits.ack_delay};
  std::apply([&](const auto&... each) { record.limits = {each...}; }, limits_of(limits));
  return record;
}

rdma::DeviceLimits from_record(const queue::DeviceRecord& record) {
  rdma::DeviceLimits limits{.max_mr_size = record.max_mr_size,
                            .max_rd_atomic = record.max_rd_atomic,
                            .ack_delay = record.ack_delay};
  std::size_t at = 0;
  std::apply([&](auto&... each) { ((each = record.limits.at(at++)), ...); }, limits_of(limits));
  return limits;
}

}  // namespace tideline::engine
