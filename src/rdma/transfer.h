// SPDX-License-Identifier: Apache-2.0
// Bytes between packets and the memory of programs: the only copies that the transport makes.
// Inside the room. Thread: the engine's lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "packet/packet.h"
#include "rdma/core.h"
#include "rdma/memory_access.h"
#include "rdma/regions.h"
#include "rdma/types.h"

namespace tideline::rdma {

// A place in a packet that moves forward as bytes are taken from it, or put there.
class PacketCursor {
 public:
  PacketCursor(packet::Packet& packet, std::size_t offset);

  // The next bytes that lie together, at most `size`; the packet has them. Moves behind them.
  std::span<std::byte> take_writable(std::size_t size);
  std::span<const std::byte> take(std::size_t size);

 private:
  packet::Segment* segment_;
  std::size_t offset_;
};

// Copies `length` bytes between a packet and one range of program memory. False: a fault.
[[nodiscard]] bool load_range(Core& core, const Resolved& from, PacketCursor& to,
                              std::size_t length);
[[nodiscard]] bool store_range(Core& core, const Resolved& to, PacketCursor& from,
                               std::size_t length);

// The same between a packet and the pieces of a request, from byte `offset` of them on. False: a
// key does not open its piece in that domain, or a fault.
[[nodiscard]] bool gather(Core& core, const ProtectionDomain& pd, std::span<const Sge> sges,
                          std::uint64_t offset, PacketCursor to, std::size_t length);
[[nodiscard]] bool scatter(Core& core, const ProtectionDomain& pd, std::span<const Sge> sges,
                           std::uint64_t offset, PacketCursor from, std::size_t length);

// Where the pieces of a request lie in this process, from byte `offset` of them on. The number of
// entries of `pieces` that were filled, none if a key does not allow `needed`.
[[nodiscard]] std::optional<std::size_t> locate(const Core& core, const ProtectionDomain& pd,
                                                std::span<const Sge> sges, std::uint64_t offset,
                                                std::size_t length, Access needed,
                                                std::span<DirectPiece, kMaxSge> pieces);

// Copies bytes that are not in a packet to the pieces.
[[nodiscard]] bool scatter_bytes(Core& core, const ProtectionDomain& pd, std::span<const Sge> sges,
                                 std::uint64_t offset, std::span<const std::byte> from);

}  // namespace tideline::rdma
