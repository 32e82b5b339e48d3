// SPDX-License-Identifier: Apache-2.0
// Where a queue pair sends to, and as whom: the GID table and address vectors. IBA 4.1.1, 11.2.2;
// annex A17. Thread: the engine's lock.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "rdma/types.h"
#include "wire/mac_address.h"

namespace tideline::rdma {

inline constexpr std::size_t kGidTableSize = 32;

struct GidEntry {
  Gid gid;
  GidType type = GidType::kRoceV2;

  friend bool operator==(const GidEntry&, const GidEntry&) = default;
};

// The addresses of the host as verbs name them. Linux puts the link-local address at index 0, then
// the IPv4 addresses, then the other IPv6 addresses, and programs (and their users) count on it:
// these are of RoCE v2. The same addresses of RoCE v1 are kFirstV1 behind.
class GidTable {
 public:
  static constexpr std::size_t kFirstV1 = 16;

  static constexpr std::size_t size() { return kGidTableSize; }
  // Nothing if the slot is empty.
  const std::optional<GidEntry>& at(std::size_t index) const { return entries_.at(index); }
  void set(std::size_t index, const GidEntry& entry) { entries_.at(index) = entry; }
  void clear(std::size_t index) { entries_.at(index).reset(); }
  // At the first empty slot; nothing if the table is full.
  std::optional<std::size_t> add(const GidEntry& entry);
  // Puts all that are there so far into the second half, of RoCE v1, where that is free.
  void add_v1();
  bool contains(const Gid& gid) const { return find(gid).has_value(); }
  // The first index of that GID, of either version.
  std::optional<std::size_t> find(const Gid& gid) const;

 private:
  std::array<std::optional<GidEntry>, kGidTableSize> entries_;
};

// As struct ibv_ah_attr with a GRH, which RoCE always has.
struct AddressVector {
  Gid destination;
  std::uint8_t source_gid_index = 0;
  std::uint8_t traffic_class = 0;
  std::uint8_t hop_limit = 64;  // 0 counts as 64
  std::uint32_t flow_label = 0;
  std::uint8_t service_level = 0;  // kept for queries, as is
  std::uint16_t lid = 0;           // by which the program has named the peer; 0: by GID
};

// What follows of an address vector for every packet.
struct Route {
  wire::Ipv6Address source;
  wire::Ipv6Address destination;
  GidType type = GidType::kRoceV2;
  std::uint16_t source_port = 0;  // entropy for ECMP: annex A17.9.1
  std::uint8_t traffic_class = 0;
  std::uint8_t hop_limit = 64;
  bool loopback = false;  // the destination is this device
};

}  // namespace tideline::rdma
