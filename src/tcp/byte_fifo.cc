// SPDX-License-Identifier: Apache-2.0
#include "tcp/byte_fifo.h"

#include <algorithm>
#include <cstring>
#include <span>

namespace tideline::tcp {

void OutgoingFifo::release(std::uint64_t offset) {
  fifo_.set_consumed(offset);
  const auto live = std::span(records_).first(record_count_);
  const auto first = std::ranges::upper_bound(live, offset);
  std::ranges::copy(first, live.end(), live.begin());
  record_count_ = static_cast<std::size_t>(live.end() - first);
}

std::uint64_t OutgoingFifo::record_end(std::uint64_t offset) const {
  const auto live = std::span(records_).first(record_count_);
  const auto found = std::ranges::upper_bound(live, offset);
  return found == live.end() ? UINT64_MAX : *found;
}

void OutgoingFifo::end_record() {
  if (record_count_ == records_.size()) return;
  records_[record_count_++] = fifo_.written();
}

bool IncomingFifo::put(std::uint64_t offset, packet::PacketPtr payload,
                       packet::PassCounter& passes) {
  for (const packet::Segment* each = &payload->first(); each != nullptr; each = each->next()) {
    put_copy(offset, each->bytes(), passes);
    offset += each->bytes().size();
  }
  return true;
}

void IncomingFifo::put_copy(std::uint64_t offset, std::span<const std::byte> from,
                            packet::PassCounter& passes) {
  passes.add(packet::Pass::kCopy, from.size());
  while (!from.empty()) {
    const auto to = fifo_.piece(offset, from.size());
    std::memcpy(to.data(), from.data(), to.size());
    from = from.subspan(to.size());
    offset += to.size();
  }
}

}  // namespace tideline::tcp
