// SPDX-License-Identifier: Apache-2.0
#include "engine/reports.h"

#include <algorithm>
#include <span>

#include "wire/protocol.h"

namespace tideline::engine {

using client::Failure;
using client::Report;

// As Linux has them: icmp_err_convert and its kin.
Failure failure_of(const ip::PathError& error) {
  switch (error.kind) {
    case ip::PathErrorKind::kNetworkUnreachable:
      return Failure::kNetworkUnreachable;
    case ip::PathErrorKind::kHostUnreachable:
    case ip::PathErrorKind::kTimeExceeded:
      return Failure::kHostUnreachable;
    case ip::PathErrorKind::kProtocolUnreachable:
      return Failure::kProtocolUnreachable;
    case ip::PathErrorKind::kPortUnreachable:
      return Failure::kRefused;
    case ip::PathErrorKind::kPacketTooBig:
      return Failure::kMessageSize;
    case ip::PathErrorKind::kParameterProblem:
    case ip::PathErrorKind::kUnknown:
      return Failure::kProtocol;
  }
  return Failure::kHostUnreachable;
}

void Reports::set_options(const client::Options& options) {
  ipv4_ = options.reports_ipv4;
  ipv6_ = options.reports_ipv6;
  if ((ipv4_ || ipv6_) && kept_ == nullptr) kept_ = std::make_unique<std::array<Kept, kMost>>();
}

bool Reports::put(const ip::PathError& error) {
  if (count_ == kMost) return false;
  Kept& kept = (*kept_)[(first_ + count_++) % kMost];
  kept.failure = failure_of(error);
  kept.report = {.ipv6 = !error.quote.destination.is_mapped(),
                 .type = error.type,
                 .code = error.code,
                 .mtu = error.mtu,
                 .to = {.address = error.quote.destination, .port = error.quote.destination_port()},
                 .from = error.offender};
  // As in Linux: what was behind UDP's header, and TCP with its own.
  const auto header = std::as_bytes(std::span(&error.quote.transport, 1));
  std::size_t size = 0;
  if (error.quote.protocol == wire::kProtocolTcp) {
    std::ranges::copy(header, kept.report.payload.begin());
    size = header.size();
  }
  const std::size_t rest = std::min(error.payload.size(), kept.report.payload.size() - size);
  std::copy_n(error.payload.begin(), rest, kept.report.payload.begin() + size);
  kept.report.size = static_cast<std::uint8_t>(size + rest);
  return true;
}

std::optional<Report> Reports::take() {
  if (count_ == 0) return std::nullopt;
  const Report report = (*kept_)[first_].report;
  first_ = (first_ + 1) % kMost;
  --count_;
  return report;
}

Failure Reports::failure() const { return count_ == 0 ? Failure::kNone : (*kept_)[first_].failure; }

}  // namespace tideline::engine
