// SPDX-License-Identifier: Apache-2.0
#include "tcp/byte_fifo.h"

#include <cstring>

namespace tideline::tcp {

bool IncomingFifo::put(std::uint64_t offset, packet::PacketPtr payload,
                       packet::PassCounter& passes) {
  passes.add(packet::Pass::kCopy, payload->size());
  for (const packet::Segment* each = &payload->first(); each != nullptr; each = each->next()) {
    std::span<const std::byte> from = each->bytes();
    while (!from.empty()) {
      const auto to = fifo_.piece(offset, from.size());
      std::memcpy(to.data(), from.data(), to.size());
      from = from.subspan(to.size());
      offset += to.size();
    }
  }
  return true;
}

}  // namespace tideline::tcp
