// SPDX-License-Identifier: Apache-2.0
#include "rdma/work_queue.h"

#include <algorithm>
#include <bit>

namespace tideline::rdma {

SendQueue::SendQueue(std::uint32_t capacity, std::uint32_t max_sge, std::uint32_t inline_size)
    : slots_(std::bit_ceil(std::max(capacity, 1U))),
      sges_(slots_.size() * max_sge),
      inline_(slots_.size() * inline_size),
      mask_(static_cast<std::uint32_t>(slots_.size()) - 1),
      max_sge_(max_sge),
      inline_size_(inline_size) {}

ReceiveQueue::ReceiveQueue(std::uint32_t capacity, std::uint32_t max_sge)
    : slots_(std::bit_ceil(std::max(capacity, 1U))),
      sges_(slots_.size() * max_sge),
      mask_(static_cast<std::uint32_t>(slots_.size()) - 1),
      max_sge_(max_sge) {}

Posted ReceiveQueue::post(const ReceiveRequest& request) {
  if (request.sges.size() > max_sge_) return Posted::kInvalid;
  if (size() >= capacity()) return Posted::kFull;
  const std::size_t at = tail_ & mask_;
  slots_[at] = {.wr_id = request.wr_id,
                .sge_count = static_cast<std::uint32_t>(request.sges.size())};
  std::ranges::copy(request.sges, sges_.begin() + static_cast<std::ptrdiff_t>(at * max_sge_));
  ++tail_;
  return Posted::kPosted;
}

bool ReceiveQueue::take(ReceiveWqe& out) {
  if (empty()) return false;
  const std::size_t at = head_ & mask_;
  const Slot& slot = slots_[at];
  out.wr_id = slot.wr_id;
  out.sge_count = slot.sge_count;
  out.length = 0;
  for (std::uint32_t i = 0; i < slot.sge_count; ++i) {
    out.sges.at(i) = sges_[at * max_sge_ + i];
    out.length += out.sges.at(i).length;
  }
  ++head_;
  return true;
}

void ReceiveQueue::resize(std::uint32_t capacity) {
  ReceiveQueue resized(std::max(capacity, size()), max_sge_);
  for (ReceiveWqe wqe; take(wqe);) {
    resized.post({.wr_id = wqe.wr_id, .sges = std::span(wqe.sges).first(wqe.sge_count)});
  }
  resized.source_ = source_;
  *this = std::move(resized);
}

}  // namespace tideline::rdma
