// SPDX-License-Identifier: Apache-2.0
#include "engine/served_rdma.h"

#include "engine/served_work.h"

namespace tideline::engine {

ServedRdma::ServedRdma(rdma::Device& device, Worker& worker)
    : device_(device), service_(device, worker) {
  announced_.reserve(device.limits().max_cq);  // no malloc afterwards
}

bool ServedRdma::run(Instant now) {
  const bool worked = service_.run(now);
  const std::size_t count = announced_.size();
  for (std::size_t i = 0; i < count; ++i) announced_[i]->publish();
  announced_.erase(announced_.begin(), announced_.begin() + static_cast<std::ptrdiff_t>(count));
  return worked || count > 0;
}

void ServedRdma::announce(ServedCq& cq) { announced_.push_back(&cq); }

void ServedRdma::forget(ServedCq& cq) { std::erase(announced_, &cq); }

}  // namespace tideline::engine
